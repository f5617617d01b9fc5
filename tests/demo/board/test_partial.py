"""Masks as text, half written: what can be drawn never takes back what was drawn before."""

from collections.abc import Callable, Sequence

import pytest

from benchmarks.baselines.patches import BACKGROUND, GRID
from demo.board.partial import cells, vertices


def test_vertices_of_several_contours() -> None:
    text = "Sure, the polygon for 'crab': [[0, 99], [99, 0]], [[49, 50], [1,2],\n[3, 4]]."
    assert [(contour, round(99 * x), round(99 * y)) for contour, x, y in vertices(text)] == [
        (0, 0, 99), (0, 99, 0), (1, 49, 50), (1, 1, 2), (1, 3, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "no numbers", "[", "[[", "[[1", "[[1,", "[[1, 2", "[1, 2, 3]", "[[a, b]]", "[[-1, 2]]"]
)
def test_what_is_no_vertex_yet(text: str) -> None:
    assert vertices(text) == []


def test_coordinates_stay_in_the_picture() -> None:
    assert vertices("[[999, 50]]") == [(0, 1.0, 50 / 99)]


def test_vertices_only_ever_grow() -> None:
    text = "Here: [[10, 20], [30, 40], [50, 60]], [[70, 80], [90, 99]]"
    seen: list[tuple[int, float, float]] = []
    for end in range(len(text) + 1):
        found = vertices(text[:end])
        assert found[: len(seen)] == seen
        seen = found
    assert len(seen) == 5


def test_cells_row_by_row() -> None:
    text = f"Sure: \n{BACKGROUND}*5, crab*3, {BACKGROUND}*8\n{BACKGROUND}*16\nice cream*2, {BACKGROUND}*14"
    assert cells(text) == [(0, 5), (0, 6), (0, 7), (2, 0), (2, 1)]


def test_runs_never_leave_the_grid() -> None:
    text = "\n".join(["crab*99, crab*9"] * (GRID + 5)) + "\n"
    found = cells(text)
    assert len(found) == len(set(found)) == GRID * GRID
    assert max(found) == (GRID - 1, GRID - 1)


@pytest.mark.parametrize("text", ["", "words, words", "crab*", "crab", f"{BACKGROUND}*16"])
def test_no_cells_yet(text: str) -> None:
    assert cells(text) == []


def test_cells_only_ever_grow() -> None:
    text = f"Sure.\n{BACKGROUND}*3, crab*12, {BACKGROUND}*1\ncrab*16\n{BACKGROUND}*16\n"
    seen: list[tuple[int, int]] = []
    for end in range(len(text) + 1):
        found = cells(text[:end])
        assert found[: len(seen)] == seen
        seen = found
    assert len(seen) == 28


def test_location_tokens_grow_too() -> None:
    corners = "Here: <0,31><31,0><4,5><close><1,2><3,4><99,1><close>, and"
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
