"""Folders that are good but differ from the published ones, and folders that lack what only shows later."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stamp import StampPredictor
from stamp.errors import CheckpointError

MODELS = Path(__file__).parents[1] / "parity" / "models"
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 4418050848\n".format("0" * 64)


def load(folder: Path, **options: object) -> StampPredictor:
    return StampPredictor.from_pretrained(folder, device="cpu", dtype="float32", **options)


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS / "tied", tmp_path / "tied"))


def mask_of(stamp: StampPredictor) -> np.ndarray:
    return stamp.predict_masks(PICTURE, "Segment it.", "Here <|seg|>").mask_logits[0]


def test_the_image_processor_inside_processor_config(tied: Path) -> None:
    """As transformers 5 saves a whole processor."""
    stock = json.loads((tied / "preprocessor_config.json").read_text())
    size = {"shortest_edge": 28 * 28 * 20, "longest_edge": 28 * 28 * 30}
    ours = {name: value for name, value in stock.items() if not name.endswith("_pixels")} | {"size": size}
    nested = {"image_processor": ours, "processor_class": "Qwen2VLProcessor"}
    (tied / "processor_config.json").write_text(json.dumps(nested))
    (tied / "preprocessor_config.json").unlink()
    processor = load(tied).processor.image_processor
    assert (processor.size["shortest_edge"], processor.size["longest_edge"]) == (28 * 28 * 20, 28 * 28 * 30)
    assert list(processor.image_mean) == stock["image_mean"]


def test_a_processor_config_without_an_image_processor(tied: Path) -> None:
    (tied / "processor_config.json").write_text('{"processor_class": "Qwen2VLProcessor"}')
    (tied / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no preprocessor_config\.json"):
        load(tied)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "preprocessor_config.json"])
def test_a_clone_without_git_lfs(tied: Path, name: str) -> None:
    (tied / name).write_text(POINTER)
    with pytest.raises(CheckpointError, match=rf"{name} in .* git-lfs pointer.*`git lfs pull`"):
        load(tied)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_cloned_without_git_lfs(tmp_path: Path, name: str) -> None:
    adapter = shutil.copytree(MODELS / "lora_adapter", tmp_path / "adapter")
    (adapter / name).write_text(POINTER)
    with pytest.raises(CheckpointError, match=rf"{name} in .* git-lfs pointer"):
        load(adapter, base=str(MODELS / "lora_base"))


def test_a_template_in_a_file_of_its_own(tied: Path) -> None:
    expected = mask_of(load(tied))
    template = (tied / "chat_template.jinja").read_text()
    (tied / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="has no chat template"):
        load(tied)
    (tied / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    np.testing.assert_array_equal(mask_of(load(tied)), expected)
    (tied / "chat_template.json").write_text(json.dumps({"chat_template": 5}))
    with pytest.raises(CheckpointError, match="has no chat template"):
        load(tied)


def test_an_adapter_with_a_tokenizer_but_no_template_takes_that_of_its_base(tmp_path: Path) -> None:
    plain = load(MODELS / "lora_adapter", base=str(MODELS / "lora_base"))
    adapter = Path(shutil.copytree(MODELS / "lora_adapter", tmp_path / "adapter"))
    plain.processor.tokenizer.save_pretrained(adapter)
    (adapter / "chat_template.jinja").unlink()
    again = load(adapter, base=str(MODELS / "lora_base"))
    np.testing.assert_array_equal(mask_of(again), mask_of(plain))
