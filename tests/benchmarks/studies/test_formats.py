"""What the forms of masks allow: a right mask there and back, and its tokens."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets.sample import MaskSample, Truth
from benchmarks.studies.formats import formats_table, study_formats, write_formats
from tests.benchmarks.nano import make_processor


def sample_of(mask: np.ndarray, folder: Path) -> MaskSample:
    """A picture in which the object is bright."""
    path = folder / f"{mask.sum()}.png"
    Image.fromarray(np.repeat(mask[..., None] * np.uint8(200), 3, axis=2)).save(path)
    return MaskSample(
        "scenes", "known", path.stem, "segment", path, "segment it", no_target=False, truth=lambda: Truth(mask)
    )


def test_a_box_of_whole_cells_is_nearly_perfect_in_every_form(tmp_path: Path) -> None:
    mask = np.zeros((96, 96), dtype=bool)
    mask[24:60, 36:84] = True  # 6 x 6 cells of 16 px, 16 x 16 patches of 6 px
    nothing = np.zeros((96, 96), dtype=bool)
    processor = make_processor()
    rows = list(study_formats([sample_of(mask, tmp_path), sample_of(nothing, tmp_path)], processor))
    found = {row["form"]: row for row in rows}
    assert len(rows) == len(found) == 6  # nothing to draw is left out
    assert {row["sample"] for row in rows} == {str(mask.sum())}
    assert min(row["iou"] for row in rows) > 0.9
    assert found["patch_text"]["iou"] == found["patch_text, plain text"]["iou"]
    tokens = {name: row["tokens"] for name, row in found.items()}
    assert (tokens["stamp"], tokens["embedding"]) == (1, 1)
    assert tokens["polygon"] == 2 * 4 + 1  # two a corner, and the end of the contour
    assert tokens["patch_text"] == 6 + 6  # rows of patches that have the object, and one run in each
    text = "[[37, 25], [87, 25], [87, 62], [37, 62]]"  # rint(99 / 95 * pixel)
    assert tokens["polygon, plain text"] == len(processor.encode_plain(text))


def test_scores_are_means_over_masks(tmp_path: Path) -> None:
    rows = [
        {"split": "known", "picture": name, "sample": name, "form": "polygon", "iou": iou, "tokens": tokens}
        for name, iou, tokens in (("a", 0.8, 10), ("b", 0.9, 13))
    ]
    text = write_formats(rows, {"seed": 0}, tmp_path)
    assert text.splitlines()[-1].startswith("| polygon | 0.850 [")
    assert text.endswith("| 11.5 |")
    assert formats_table({"scores": {"x": {"iou": 0.5, "low": 0.4, "high": 0.6, "tokens": 1.0}}}).endswith(
        "| x | 0.500 [0.400, 0.600] | 1.0 |"
    )
    assert pytest.approx(11.5) == float(text.split("|")[-2])
