"""Reads masks that a method writes as text while it writes them: the parts that can already be drawn.

Only used for drawing. Scores come from the method's own prediction, which parses the whole answer strictly.
"""

import re

from benchmarks.baselines import polygon_tokens
from benchmarks.baselines.patches import BACKGROUND, GRID
from benchmarks.baselines.polygons import LAST_STEP

_PAIR = re.compile(r"\[\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\]")
_RUN = re.compile(r"([^,*\n]+?)\s*\*\s*(\d{1,3})(?=\s*[,\n]|\s*$)")

_CORNER_TOKEN = re.compile(r"<(\d{1,2}),(\d{1,2})>|<close>")
_RUN_TOKEN = re.compile(r"<row(\d{1,2})>|<(\d{1,2})-(\d{1,2})>")

Vertex = tuple[int, float, float]
Cell = tuple[int, int]


def vertices(text: str) -> list[Vertex]:
    """(contour, x, y) of every vertex that is complete, x and y 0..1 of the picture; contours count from 0."""
    return _vertex_tokens(text) or _written_vertices(text)


def _vertex_tokens(text: str) -> list[Vertex]:
    found: list[Vertex] = []
    contour, is_open = -1, False
    for match in _CORNER_TOKEN.finditer(text):
        if match[1] is None:
            is_open = False
            continue
        contour, is_open = contour + (not is_open), True
        x, y = (min(int(number) / polygon_tokens.LAST_STEP, 1.0) for number in match.groups())
        found.append((contour, x, y))
    return found


def _written_vertices(text: str) -> list[Vertex]:
    found: list[Vertex] = []
    contour, end = -1, None
    for match in _PAIR.finditer(text):
        if end is None or text[end : match.start()].strip(" ,\n"):
            contour += 1
        x, y = (min(int(number) / LAST_STEP, 1.0) for number in match.groups())
        found.append((contour, x, y))
        end = match.end()
    return found


def cells(text: str) -> list[Cell]:
    """(row, column) of every patch that is labelled as the object, of a grid of GRID x GRID."""
    return _run_tokens(text) or _written_cells(text)


def _run_tokens(text: str) -> list[Cell]:
    found: dict[Cell, None] = {}
    row = GRID
    for match in _RUN_TOKEN.finditer(text):
        if match[1] is not None:
            row = int(match[1])
        elif row < GRID:
            found |= dict.fromkeys((row, column) for column in range(int(match[2]), min(int(match[3]) + 1, GRID)))
    return list(found)


def _written_cells(text: str) -> list[Cell]:
    first = _RUN.search(text)
    if first is None:
        return []
    found: list[Cell] = []
    start = text.rfind("\n", 0, first.start()) + 1
    for row, line in enumerate(text[start:].split("\n")[:GRID]):
        column = 0
        for match in _RUN.finditer(line):
            length = min(int(match[2]), GRID - column)
            if not match[1].strip().lower().endswith(BACKGROUND):
                found += [(row, column + step) for step in range(length)]
            column += length
    return found
