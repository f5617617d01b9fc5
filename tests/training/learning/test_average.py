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
from stamp.training.learning.nano import image_processor
from tests.benchmarks.nano import write_embedding


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
    assert not (tmp_path / "mean").exists()


def test_weights_of_the_same_shapes_may_have_no_mean(narrow: Path, tmp_path: Path) -> None:
    """Other words, other picture sizes, and the weights of a head that STAMP does not have."""
    folder = changed(narrow, tmp_path / "a", 0.0)
    words, sizes = (shutil.copytree(folder, tmp_path / name) for name in ("words", "sizes"))
    tokenizer = json.loads((words / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    one, other = sorted(vocabulary, key=vocabulary.get)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    (words / "tokenizer.json").write_text(json.dumps(tokenizer))
    image_processor(6).save_pretrained(sizes)
    for second, message in ((words, "words has other words than"), (sizes, "sizes has other picture sizes than")):
        with pytest.raises(SystemExit, match=message):
            main(["average", "--models", str(folder), str(second), "--out", str(tmp_path / "mean")])
    heads = [str(write_embedding(tmp_path / name)) for name in ("b", "c")]
    with pytest.raises(SystemExit, match=r"no checkpoint of StampForSegmentation: \d+ weights, as mask_decoder"):
        main(["average", "--models", *heads, "--out", str(tmp_path / "mean")])
    assert not (tmp_path / "mean").exists()


@pytest.mark.parametrize("command", ["scenes", "examples", "balance", "average"])
def test_a_folder_with_files_is_not_written_into(command: str, narrow: Path, tmp_path: Path) -> None:
    """Before anything else is done; so a mean cannot replace one of its own checkpoints."""
    folder = changed(narrow, tmp_path / "a", 0.0)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    more = ["--models", str(folder), str(folder)] if command == "average" else []
    with pytest.raises(SystemExit, match=r"a is not empty; name a new folder, or remove this one first\."):
        main([command, "--out", str(folder), *more])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
