"""What the About tab says of the small model."""

import json
from pathlib import Path

from demo.about import limits
from stamp.checkpoints.sources import NOUNS_FILE, PHOTO_FIGURES_FILE


def test_limits_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    assert limits(tmp_path) == ""
    (tmp_path / NOUNS_FILE).write_text(json.dumps({"apple": {"noto": 2}, "cat": {"noto": 1, "photographs": 9}}))
    words = " ".join(limits(tmp_path).split())
    assert "knows 2 objects" in words
    assert "1 from photographs as well" in words
    assert "does **not** understand photographs" in limits(tmp_path)
    score = {"value": 0.412, "low": 0.35, "high": 0.47, "n": 321}
    figures = {"min_area_share": 0.03, "rows": [{"scores": {"target gIoU": score}}]}
    (tmp_path / PHOTO_FIGURES_FILE).write_text(json.dumps(figures))
    text = " ".join(limits(tmp_path).split())
    assert "does **not** understand" not in text
    for figure in ("cover 3% of the picture", "mean IoU of 0.41", "321 requests", "0.35 to 0.47"):
        assert figure in text, figure
