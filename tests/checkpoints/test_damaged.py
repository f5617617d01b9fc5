"""Checkpoints whose files lie: each ends in a sentence that names what is wrong, before anything large is made."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stamp import StampPredictor
from stamp.checkpoints.loading import export_checkpoint
from stamp.checkpoints.sources import INDEX_FILE, find_base
from stamp.errors import CheckpointError
from stamp.files import StorageError
from tests.disks import TOO_LARGE, full_after

PARITY = Path(__file__).parents[1] / "parity"
PICTURE = PARITY / "images" / "land_200x120.png"


def load(folder: Path, **options: object) -> StampPredictor:
    return StampPredictor.from_pretrained(folder, device="cpu", dtype="float32", **options)


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PARITY / "models" / "tied", tmp_path / "tied"))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PARITY / "models" / "lora_adapter", tmp_path / "adapter"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "file",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "",
        5,
        None,
        ["model.safetensors"],
        {"a": 1},
        "a\0.safetensors",
        "m.bin",
    ],
)
def test_an_index_names_files_of_its_folder_only(tied: Path, file: object) -> None:
    (tied / INDEX_FILE).write_text(json.dumps({"weight_map": {"a": "model.safetensors", "b": file}}))
    with pytest.raises(CheckpointError, match=r"index\.json is damaged: it names .* as a weight file"):
        load(tied)


@pytest.mark.parametrize("weight_map", [None, 5, [], {}])
def test_an_index_without_a_map(tied: Path, weight_map: object) -> None:
    (tied / INDEX_FILE).write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(CheckpointError, match=r"index\.json is damaged"):
        load(tied)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", lambda c: c.update(text_config=5)),
        ("config.json", lambda c: c.update(vision_config=[1])),
        ("config.json", lambda c: c["text_config"].update(hidden_size="wide")),
        ("config.json", lambda c: c["text_config"].update(num_attention_heads=0)),
        ("config.json", lambda c: c["text_config"].update(rope_parameters=3, rope_scaling=3)),
        ("config.json", lambda c: c.update(quantization_config=[1])),
        ("config.json", lambda c: c.update(quantization_config={"quant_method": ["x"]})),
        ("config.json", lambda c: c.update(mask_position_mode=["image"])),
        ("preprocessor_config.json", lambda c: c.update(size=7)),
        ("preprocessor_config.json", lambda c: c.update(patch_size="x")),
        ("tokenizer.json", lambda c: c.update(model=5)),
        ("tokenizer_config.json", lambda c: c.update(added_tokens_decoder=[1], tokenizer_class=["x"])),
    ],
)
def test_numbers_where_others_belong(tied: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    edit(tied / name, change)
    with pytest.raises(CheckpointError):
        load(tied)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "5", "\0", '"\ud800"'])
def test_files_that_are_no_json_object(tied: Path, name: str, content: str) -> None:
    (tied / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(CheckpointError):
        load(tied)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["text_config"].update(intermediate_size=10**7),
        lambda c: c["text_config"].update(vocab_size=10**13),
        lambda c: c["text_config"].update(intermediate_size=10**12),
        lambda c: c["vision_config"].update(mlp_ratio=10**12),
    ],
)
def test_sizes_that_lie_make_no_such_model(tied: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(tied / "config.json", change)
    with pytest.raises(CheckpointError, match=r"config\.json .* its files hold"):
        load(tied)


@pytest.mark.parametrize("layers", [10**12, 0, -1, 2.5, "2", None, [2]])
@pytest.mark.parametrize(("part", "name"), [("text_config", "num_hidden_layers"), ("vision_config", "depth")])
def test_numbers_of_layers_that_lie(tied: Path, part: str, name: str, layers: object) -> None:
    def change(config: dict[str, Any]) -> None:
        config[part].pop("layer_types", None)
        config[part][name] = layers

    edit(tied / "config.json", change)
    with pytest.raises(CheckpointError, match=rf"config\.json is damaged: {name} is "):
        load(tied)


@pytest.mark.parametrize("values", [torch.nan, torch.inf])
@pytest.mark.parametrize("part", ["", "classifier.weight", "model.layers.0.mlp.up_proj.weight"])
def test_weights_that_are_no_numbers(tied: Path, part: str, values: float) -> None:
    weights = load_file(tied / "model.safetensors")
    spoilt = {name: torch.full_like(value, values) if part in name else value for name, value in weights.items()}
    save_file(spoilt, tied / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="tied holds values that are not finite numbers") as caught:
        load(tied)
    assert part.removeprefix("model.") in str(caught.value)


@pytest.mark.parametrize("part", ["model.layers.1.mlp.down_proj.weight", "classifier.weight"])
def test_a_single_nan_is_noticed_when_it_reaches_an_answer(tied: Path, part: str) -> None:
    stamp = load(tied)
    with torch.no_grad():
        stamp.model.get_parameter(stamp_name(stamp, part))[-1, -1] = torch.nan
    with pytest.raises(CheckpointError, match="computes values that are not finite"):
        stamp.predict_masks(PICTURE, "Hi", "<|seg|>")


def stamp_name(stamp: StampPredictor, part: str) -> str:
    """The loaded name of a stored tensor."""
    names: list[str] = [name for name, _ in stamp.model.named_parameters()]
    return next(name for name in names if name.endswith(part.removeprefix("model.")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_model_name_or_path": 5}, "does not record its base model"),
        ({"base_model_name_or_path": ["x"]}, "does not record its base model"),
        ({"base_model_name_or_path": "a\0b"}, "does not exist here"),
    ],
)
def test_a_base_that_is_no_name(adapter: Path, change: dict[str, Any], message: str) -> None:
    edit(adapter / "adapter_config.json", lambda config: config.update(change))
    with pytest.raises(CheckpointError, match=message):
        find_base(adapter)


@pytest.mark.parametrize(
    "change",
    [{"r": "x"}, {"r": 10**12}, {"rank_pattern": {"q_proj": 10**12}}, {"target_modules": 5}, {"peft_type": ["LORA"]}]
    + [{"lora_alpha": "x"}, {"modules_to_save": 5}, {"layers_to_transform": "x"}],
)
def test_an_adapter_whose_configuration_lies(adapter: Path, change: dict[str, Any]) -> None:
    edit(adapter / "adapter_config.json", lambda config: config.update(change))
    with pytest.raises(CheckpointError, match="adapter"):
        load(adapter, base=str(PARITY / "models" / "lora_base"))


def test_an_adapter_of_no_numbers(adapter: Path) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    spoilt = {name: value * torch.nan if "lora_B" in name else value for name, value in weights.items()}
    save_file(spoilt, adapter / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="adapter holds values that are not finite numbers"):
        load(adapter, base=str(PARITY / "models" / "lora_base"))


@pytest.mark.parametrize("n_bytes", [0, 3, 5000, -100])
@pytest.mark.parametrize("of_adapter", [False, True])
def test_a_truncated_file_of_weights_is_named(tied: Path, adapter: Path, n_bytes: int, of_adapter: bool) -> None:
    path = adapter / "adapter_model.safetensors" if of_adapter else tied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    base = {"base": str(PARITY / "models" / "lora_base")} if of_adapter else {}
    with pytest.raises(CheckpointError, match=rf"{re.escape(path.name)} is damaged .* download it again"):
        load(path.parent, **base)


def test_an_export_to_a_full_disk_leaves_no_half_checkpoint(tied: Path, tmp_path: Path) -> None:
    stamp, out = load(tied), tmp_path / "out"
    with full_after(10_000), pytest.raises(StorageError, match=rf"out {TOO_LARGE}"):
        export_checkpoint(stamp.model, stamp.processor, "none", out)
    assert not out.exists()
    export_checkpoint(stamp.model, stamp.processor, "none", out)
    assert load(out).segment(PICTURE, "Hi", 2).new_tokens == 2


@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("tie", [True, False])
def test_an_embedding_and_a_head_of_different_sizes(tied: Path, more: int, tie: bool) -> None:
    """Tied, transformers ended with a NotImplementedError about meta tensors."""
    weights = load_file(tied / "model.safetensors")
    (embedding,) = (value for name, value in weights.items() if name.endswith("embed_tokens.weight"))
    head = torch.cat([embedding, embedding])[: len(embedding) + more].clone()
    save_file(weights | {"lm_head.weight": head}, tied / "model.safetensors", {"format": "pt"})
    edit(tied / "config.json", lambda config: config.update(tie_word_embeddings=tie))
    rows = f"its embedding has {len(embedding):,} rows, but its head lm_head {len(head):,}"
    with pytest.raises(CheckpointError, match=rf"tied is not a complete STAMP checkpoint: {rows}\."):
        load(tied)
