"""The ranked table and the verdicts above and below it say what pairs on the same requests decide."""

import re
from dataclasses import replace
from html import unescape
from itertools import pairwise
from xml.etree import ElementTree

import pandas as pd
import pytest

from benchmarks.scoring.intervals import Interval
from benchmarks.scoring.pairs import Pair, Pairs
from demo.board.filters import Filters, rows_of, with_labels
from demo.board.names import method_name, name_of
from demo.board.pairing import pairs_of, tied_with
from demo.board.ranking import COLUMNS, best_cells, ranking_html, ranks
from demo.board.results import Results
from demo.board.takeaways import SEVERAL, verdict
from demo.board.verdicts import headline_html, matrices_html, percent

KNOWN = Filters("scenes", "known")


def view(results: Results, filters: Filters = KNOWN) -> tuple[pd.DataFrame, Pairs]:
    rows = with_labels(rows_of(filters, results))
    return rows, pairs_of(results, filters, rows)


def cells(html: str, table: str = "ranking") -> list[list[str]]:
    """Words of each line of a table, the head first."""
    found = re.search(f'<table class="{table}">.*?</table>', html, re.DOTALL)
    assert found
    return [["".join(cell.itertext()) for cell in line] for line in ElementTree.fromstring(found[0]).iter("tr")]


def decided(difference: float) -> Pair:
    return Pair(Interval(difference, difference - 0.01, difference + 0.01, 9), 1.0 if difference > 0 else 0.0)


def undecided(difference: float, probability: float) -> Pair:
    return Pair(Interval(difference, -0.1, 0.1, 9), probability)


#: Columns of one workload.
FIXED = {
    "dataset": "x", "data": "x", "split": "x", "n": 9, "questions": 9, "seed": 0, "hardware": "x", "threads": 1,
    "tokens": None,
}  # fmt: skip
#: a and b are even; c loses to both.
THREE = pd.DataFrame(
    {"label": ["c", "b", "a"], "gIoU": [0.2, 0.69, 0.7], "dialogue": [None] * 3, "median s": [1, 2, 3]}
)
PAIRS: Pairs = {
    "gIoU": {
        ("a", "b"): undecided(0.01, 0.6), ("b", "a"): undecided(-0.01, 0.4), ("a", "c"): decided(0.5),
        ("c", "a"): decided(-0.5), ("b", "c"): decided(0.49), ("c", "b"): decided(-0.49),
    }
}  # fmt: skip


def test_methods_that_tie_share_a_rank() -> None:
    assert ranks(THREE, PAIRS) == {"a": 1, "b": 1, "c": 3}
    assert ranks(THREE, {}) == ranks(THREE, {"gIoU": {}}) == {}


def test_who_was_not_compared_has_no_rank_is_not_bold_and_no_tie() -> None:
    """Of a and b nothing is known: they may have no sample in common."""
    apart: Pairs = {"gIoU": {key: pair for key, pair in PAIRS["gIoU"].items() if "c" in key}}
    rows = THREE.assign(**{"cIoU": None, "P@0.5": None})
    assert ranks(THREE, apart) == {"c": 3}
    assert best_cells(rows, apart) == set()
    assert tied_with(apart, "gIoU", "a", ["a", "b", "c"]) == []
    only = rows.assign(**FIXED)
    assert "a</b></p>" in headline_html(only, apart)  # better than c, but than b?
    assert "a</b></p>" in headline_html(only, {"gIoU": {}})
    assert "a</b> is significantly better than the other.</p>" in headline_html(only[only["label"] != "b"], apart)


def test_answers_that_ended_in_an_error_are_counted_below_the_table(results: Results) -> None:
    rows, pairs = view(results)
    assert "error" not in ranking_html(rows, pairs)
    rows["errors"] = rows["method"].map({"stamp": 3, "polygon": 1, "patch_text": 0})
    said = {f"Polygon text {1}", f"STAMP {3}"}
    (found,) = re.findall(r"Answers that ended in an error: (.*?)\.<", ranking_html(rows, pairs))
    assert set(found.split(", ")) == said


def test_bold_is_what_nobody_beats_beyond_chance() -> None:
    rows = THREE.assign(**{"cIoU": None, "P@0.5": None})
    assert best_cells(rows, PAIRS) == {("a", "gIoU"), ("b", "gIoU")}
    assert best_cells(rows.iloc[1:], {"gIoU": {key: PAIRS["gIoU"][key] for key in (("a", "b"), ("b", "a"))}}) == set()


def test_rows_come_best_first_with_their_figures(results: Results) -> None:
    rows, pairs = view(results)
    head, *lines = cells(ranking_html(rows, pairs))
    assert head[:3] == ["#", "Method", "gIoU"]
    assert {line[1] for line in lines} == {"STAMP", "Polygon text", "Patch text"}
    for above, below in pairwise(lines):
        assert float(above[2][:5]) >= float(below[2][:5])
    for line in lines:
        (row,) = (one for _, one in rows.iterrows() if one["label"] == line[1])
        assert line[2] == f"{row['gIoU']:.3f}{row['gIoU low']:.2f} to {row['gIoU high']:.2f}"
    assert "a test machine" in ranking_html(rows, pairs)


