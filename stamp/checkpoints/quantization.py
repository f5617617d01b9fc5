"""Weights in fewer bits with bitsandbytes: the mode, the layers, and the memory they take."""

import importlib.util
import logging
from pathlib import Path
from typing import Any, Literal

import torch

from stamp.checkpoints.sources import read_json
from stamp.errors import CheckpointError
from stamp.model.int8_vision import has_fast_int8

Quantization = Literal["none", "int8", "nf4"]
QUANTIZATIONS = ("none", "int8", "nf4", "auto")
VISIONS = ("none", "int8", "auto")
#: "auto" quantizes from this many parameters on. A small model only gets slower by it: the nano answers in a fifth of
#: the time unquantized (`python -m stamp.training quantization` measures it; the model card has the table).
AUTO_PARAMETERS = 1_000_000_000
#: Kept in full precision. The vision tower's features make the mask, and so do the heads; the classifier has one row,
#: which bitsandbytes cannot quantize. This list replaces transformers' default, so it must include lm_head.
SKIPPED_MODULES = ("lm_head", "classifier", "shared_masks", "model.visual")
#: Bytes per weight, including the constants of the blocks.
BYTES_PER_WEIGHT = {"int8": 1.01, "nf4": 0.52}


def choose_quantization(wanted: str, saved: Quantization | None, parameters: int, device: torch.device) -> Quantization:
    """The mode to apply on loading: none if it was saved quantized. "auto" goes by size and device: for a large model
    int8 where the CPU is fast at it, otherwise nf4.

    Raises CheckpointError: unknown mode, a mode other than the saved one, no bitsandbytes.
    """
    if wanted not in QUANTIZATIONS:
        raise CheckpointError(f"Unknown quantization {wanted!r}; choose one of {', '.join(QUANTIZATIONS)}.")
    if saved is not None:
        if wanted not in ("auto", "none", saved):
            raise CheckpointError(f"The checkpoint is saved in {saved}; it cannot be loaded in {wanted}.")
        _require_bitsandbytes(saved)
        return "none"
    if wanted == "auto":
        large = "int8" if device.type == "cpu" and has_fast_int8() else "nf4"
        wanted = large if parameters >= AUTO_PARAMETERS else "none"
    modes: dict[str, Quantization] = {"none": "none", "int8": "int8", "nf4": "nf4"}
    mode = modes[wanted]
    if mode != "none":
        _require_bitsandbytes(mode)
    return mode


def saved_quantization(folder: Path) -> Quantization | None:
    """ "int8" or "nf4" for a checkpoint exported in it, otherwise None."""
    path = folder / "config.json"
    saved = read_json(path).get("quantization_config") if path.exists() else None
    if saved is None:
        return None
    method = saved.get("quant_method") if isinstance(saved, dict) else saved
    if method != "bitsandbytes":
        raise CheckpointError(f"{folder.name} is quantized by {str(method)[:60]!r}; only bitsandbytes is read.")
    return "int8" if saved.get("load_in_8bit") else "nf4"


def bitsandbytes_config(mode: Quantization, compute_dtype: torch.dtype) -> Any:
    """transformers' quantization_config; None for "none"."""
    if mode == "none":
        return None
    from transformers import BitsAndBytesConfig

    if mode == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=list(SKIPPED_MODULES))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
        llm_int8_skip_modules=list(SKIPPED_MODULES),
    )


def is_quantizable(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the name, in either key layout, is a weight matrix of the text layers."""
    in_text = ("layers." in name) and "visual." not in name
    return in_text and len(shape) == 2 and name.endswith(".weight")


def check_vision(wanted: str, device: torch.device) -> None:
    """Raise CheckpointError for an unknown word, and for int8 where the vision tower cannot compute in it."""
    if wanted not in VISIONS:
        raise CheckpointError(f"Unknown precision of the vision tower {wanted!r}; choose one of {', '.join(VISIONS)}.")
    if wanted == "int8" and device.type != "cpu":
        raise CheckpointError(f"The vision tower computes in int8 on a CPU only, not on {device}: leave --vision out.")
    if wanted == "int8" and not has_fast_int8():
        raise CheckpointError("This CPU has no instructions for int8 (AVX512_VNNI): leave --vision out.")


def choose_int8_vision(wanted: str, quantization: str, parameters: int, device: torch.device) -> bool:
    """Whether the vision tower is converted to int8. wanted: has passed `check_vision`. quantization: in effect.

    "auto" goes with the text model: if that is large and in int8, and where it is faster.
    """
    if wanted == "auto":
        large = quantization == "int8" and parameters >= AUTO_PARAMETERS
        return large and device.type == "cpu" and has_fast_int8()
    return wanted == "int8"


def _require_bitsandbytes(mode: str) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise CheckpointError(f"{mode} needs bitsandbytes: pip install bitsandbytes, or use --quantization none.")


def quiet_bitsandbytes() -> None:
    """Call this before anything imports bitsandbytes (peft does, too)."""
    for name in ("bitsandbytes.backends.cpu.ops", "bitsandbytes.autograd._functions"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop bitsandbytes' advice to install a package that downloads native code; it works without it.

    In 8 bits, also drop its note, in each layer of each pass, that it casts to float16, which is normal.
    """
    return not any(known in str(record.msg) for known in ("kernels-community", "MatMul8bitLt: inputs will be cast"))
