"""Masks as words, half written: what can be drawn never takes back what was drawn before."""

from collections.abc import Callable, Sequence

import pytest

from benchmarks.baselines.patches import GRID
from demo.board.partial import cells, vertices


@pytest.mark.parametrize(
    "text", ["", "no numbers", "<x", "<x1>", "<x1><y", "<y1><x2>", "<x1><x2>", "<x1> <y2>", "<xa><yb>", "<x-1><y2>"]
)
def test_what_is_no_vertex_yet(text: str) -> None:
    assert vertices(text) == []


@pytest.mark.parametrize("text", ["", "words, words", "<row3", "<row3>", "<0-3>", "<row16><0-3>", "<row3><5-4>"])
def test_no_cells_yet(text: str) -> None:
    assert cells(text) == []


def test_runs_never_leave_the_grid() -> None:
    found = cells("".join(f"<row{row}><0-99><3-9>" for row in range(GRID + 5)))
    assert len(found) == len(set(found)) == GRID * GRID
    assert max(found) == (GRID - 1, GRID - 1)


def test_what_can_be_drawn_only_grows() -> None:
    corners = "Here: <x0><y31><x31><y0><x4><y5><close><x1><y2><x3><y4><x99><y1><close>, and"
    expected = [(0, 0.0, 1.0), (0, 1.0, 0.0), (0, 4 / 31, 5 / 31), (1, 1 / 31, 2 / 31), (1, 3 / 31, 4 / 31)]
    grows(vertices, corners, [*expected, (1, 1.0, 1 / 31)])
    runs = "Here: <row3><0-1><4-5><row7><15-99><1-1><row16><0-3>"
    grows(cells, runs, [(3, 0), (3, 1), (3, 4), (3, 5), (7, 15), (7, 1)])


def grows(read: Callable[[str], Sequence[object]], text: str, expected: Sequence[object]) -> None:
    seen: Sequence[object] = []
    for end in range(len(text) + 1):
        found = read(text[:end])
        assert found[: len(seen)] == seen
        seen = found
    assert seen == expected
