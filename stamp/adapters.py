"""LoRA adapters (PEFT) on a Qwen2-VL base: put in place, or merged into it."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from stamp.configuration_stamp import STAMP_TOKENS
from stamp.errors import CheckpointError
from stamp.modeling_stamp import StampForSegmentation
from stamp.sources import ADAPTER_WEIGHTS

#: PEFT writes these beside the weights they repeat when the vocabulary was resized.
REDUNDANT_KEYS = (".modules_to_save.", ".original_module.")


def add_stamp_tokens(model: StampForSegmentation, tokenizer: Any) -> None:
    """Add the four tokens a plain Qwen2-VL tokenizer lacks, and give the embedding exactly len(tokenizer) rows.

    Qwen2-VL pads its embedding, so this usually shrinks it, as the published adapters expect.
    """
    missing = [token for token in STAMP_TOKENS if token not in tokenizer.get_added_vocab()]
    if missing:
        tokenizer.add_special_tokens({"additional_special_tokens": missing}, replace_extra_special_tokens=False)
    embeddings: Any = model.get_input_embeddings()
    if len(embeddings.weight) != len(tokenizer):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


def apply_adapter(model: StampForSegmentation, folder: Path, *, merge: bool = False) -> StampForSegmentation:
    """The model with the adapter's LoRA layers beside its own, or merged into them (exact only in full precision).

    Weights the adapter stores whole (embeddings, lm_head, classifier) replace the base's; no second copy is kept.
    Raises CheckpointError when the adapter does not fit the base or is not LoRA.
    """
    from peft import LoraConfig, PeftConfig, get_peft_model, set_peft_model_state_dict

    config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise CheckpointError(f"{folder.name} is a {config.peft_type} adapter; only LoRA is supported.")
    config.inference_mode = True
    wrapped: Any = get_peft_model(model, config)
    weights = _without_redundant(load_file(folder / ADAPTER_WEIGHTS))
    try:
        outcome: Any = set_peft_model_state_dict(wrapped, weights)
    except RuntimeError as error:
        raise CheckpointError(f"The adapter {folder.name} does not fit its base model: {error}") from error
    _refuse_incomplete(outcome, folder)
    whole: StampForSegmentation = wrapped.merge_and_unload() if merge else wrapped.get_base_model()
    _keep_one_copy(whole)
    whole.tie_weights()
    return whole.eval()


def _without_redundant(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not any(mark in name for mark in REDUNDANT_KEYS)}


def _refuse_incomplete(outcome: Any, folder: Path) -> None:
    lora = [name for name in outcome.missing_keys if "lora_" in name or "modules_to_save" in name]
    problems = [f"missing: {lora[:5]}"] if lora else []
    if outcome.unexpected_keys:
        problems.append(f"unknown: {sorted(outcome.unexpected_keys)[:5]}")
    if problems:
        raise CheckpointError(f"The adapter {folder.name} does not fit its base model; " + "; ".join(problems))


def _keep_one_copy(model: nn.Module) -> None:
    """Replace each ModulesToSaveWrapper, which holds the base's weights as well, by the copy in use."""
    from peft.utils import ModulesToSaveWrapper

    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], module.modules_to_save["default"])
