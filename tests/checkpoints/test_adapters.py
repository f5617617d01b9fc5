"""Adapters of every make: each loads as PEFT means it, or is refused with a sentence. None leaves random weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file

from stamp import StampPredictor
from stamp.checkpoints.loading import export_checkpoint
from stamp.errors import CheckpointError
from stamp.model.modeling_stamp import StampForSegmentation

MODELS = Path(__file__).parents[1] / "parity" / "models"
BASE = MODELS / "lora_base"  # a plain Qwen2-VL: no classifier, no tokens of STAMP; its head is not tied
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
MASK = "It is here <|seg|>"
LORA_ON = ["q_proj", "v_proj"]


def load(folder: Path, base: Path = BASE, **options: object) -> StampPredictor:
    return StampPredictor.from_pretrained(folder, base=str(base), device="cpu", dtype="float32", **options)


def without(tmp_path: Path, *parts: str) -> Path:
    """The adapter of `tests/parity`, which stores embeddings, head and classifier whole, less some of these."""
    folder = Path(shutil.copytree(MODELS / "lora_adapter", tmp_path / "adapter"))
    weights = load_file(folder / "adapter_model.safetensors")
    kept = {name: value for name, value in weights.items() if not any(part in name for part in parts)}
    save_file(kept, folder / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    config["modules_to_save"] = [name for name in config["modules_to_save"] if name not in parts] or None
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def made_for(base: Path, folder: Path, **config: object) -> Path:
    """A LoRA adapter with random weights, as PEFT saves it for a base that is STAMP already."""
    torch.manual_seed(0)
    model = StampForSegmentation.from_pretrained(base, dtype=torch.float32)
    options = {"target_modules": LORA_ON, "r": 4, "init_lora_weights": False} | config
    get_peft_model(model, LoraConfig(**options)).save_pretrained(folder)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (("classifier", "embed_tokens", "lm_head"), "the classifier; the rows of <|seg|>, <|mask|>, <|yes|>, <|no|>"),
        (("classifier",), "the classifier"),
        (("embed_tokens", "lm_head"), "the rows of <|seg|>, <|mask|>, <|yes|>, <|no|> in embed_tokens and lm_head"),
        (("lm_head",), "the rows of <|seg|>, <|mask|>, <|yes|>, <|no|> in lm_head"),
    ],
)
def test_what_neither_base_nor_adapter_brings_is_named(tmp_path: Path, parts: tuple[str, ...], named: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(without(tmp_path, *parts))
    assert str(caught.value).startswith(f"Neither the adapter adapter nor its base lora_base has {named}")


def test_a_tokenizer_alone_brings_no_rows(tmp_path: Path) -> None:
    """The adapter's tokenizer knows the tokens, and the base's too, but no embedding has rows for them."""
    base = Path(shutil.copytree(BASE, tmp_path / "base"))
    weights = load_file(base / "model.safetensors")
    rows = 318 - 4
    weights = {name: value[:rows].clone() if len(value) == 330 else value for name, value in weights.items()}
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    for part in (config, config.get("text_config", {})):
        if "vocab_size" in part:
            part["vocab_size"] = rows
    (base / "config.json").write_text(json.dumps(config))
    complete = load(MODELS / "lora_adapter")
    complete.processor.tokenizer.save_pretrained(base)
    with pytest.raises(CheckpointError, match=r"nor its base base has the rows of <\|seg\|>.* in embed_tokens and"):
        load(without(tmp_path, "embed_tokens", "lm_head"), base)


@pytest.mark.parametrize("model", ["tied", "untied"])
def test_a_plain_lora_on_a_stamp_base_loads_the_same_twice(tmp_path: Path, model: str) -> None:
    adapter = made_for(MODELS / model, tmp_path / "adapter")
    first, second, merged = (
        load(adapter, MODELS / model, merge=merge).predict_masks(PICTURE, "Segment it.", MASK).mask_logits[0]
        for merge in (False, False, True)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, merged, atol=1e-4)
    plain = StampPredictor.from_pretrained(MODELS / model, device="cpu", dtype="float32")
    assert np.abs(plain.predict_masks(PICTURE, "Segment it.", MASK).mask_logits[0] - first).max() > 1e-2


ANSWER = [7, 11, 13, 17]
#: What an adapter may store beside LoRA of the layers.
STORED = {
    "embedding, head and classifier": {"modules_to_save": ["embed_tokens", "lm_head", "classifier"]},
    "embedding": {"modules_to_save": ["embed_tokens"]},
    "head": {"modules_to_save": ["lm_head"]},
    "classifier": {"modules_to_save": ["classifier"]},
    "lora of the head": {"target_modules": [*LORA_ON, "lm_head"]},
    "lora of the embedding": {"target_modules": [*LORA_ON, "embed_tokens"]},
    "rows of tokens": {"trainable_token_indices": [494, 495, 496, 497]},
}


def logits_of(model: Any, predictor: StampPredictor) -> np.ndarray:
    """Next-token logits along a given answer, by a model in place of the predictor's own."""
    given, predictor.model = predictor.model, model
    response = predictor.processor.decode(ANSWER)
    logits = predictor.text_logits(PICTURE, "Segment it.", response)
    predictor.model = given
    return logits