def test_every_figure_is_explained_on_hover_and_below(results: Results) -> None:
    html = unescape(ranking_html(*view(results)))
    for column in COLUMNS:
        if f"<dt>{column.heading}</dt>" in html:
            assert html.count(column.meaning) == 2
    assert "<dt>gIoU</dt>" in html
    assert "<p>Small figures: 95% interval over pictures. Bold: no other method is significantly better. " in html


def test_methods_of_equal_budget_are_named_and_others_have_a_star(results: Results) -> None:
    rows, pairs = view(results)
    budgets = rows["method"].map({"stamp": ("<bone>", 20.0), "polygon": ("<bone>", 20.0), "patch_text": (None, None)})
    rows = rows.assign(trained_from=[start for start, _ in budgets], pictures_seen=[seen for _, seen in budgets])
    rows["note"] = rows["method"].map({"patch_text": "another one"})
    html = ranking_html(rows, pairs)
    named = " and ".join(name for name in rows["label"] if name != "Patch text")
    assert f"<p>Equal budget, trained from &lt;bone&gt; on 20 pictures each: {named}.</p>" in html
    assert "<p>* Patch text: another one.</p>" in html
    assert html.count('class="star"') == 1
    assert "Equal budget" not in ranking_html(rows[rows["method"] != "stamp"], pairs)  # with what?
    assert "Equal budget" not in ranking_html(*view(results))  # scripted methods have no records


def test_rows_of_several_splits_have_no_rank_and_no_verdict(results: Results) -> None:
    rows, pairs = view(results, Filters("scenes"))
    assert pairs == {}
    head, *lines = cells(ranking_html(rows, pairs))
    assert head[:3] == ["Method", "Split", "gIoU"]
    assert {line[1] for line in lines} == {"Familiar drawings", "Unseen styles", "Unseen backgrounds"}
    assert SEVERAL in unescape(headline_html(rows, pairs))
    assert matrices_html(rows, pairs) == ""


def test_headlines_name_the_best_and_how_sure_that_is(results: Results) -> None:
    rows, pairs = view(results)
    html = unescape(headline_html(rows, pairs))
    best = rows.loc[rows["gIoU"].idxmax()]
    assert f"{best['gIoU']:.2f} <small>mean IoU (gIoU)</small>" in html
    assert html.count('class="headline"') == 3
    said = unescape(headline_html(THREE.assign(**FIXED), PAIRS))
    assert "a</b> leads, but not significantly: b may be as good." in said


def test_equal_figures_are_called_equal() -> None:
    rows = THREE.assign(**FIXED | {"gIoU": [0.2, 0.7, 0.7]})
    assert "b</b> and a have the same figure.</p>" in headline_html(rows, PAIRS)
    assert verdict(rows, PAIRS) == "c is the fastest (1 s). b and a have the highest gIoU, 0.70."


def test_seconds_and_tokens_of_answers_in_words_are_not_called_those_of_masks(results: Results) -> None:
    rows, pairs = view(results, replace(KNOWN, kind="count"))
    assert rows["median s"].notna().all()
    assert "Fastest masks" not in headline_html(rows, pairs)
    head, *_ = cells(ranking_html(rows, pairs))
    assert head == ["#", "Method", "Questions right"]
    some = rows.assign(n=[3, 0, 0])  # of a task that only one method was asked masks of
    head, *lines = cells(ranking_html(some, pairs))
    assert [line[head.index("Seconds")] != "–" for line in lines].count(True) == 1


def test_the_matrix_has_a_probability_for_every_pair(results: Results) -> None:
    rows, pairs = view(results)
    head, *lines = cells(matrices_html(rows, pairs), "matrix")
    labels = head[1:]
    assert [line[0] for line in lines] == labels
    for a, line in zip(labels, lines, strict=True):
        for b, shown in zip(labels, line[1:], strict=True):
            pair = pairs["gIoU"].get((a, b))
            assert (shown == "") == (a == b)
            if pair is not None and pair.probability is not None:
                assert shown == unescape(percent(pair.probability)) + f"{pair.difference.value:+.2f}"


def test_nothing_is_shown_of_nothing() -> None:
    none = Results().rows.assign(label=[])
    assert ranking_html(none, {}) == headline_html(none, {}) == matrices_html(none, {}) == ""


def test_names_of_a_folder_are_never_markup(results: Results) -> None:
    rows, _ = view(results)
    assert "<img" not in ranking_html(rows.assign(method="<img src=x>", note="<b>", hardware="<i>"), {})


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("stamp", "STAMP"), ("stamp:int8+none", "STAMP (int8, no edge refinement)"), ("other:x", "other (x)"),
        ("polygon:published", "Polygon text (published model)"),
    ],
)  # fmt: skip
def test_methods_have_peoples_names(label: str, name: str) -> None:
    assert method_name(label) == name_of("method", label) == name


@pytest.mark.parametrize(("probability", "words"), [(1.0, "&gt;99%"), (0.0, "&lt;1%"), (0.5, "50%"), (0.987, "99%")])
def test_a_bootstrap_is_never_certain(probability: float, words: str) -> None:
    assert percent(probability) == words
