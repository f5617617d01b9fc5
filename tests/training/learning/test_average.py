"""The mean of checkpoints."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from stamp import StampPredictor
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.__main__ import main
from stamp.training.learning.checkpoint import export_checkpoint


def changed(narrow: Path, folder: Path, by: float) -> Path:
    """The checkpoint with a constant added to some weights."""
    model = StampForSegmentation.from_pretrained(narrow, dtype=torch.float32)
    with torch.no_grad():
        model.classifier.weight += by
        model.model.language_model.embed_tokens.weight += by
    export_checkpoint(model, StampProcessor.from_pretrained(narrow), folder)
    (folder / "nouns.json").write_text(json.dumps({"apple": {"noto": 1}}))
    return folder


def test_each_weight_is_the_mean(narrow: Path, tmp_path: Path) -> None:
    folders = [changed(narrow, tmp_path / name, by) for name, by in (("a", 0.0), ("b", 0.5), ("c", 1.0))]
    main(["average", "--models", *map(str, folders), "--out", str(tmp_path / "mean")])
    found = StampPredictor.from_pretrained(tmp_path / "mean", device="cpu", dtype="float32").model.state_dict()
    parts = [StampPredictor.from_pretrained(one, device="cpu", dtype="float32").model.state_dict() for one in folders]
    for name, value in found.items():
        mean = torch.stack([weights[name] for weights in parts]).mean(0)
        torch.testing.assert_close(value, mean.bfloat16().float(), atol=0, rtol=2**-7)
    assert (tmp_path / "mean" / "nouns.json").read_bytes() == (folders[0] / "nouns.json").read_bytes()


def test_what_has_no_mean_is_refused(narrow: Path, tmp_path: Path) -> None:
    folder = changed(narrow, tmp_path / "a", 0.0)
    with pytest.raises(SystemExit, match="two checkpoints or more"):
        main(["average", "--models", str(folder), "--out", str(tmp_path / "mean")])
    other = shutil.copytree(folder, tmp_path / "other")
    model = StampForSegmentation.from_pretrained(folder, dtype=torch.float32)
    model.share_mask_tokens()
    export_checkpoint(model, StampProcessor.from_pretrained(folder), other)
    with pytest.raises(SystemExit, match="other weights than"):
        main(["average", "--models", str(folder), str(other), "--out", str(tmp_path / "mean")])
    assert not (tmp_path / "mean" / "config.json").exists()