@pytest.mark.parametrize("model", ["tied", "untied"])
@pytest.mark.parametrize("stored", STORED.values(), ids=STORED.keys())
def test_loaded_as_peft_means_it_or_refused(tmp_path: Path, model: str, stored: dict[str, object]) -> None:
    torch.manual_seed(0)
    base = StampForSegmentation.from_pretrained(MODELS / model, dtype=torch.float32)
    plain = StampPredictor.from_pretrained(MODELS / model, device="cpu", dtype="float32")
    before = logits_of(plain.model, plain)
    config = {"target_modules": LORA_ON, "r": 4, "init_lora_weights": False} | stored
    theirs = get_peft_model(base, LoraConfig(**config))  # type: ignore[arg-type]
    with torch.no_grad():
        for _, parameter in theirs.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    theirs.save_pretrained(str(tmp_path / "adapter"))
    config_of_base = plain.model.config
    changed: Any = theirs.get_base_model()
    changed.config.seg_token_id = config_of_base.seg_token_id
    changed.config.mask_token_id = config_of_base.mask_token_id
    expected = logits_of(changed.eval(), plain)
    assert np.abs(expected - before).max() > 0.1
    for merge in (False, True):
        try:
            ours = load(tmp_path / "adapter", MODELS / model, merge=merge)
        except CheckpointError as error:
            assert "merge it into its base with PEFT" in str(error)
            assert model == "tied"
            assert "modules_to_save" not in stored
            return
        np.testing.assert_allclose(logits_of(ours.model, ours), expected, atol=1e-3)
    export_checkpoint(ours.model, ours.processor, ours.quantization, tmp_path / "merged")
    again = StampPredictor.from_pretrained(tmp_path / "merged", device="cpu", dtype="float32")
    np.testing.assert_allclose(logits_of(again.model, again), expected, atol=1e-3)


def test_a_head_that_equals_its_embedding_stays_one_matrix(tmp_path: Path) -> None:
    adapter = made_for(MODELS / "tied", tmp_path / "adapter", modules_to_save=["embed_tokens", "lm_head"])
    model = load(adapter, MODELS / "tied").model
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert model.config.tie_word_embeddings


def with_old_names(adapter: Path) -> None:
    """As adapters were saved before transformers 4.52, when language model and vision tower stood one level higher."""
    weights = load_file(adapter / "adapter_model.safetensors")
    here, renamed = "base_model.model.", {}
    for name, value in weights.items():
        old = name.replace(f"{here}model.language_model.", f"{here}model.")
        renamed[old.replace(f"{here}model.visual.", f"{here}visual.")] = value
    assert set(renamed) != set(weights)
    save_file(renamed, adapter / "adapter_model.safetensors")


@pytest.mark.parametrize("model", ["tied", "untied"])
def test_names_as_before_transformers_4_52(tmp_path: Path, model: str) -> None:
    stored = {"modules_to_save": ["embed_tokens", "lm_head", "classifier"], "target_modules": [*LORA_ON, "qkv"]}
    adapter = made_for(MODELS / model, tmp_path / "adapter", **stored)
    expected = load(adapter, MODELS / model).predict_masks(PICTURE, "Segment it.", MASK).mask_logits[0]
    with_old_names(adapter)
    again = load(adapter, MODELS / model).predict_masks(PICTURE, "Segment it.", MASK).mask_logits[0]
    np.testing.assert_array_equal(again, expected)


def test_a_pattern_of_old_names_names_the_cause(tmp_path: Path) -> None:
    adapter = made_for(MODELS / "untied", tmp_path / "adapter")
    with_old_names(adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["target_modules"] = r"model\.layers\.\d+\.self_attn\.(q|v)_proj"
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"target_modules .* are from before transformers 4\.52"):
        load(adapter, MODELS / "untied")
