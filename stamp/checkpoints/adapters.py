"""LoRA adapters (PEFT) on a Qwen2-VL base: attached to it or merged into it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stamp.checkpoints.sources import ADAPTER_WEIGHTS
from stamp.errors import CheckpointError, reading
from stamp.model.configuration_stamp import STAMP_TOKENS
from stamp.model.modeling_stamp import StampForSegmentation

#: PEFT writes these copies next to the originals when the vocabulary was resized.
REDUNDANT_KEYS = (".modules_to_save.", ".original_module.")
CLASSIFIER = "classifier.weight"
_ON_A_TIED_MATRIX = re.compile(r"\.(embed_tokens|lm_head)\.(?:lora_|token_adapter\.|trainable_tokens)")
#: Endings of the names under which PEFT stores an embedding or a head with rows for new tokens.
WHOLE_MATRIX = ("weight", "base_layer.weight", "token_adapter.trainable_tokens_delta")


def add_stamp_tokens(tokenizer: Any) -> None:
    """Add the four tokens that a plain Qwen2-VL tokenizer lacks."""
    missing = [token for token in STAMP_TOKENS if token not in tokenizer.get_added_vocab()]
    if missing:
        tokenizer.add_special_tokens({"additional_special_tokens": missing}, replace_extra_special_tokens=False)


def fit_embeddings(model: StampForSegmentation, tokenizer: Any) -> None:
    """Give the embedding exactly len(tokenizer) rows.

    Qwen2-VL pads its embedding, so this usually shrinks it, as the published adapters expect.
    """
    embeddings: Any = model.get_input_embeddings()
    if len(embeddings.weight) != len(tokenizer):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)


@dataclass(frozen=True)
class StoredTensors:
    """A folder of weights, described by the names and shapes in the file headers."""

    name: str
    shapes: Mapping[str, tuple[int, ...]]

    def holds(self, *endings: str) -> bool:
        """Whether a stored tensor's name has one of these endings."""
        return any(name.endswith(endings) for name in self.shapes)

    def rows(self, matrix: str) -> int:
        """Rows of "embed_tokens" or "lm_head"; 0 if it is not stored."""
        return max((shape[0] for name, shape in self.shapes.items() if name.endswith(f"{matrix}.weight")), default=0)


def refuse_random_weights(
    base: StoredTensors,
    adapter: StoredTensors,
    base_tokens: Mapping[str, int],
    tokens: Mapping[str, int],
    *,
    tied: bool,
) -> None:
    """Raise CheckpointError, which names them, if weights that STAMP adds to Qwen2-VL are stored nowhere.

    They are the classifier and the rows of the four tokens, in the embedding and in the head. Loading would fill
    missing weights at random, and the masks would be random too.
    base_tokens, tokens: ids of the added tokens in the base's tokenizer and in the one in use. tied: the base's head is
    its embedding; an adapter may bring its own head.
    """

    def is_stored(token: str, matrix: str) -> bool:
        rows = base.rows("embed_tokens" if tied else matrix)
        of_base = base_tokens.get(token) == tokens[token] and tokens[token] < rows
        return of_base or adapter.holds(*(f"{matrix}.{ending}" for ending in WHOLE_MATRIX))

    lacking = [] if base.holds(CLASSIFIER) or adapter.holds(CLASSIFIER) else ["the classifier"]
    if bare := [
        matrix for matrix in ("embed_tokens", "lm_head") if not all(is_stored(token, matrix) for token in STAMP_TOKENS)
    ]:
        lacking.append(f"the rows of {', '.join(STAMP_TOKENS)} in {' and '.join(bare)}")
    if lacking:
        raise CheckpointError(
            f"Neither the adapter {adapter.name} nor its base {base.name} has {'; '.join(lacking)}: its masks would "
            "come from random weights. Use an adapter that was trained for STAMP, or name a STAMP checkpoint with "
            "--base."
        )


