"""The explorer: samples in the order asked for, cards that show the records, and words where something is missing."""

import re
from html import unescape
from pathlib import Path

import pytest

from demo.board.explorer import DISAGREEMENT, IN_ORDER, WORST, listed, sample_html, step
from demo.board.filters import Filters
from demo.board.library import Library
from demo.board.results import Results, read_results
from tests.benchmarks.tiny import write_scenes
from tests.demo.runs import write_run

FILTERS = Filters("scenes", "known")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Results:
    root = tmp_path_factory.mktemp("results")
    write_run(root / "run", data)
    return read_results(root)


def scores(results: Results) -> dict[str, list[float]]:
    """By "run/split/sample", of the view, straight from the records."""
    found: dict[str, list[float]] = {}
    for record in results.runs[0].records:
        if record.split == "known":
            score = float(bool(record.correct))
            if record.union is not None:
                score = (record.intersection or 0) / max(record.union, 1)
            if record.no_target and record.union == 0:
                score = 1.0
            found.setdefault(f"run/known/{record.sample}", []).append(score)
    return found


def test_orders(results: Results) -> None:
    by_key = scores(results)
    keys = [value for _, value in listed(results, FILTERS, IN_ORDER).entries]
    assert keys == list(by_key)
    apart = [max(own) - min(own) for key in _keys(results, DISAGREEMENT) for own in [by_key[key]]]
    assert apart == sorted(apart, reverse=True)
    means = [sum(own) / len(own) for key in _keys(results, WORST) for own in [by_key[key]]]
    assert means == pytest.approx(sorted(means))


def _keys(results: Results, order: str) -> list[str]:
    return [value for _, value in listed(results, FILTERS, order).entries]


def test_steps_go_round() -> None:
    entries = [("a", "1"), ("b", "2"), ("c", "3")]
    assert [step(entries, "1", 1), step(entries, "3", 1), step(entries, "1", -1)] == ["2", "1", "3"]
    assert step(entries, "gone", 1) == "1"
    assert step([], "1", 1) is None


def test_cards_show_truth_and_every_method(results: Results, data: Path) -> None:
    key = next(key for key in _keys(results, IN_ORDER) if key.endswith("e0"))
    html = sample_html(results, Library({"scenes": data}), FILTERS, key)
    assert [unescape(title) for title in re.findall(r"<header><b>(.*?)</b>", html)] == [
        "ground truth", "Patch text", "Polygon text", "STAMP",
    ]  # fmt: skip
    assert html.count("<polygon ") == 1
    assert html.count("<circle ") == 3
    for record in results.runs[0].records:
        if f"run/known/{record.sample}" == key:
            assert f"IoU {(record.intersection or 0) / (record.union or 1):.2f}" in unescape(html)
    one = sample_html(results, Library({"scenes": data}), Filters(methods=("stamp",)), key)
    assert "Patch text" not in unescape(one)


def test_questions_show_the_right_answer(results: Results, data: Path) -> None:
    key = next(key for key in _keys(results, IN_ORDER) if key.endswith("q0"))
    html = unescape(sample_html(results, Library({"scenes": data}), FILTERS, key))
    assert "one or 1" in html
    assert "right" in html


def test_without_the_pictures_the_answers_are_still_shown(results: Results, tmp_path: Path) -> None:
    key = _keys(results, IN_ORDER)[0]
    html = unescape(sample_html(results, Library({"scenes": tmp_path}), FILTERS, key))
    assert "--data scenes=FOLDER" in html
    assert "IoU" in html
    other = write_scenes(tmp_path / "other", per_split=4)
    assert "are not the ones that this run used" in unescape(
        sample_html(results, Library({"scenes": other}), FILTERS, key)
    )


@pytest.mark.parametrize("key", [None, "", "run", "run/known/none", "../../x/known/e0"])
def test_a_sample_that_is_not_there(results: Results, data: Path, key: str | None) -> None:
    assert "No sample" in sample_html(results, Library({"scenes": data}), FILTERS, key)


def test_text_of_models_is_never_markup(results: Results, data: Path) -> None:
    from dataclasses import replace

    run = results.runs[0]
    records = tuple(replace(record, raw_output="<img src=http://x/y.png> **b**") for record in run.records)
    spoiled = Results((replace(run, records=records),))
    key = _keys(results, IN_ORDER)[0]
    html = sample_html(spoiled, Library({"scenes": data}), FILTERS, key)
    assert "<img" not in html
    assert "&#60;img" in html
