"""Reads masks that a method writes as words while it writes them: the parts that can already be drawn.

Only used for drawing. Scores come from the method's own prediction, which parses the whole answer strictly.
"""

import re

from benchmarks.baselines.patches import GRID
from benchmarks.baselines.polygon_tokens import LAST_STEP

_CORNER = re.compile(r"<x(\d{1,2})><y(\d{1,2})>|<close>")
_RUN_OR_ROW = re.compile(r"<row(\d{1,2})>|<(\d{1,2})-(\d{1,2})>")

Vertex = tuple[int, float, float]
Cell = tuple[int, int]


def vertices(text: str) -> list[Vertex]:
    """(contour, x, y) of every vertex that is complete, x and y 0..1 of the picture; contours count from 0."""
    found: list[Vertex] = []
    contour, is_open = -1, False
    for match in _CORNER.finditer(text):
        if match[1] is None:
            is_open = False
            continue
        contour, is_open = contour + (not is_open), True
        x, y = (min(int(number) / LAST_STEP, 1.0) for number in match.groups())
        found.append((contour, x, y))
    return found


def cells(text: str) -> list[Cell]:
    """(row, column) of every patch that is labelled as the object, of a grid of GRID x GRID."""
    found: dict[Cell, None] = {}
    row = GRID
    for match in _RUN_OR_ROW.finditer(text):
        if match[1] is not None:
            row = int(match[1])
        elif row < GRID:
            found |= dict.fromkeys((row, column) for column in range(int(match[2]), min(int(match[3]) + 1, GRID)))
    return list(found)
