"""The learning curves: what is drawn is what the files say; hidden without a file."""

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scoring.curves import KINDS, CurvePoint, Kind
from benchmarks.scoring.intervals import Interval
from demo.board.dashboard import board_view, view
from demo.board.filters import Filters
from demo.board.learning import learning_figure, learning_words, takeaway
from demo.board.paradigms import paradigm_of
from demo.board.results import Results, ResultStore, read_results


def point(method: str, kind: Kind, pictures: int, value: float, spread: float | None = 0.1, n: int = 9) -> CurvePoint:
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return CurvePoint(method, kind, pictures, Interval(value, low, high, n))


POINTS = (
    point("polygon", "mask", 0, 0.0, None, n=1), point("polygon", "mask", 1000, 0.25),
    point("polygon", "mask", 2000, 0.5),
    point("embedding", "question", 1000, 0.5), point("embedding", "question", 2000, 0.625),
    point("stamp", "mask", 1000, 0.5), point("stamp", "mask", 2000, 0.75),
    point("stamp", "question", 2000, 0.5),
)  # fmt: skip


def test_a_line_and_a_band_for_each_method_that_has_answers() -> None:
    figure = learning_figure(POINTS, "mask")
    lines = {trace.name: trace for trace in figure.data if trace.showlegend is not False}
    bands = {trace.legendgroup: trace for trace in figure.data if trace.showlegend is False}
    assert list(lines) == ["Polygon text", "STAMP"]
    assert (list(lines["Polygon text"].x), list(lines["Polygon text"].y)) == ([0, 1000, 2000], [0.0, 0.25, 0.5])
    assert list(bands["polygon"].x) == [1000, 2000, 2000, 1000]  # none at 0, where the spread is unknown
    assert list(bands["polygon"].y) == pytest.approx([0.35, 0.6, 0.4, 0.15])
    for method, band in bands.items():
        colour = paradigm_of(method).colour
        (line,) = (trace for trace in lines.values() if trace.legendgroup == method)
        assert line.line.color == line.marker.color == colour
        assert band.fillcolor.startswith(
            f"rgba({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:], 16)}, 0."
        )
        assert band.fill == "toself"
    assert list(lines["STAMP"].customdata) == ["0.500, 0.400 to 0.600 (n 9)", "0.750, 0.650 to 0.850 (n 9)"]
    assert lines["Polygon text"].customdata[0] == "0.000 (n 1)"


def test_a_method_has_one_symbol_in_both_panels() -> None:
    found: dict[str, set[str]] = {}
    for kind in KINDS:
        for trace in learning_figure(POINTS, kind).data:
            if trace.mode == "lines+markers":
                found.setdefault(trace.legendgroup, set()).add(trace.marker.symbol)
    assert {method: len(symbols) for method, symbols in found.items()} == {"polygon": 1, "embedding": 1, "stamp": 1}
    assert len(set.union(*found.values())) == 3


def test_figures_have_no_background_and_say_what_is_missing() -> None:
    for figure in (learning_figure(POINTS, "question"), learning_figure((), "mask")):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.height
    assert learning_figure(POINTS[:3], "question").layout.annotations[0].text == "No training recorded this."


def test_the_best_is_named_where_all_were_measured() -> None:
    assert takeaway(POINTS) == (
        "After 2000 pictures, STAMP has the best masks (IoU 0.75). "
        "After 2000 pictures, Embedding answers most questions right (0.625)."
    )
    ahead = (*POINTS, point("polygon", "mask", 4000, 0.9))  # nobody else has seen as many
    assert takeaway(ahead).startswith("After 2000 pictures, STAMP has the best masks (IoU 0.75).")
    ties = (*POINTS, point("embedding", "mask", 2000, 0.75), point("polygon", "question", 2000, 0.625))
    assert takeaway(ties) == (
        "After 2000 pictures, STAMP and Embedding have the best masks (IoU 0.75). "
        "After 2000 pictures, Embedding and Polygon text answer most questions right (0.625)."
    )
    apart = (point("stamp", "mask", 10, 0.5), point("polygon", "mask", 20, 0.5))
    assert takeaway(apart) == "The methods were not measured after the same number of pictures."
    alone = [one for one in POINTS if one.method == "stamp"]
    assert takeaway(alone) == (
        "After 2000 pictures, STAMP: mean IoU of masks 0.75. After 2000 pictures, STAMP: share of questions right 0.5."
    )
    assert "1 to 9 answers per point" in learning_words(POINTS)
    assert learning_words(()) == ""


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("benchmarks.scoring.curves.ASSETS", tmp_path / "assets")
    (tmp_path / "assets" / "nano-stamp").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    return tmp_path / "assets"


def shown(results: Results) -> Any:
    return board_view(results, Filters(), [])


def test_the_card_is_hidden_until_a_training_has_written_a_curve(assets: Path, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    page = shown(store.get())
    assert (page["learning_card"].visible, page["learning_words"]) == (False, "")
    lines = [
        {"pictures": 100, "picture": str(seed), "kind": kind, "question": "?", "score": 1}
        for seed in (1, 2)
        for kind in ("mask", "question")
    ]
    path = assets / "nano-stamp" / "curve.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = shown(store.get())  # noticed
    assert page["learning_card"].visible
    assert "After 100 pictures, STAMP: mean IoU of masks 1." in unescape(page["learning_words"])
    for kind in ("mask", "question"):
        (line,) = (trace for trace in page[f"learning_{kind}"].data if trace.showlegend is not False)
        assert (list(line.x), list(line.y)) == ([100], [1.0])
    assert not {name for name in view(store.get(), Filters()) if name.startswith("learning")}  # no filter changes it


def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_shown(assets: Path, tmp_path: Path) -> None:
    line = json.dumps({"pictures": 100, "picture": "1", "kind": "mask", "question": "?", "score": 0.5})
    (assets / "nano-stamp" / "curve.jsonl").write_text(f"{line}\n{line[:30]}")
    results = read_results(tmp_path / "results")
    (problem,) = results.problems
    assert problem.startswith("nano-stamp/curve.jsonl, line 2: ")
    assert str(tmp_path) not in problem
    assert [one.score.value for one in results.curves] == [0.5]