def apply_adapter(model: StampForSegmentation, folder: Path, *, merge: bool = False) -> StampForSegmentation:
    """The model with the adapter's LoRA layers attached, or merged into its own (exact only in full precision).

    Weights that the adapter stores whole (embeddings, lm_head, classifier) replace the base's; no second copy is kept.
    Raises CheckpointError if the adapter does not fit the base or is not LoRA.
    """
    from peft import LoraConfig, PeftConfig, get_peft_model, set_peft_model_state_dict

    with reading(f"The adapter {folder.name}"):
        config = PeftConfig.from_pretrained(str(folder))
        if not isinstance(config, LoraConfig):
            raise CheckpointError(f"{folder.name} is a {config.peft_type} adapter; only LoRA is supported.")
        config.inference_mode = True
        stored = _without_redundant(load_file(folder / ADAPTER_WEIGHTS))
        weights = {_present_name(name): value for name, value in stored.items()}
        rank = max([config.r, *(config.rank_pattern or {}).values()])
        if rank > (most := _stored_rank(weights)):
            raise CheckpointError(f"The adapter {folder.name} says its rank is {rank:,}, but stores {most:,}.")
        _refuse_on_tied(model, weights, folder)
        try:
            wrapped: Any = get_peft_model(model, config)
        except ValueError as error:
            if weights.keys() == stored.keys():
                raise
            raise CheckpointError(
                f"The target_modules of the adapter {folder.name} are from before transformers 4.52, and match nothing "
                "today. Write them as plain names, such as q_proj, or with `language_model.` in front of `layers`."
            ) from error
    try:
        outcome: Any = set_peft_model_state_dict(wrapped, weights)
    except RuntimeError as error:
        raise CheckpointError(f"The adapter {folder.name} does not fit its base model: {error}") from error
    _refuse_incomplete(outcome, folder)
    whole: StampForSegmentation = wrapped.merge_and_unload() if merge else wrapped.get_base_model()
    _keep_one_copy(whole)
    _tie_what_is_equal(whole)
    whole.eval()
    return whole


def _refuse_on_tied(model: StampForSegmentation, weights: Iterable[str], folder: Path) -> None:
    """Refuse LoRA or single rows on a tied embedding and head: PEFT changes only one use of the shared matrix."""
    touched = sorted({found[1] for name in weights if (found := _ON_A_TIED_MATRIX.search(name))})
    if model.config.tie_word_embeddings and touched:
        raise CheckpointError(
            f"The adapter {folder.name} changes {' and '.join(touched)}, but its base has one matrix for embedding and "
            "head: merge it into its base with PEFT, and load what that saves."
        )


def _tie_what_is_equal(model: StampForSegmentation) -> None:
    """Keep both matrices if an adapter brought its own head to a tied base; otherwise keep one copy."""
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()
    if not model.config.tie_word_embeddings or head.weight is embedding.weight:
        return
    if torch.equal(head.weight, embedding.weight):
        model.tie_weights()
        return
    for config in (model.config, model.config.text_config):
        config.tie_word_embeddings = False


def _without_redundant(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not any(mark in name for mark in REDUNDANT_KEYS)}


def _present_name(name: str) -> str:
    """Before transformers 4.52 the language model and the vision tower were one level higher."""
    for old, new in (("visual.", "model.visual."), ("model.", "model.language_model.")):
        rest = name.removeprefix(f"base_model.model.{old}")
        if rest != name and not rest.startswith(("language_model.", "visual.")):
            return f"base_model.model.{new}{rest}"
    return name


def _stored_rank(weights: dict[str, Tensor]) -> int:
    """The largest rank of the LoRA matrices; 0 if there are none."""
    matrices = (value for name, value in weights.items() if "lora_" in name and value.ndim == 2)
    return max((min(value.shape) for value in matrices), default=0)


def _refuse_incomplete(outcome: Any, folder: Path) -> None:
    lora = [name for name in outcome.missing_keys if "lora_" in name or "modules_to_save" in name]
    problems = [f"missing: {lora[:5]}"] if lora else []
    if outcome.unexpected_keys:
        problems.append(f"unknown: {sorted(outcome.unexpected_keys)[:5]}")
    if problems:
        raise CheckpointError(f"The adapter {folder.name} does not fit its base model; " + "; ".join(problems))


def _keep_one_copy(model: nn.Module) -> None:
    """Replace each ModulesToSaveWrapper, which also holds the base's weights, with the copy in use."""
    from peft.utils import ModulesToSaveWrapper

    for name, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], module.modules_to_save["default"])
