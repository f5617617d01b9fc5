"""The training curves: from a log, as a picture."""

from pathlib import Path
from xml.etree import ElementTree

from stamp.training.card.curves import draw_curves, elapsed_minutes

LOG = [
    {"stage": "words", "step": 20, "seconds": 60.0, "text": 2.0, "inside": 0.5},
    {"stage": "words", "step": 40, "seconds": 120.0, "text": 1.0, "inside": 0.4},
    {"stage": "vision", "step": 20, "seconds": 30.0, "dense": 1.5, "cells": 0.2},
    {"stage": "masks", "step": 20, "seconds": 90.0, "text": 0.5, "mask": 0.3, "cells": 0.5, "iou": 0.4},
]


def test_time_goes_on_where_a_run_began_from_the_weights_of_another() -> None:
    assert elapsed_minutes(LOG) == [1.0, 2.0, 2.5, 3.5]


def test_every_figure_of_the_log_becomes_a_curve(tmp_path: Path) -> None:
    draw_curves(LOG, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    for title in ("losses", "share of object cells named right", "mask IoU on the grid"):
        assert f"<!-- {title} -->" in drawn
    for name in ("text", "mask", "dense", "inside"):
        assert f"<!-- {name} -->" in drawn
