"""Loads a checkpoint folder as model and processor, after checks (full weights, adapters, quantized), and saves one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from stamp.checkpoints.adapters import (
    StoredTensors,
    add_stamp_tokens,
    apply_adapter,
    fit_embeddings,
    refuse_random_weights,
)
from stamp.checkpoints.devices import choose_device
from stamp.checkpoints.free_memory import free_memory
from stamp.checkpoints.integrity import refuse_no_numbers, refuse_other_sizes, refuse_unlike_head
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.quantization import (
    BYTES_PER_WEIGHT,
    Quantization,
    bitsandbytes_config,
    check_vision,
    choose_int8_vision,
    choose_quantization,
    is_quantizable,
    quiet_bitsandbytes,
    saved_quantization,
)
from stamp.checkpoints.sources import check_files, check_target, find_base, is_adapter, read_json
from stamp.errors import CheckpointError, reading
from stamp.files import removed_on_failure, writing
from stamp.model.configuration_stamp import StampConfig
from stamp.model.int8_vision import is_int8_vision, quantize_vision
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: "auto" takes float32 on a device without bfloat16 matrix units, if the weights then need at most this share of the
#: free memory. On such a CPU an answer in bfloat16 takes five times as long: 1.43 s against 0.28 s of the nano in nf4.
FLOAT32_SHARE = 0.5
CLASSIFIER_KEYS = frozenset({"classifier.weight", "classifier.bias"})


def load_checkpoint(folder: Path, options: LoadOptions) -> tuple[StampForSegmentation, StampProcessor, str]:
    """(model, processor, quantization in effect) of a local folder; `options.model` is not read.

    Raises CheckpointError: not STAMP, weights missing, of a wrong shape or not in safetensors, an adapter without its
    base, too little memory, unknown dtype or quantization, no bitsandbytes. No weight stays random.
    """
    quiet_bitsandbytes()
    check_vision(options.vision, choose_device(options.device))
    check_files(folder)
    load = _load_adapter if is_adapter(folder) else _load_model
    model, processor, in_effect = load(folder, options)
    refuse_no_numbers(model, folder)
    if choose_int8_vision(options.vision, in_effect, model.num_parameters(), model.device):
        quantize_vision(model.model.visual)
    return model, processor, in_effect


def _load_model(folder: Path, options: LoadOptions) -> tuple[StampForSegmentation, StampProcessor, str]:
    """A folder with full weights."""
    if options.base or options.base_revision:
        name = "--base" if options.base else "--base-revision"
        raise CheckpointError(f"{folder.name} is a whole model, not an adapter: leave {name} out.")
    processor = StampProcessor.from_pretrained(folder)
    processor.limit_pixels(options.min_pixels, options.max_pixels)
    model, in_effect = _load_whole(folder, options)
    return model, processor, in_effect


def _load_adapter(folder: Path, options: LoadOptions) -> tuple[StampForSegmentation, StampProcessor, str]:
    """The base with the adapter on it; the tokenizer is the adapter's if it has one."""
    base = find_base(folder, options.base, options.base_revision, options.report)
    check_files(base)
    of_base = StampProcessor.read_tokenizer(base)
    base_tokens = dict(of_base.get_added_vocab())
    has_own = (folder / "tokenizer_config.json").exists()
    tokenizer = StampProcessor.read_tokenizer(folder) if has_own else of_base
    tokenizer.chat_template = tokenizer.chat_template or of_base.chat_template
    add_stamp_tokens(tokenizer)
    refuse_random_weights(
        StoredTensors(base.name, dict(stored_shapes(base))),
        StoredTensors(folder.name, dict(stored_shapes(folder))),
        base_tokens,
        tokenizer.get_added_vocab(),
        tied=_is_tied(base),
    )
    model, in_effect = _load_whole(base, options, may_miss=CLASSIFIER_KEYS)
    fit_embeddings(model, tokenizer)
    model = apply_adapter(model, folder, merge=options.merge)
    processor = StampProcessor(tokenizer, StampProcessor.read_image_processor(base))
    processor.limit_pixels(options.min_pixels, options.max_pixels)
    return model, processor, in_effect


def _is_tied(folder: Path) -> bool:
    """Whether the head shares the embedding's matrix."""
    with reading(folder / "config.json"):
        return bool(StampConfig.from_pretrained(folder).tie_word_embeddings)


def _load_whole(
    folder: Path, options: LoadOptions, may_miss: frozenset[str] = frozenset()
) -> tuple[StampForSegmentation, str]:
    """(model, quantization in effect) of a folder with full weights."""
    shapes = dict(stored_shapes(folder))
    model_class = options.model_class or StampForSegmentation
    refuse_other_sizes(folder, shapes, model_class)
    refuse_unlike_head(folder, shapes)
    parameters = sum(_numel(shape) for shape in shapes.values())
    saved = saved_quantization(folder)
    device = choose_device(options.device)
    mode = choose_quantization(options.quantization, saved, parameters, device)
    if options.merge and mode != "none":
        raise CheckpointError("Merging an adapter into quantized weights loses precision: merge without quantization.")
    if saved is not None:
        _refuse_other_dtype(folder, options.dtype, saved)
    if saved is None:
        dtype = _choose_dtype(options.dtype, device, _memory_bytes(shapes, mode, torch.float32))
        needed = _memory_bytes(shapes, mode, dtype)
    else:
        needed = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        wanted = "bfloat16" if options.dtype == "auto" else options.dtype
        dtype = DTYPES.get(_saved_dtype(folder)) or _choose_dtype(wanted, device, needed)
    _refuse_without_memory(needed, device, mode)
    size = f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"
    if options.report is not None:
        options.report(f"Loading {size} parameters, {needed / 1e9:.2g} GB")
    model = _read_weights(folder, model_class.from_pretrained, device, dtype, mode, may_miss)
    return model, saved or mode


def _read_weights(
    folder: Path, load: Any, device: torch.device, dtype: torch.dtype, mode: Quantization, may_miss: frozenset[str]
) -> StampForSegmentation:
    with reading(folder):
        model, info = load(
            folder,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported in `info` and refused below
            device_map={"": device},
            quantization_config=bitsandbytes_config(mode, dtype),
        )
    missing = set(info["missing_keys"]) - may_miss
    problems = [f"missing: {sorted(missing)[:5]}"] if missing else []
    if unknown := sorted(name for name in info["unexpected_keys"] if name.startswith("shared_masks.")):
        problems.append(f"not of its mask head: {unknown[:5]}")
    if info["mismatched_keys"]:
        problems.append(f"of another shape: {sorted(map(str, info['mismatched_keys']))[:5]}")
    if missing == CLASSIFIER_KEYS:
        raise CheckpointError(
            f"{folder} is a Qwen2-VL without STAMP's classifier, so it cannot segment. Use --model 2b."
        )
    if problems:
        raise CheckpointError(f"{folder} is not a complete STAMP checkpoint; " + "; ".join(problems))
    loaded: StampForSegmentation = model.eval()
    if mode != "none":
        _release_mapped_files(loaded)
    return loaded


def _release_mapped_files(model: StampForSegmentation) -> None:
    """Copy the tensors that quantization left unchanged, so that the mapped files with the full weights leave memory.

    Small tensors first: a norm of a few kilobytes keeps its whole file mapped.
    """
    for parameter in sorted(model.parameters(), key=torch.numel):
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()


def _refuse_other_dtype(folder: Path, wanted: str, saved: Quantization) -> None:
    """The unquantized tensors of an export in few bits must keep their dtype, or layers would not fit together."""
    kept = _saved_dtype(folder)
    if wanted not in ("auto", kept or wanted):
        raise CheckpointError(f"{folder.name} is saved in {saved} with {kept}; leave --dtype out.")


def _saved_dtype(folder: Path) -> str:
    """As `config.json` names it; empty if it does not."""
    return str(read_json(folder / "config.json").get("dtype") or "")


def _choose_dtype(wanted: str, device: torch.device, float32_bytes: int) -> torch.dtype:
    """ "auto": bfloat16, or float32 where that is faster and fits. float32_bytes: of the weights, if in float32."""
    if wanted != "auto":
        if wanted not in DTYPES:
            raise CheckpointError(f"Unknown dtype {wanted!r}; choose one of auto, {', '.join(DTYPES)}.")
        return DTYPES[wanted]
    if not _has_fast_bf16(device) and float32_bytes <= FLOAT32_SHARE * _free_bytes(device):
        return torch.float32
    return torch.bfloat16


def _has_fast_bf16(device: torch.device) -> bool:
    """Whether the device has matrix units for bfloat16. GPUs before Ampere (T4, V100) imitate it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type != "cpu" or bool(torch.cpu._is_amx_tile_supported())


# -- memory --------------------------------------------------------------------------------------------------------


def stored_shapes(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all tensors, from the headers of the files."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as shard:
                for name in shard.keys():  # noqa: SIM118 (no mapping)
                    yield name, tuple(shard.get_slice(name).get_shape())
        except Exception as error:
            raise CheckpointError(f"{path} is damaged ({error}); download it again.") from error


def _numel(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _memory_bytes(shapes: dict[str, tuple[int, ...]], mode: Quantization, dtype: torch.dtype) -> int:
    """Bytes of the loaded weights."""
    total = 0.0
    for name, shape in shapes.items():
        quantized = mode != "none" and is_quantizable(name, shape)
        total += _numel(shape) * (BYTES_PER_WEIGHT[mode] if quantized else dtype.itemsize)
    return round(total)


def _refuse_without_memory(needed: int, device: torch.device, mode: str) -> None:
    """Compare the weights with the free memory. It ignores activations and caches, so it may accept too much."""
    if needed > (free := _free_bytes(device)):
        advice = "" if mode == "nf4" else "use --quantization nf4, "
        raise CheckpointError(
            f"The weights need about {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free on {device}: "
            f"{advice}close other programs, or use a machine with more memory."
        )


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()


def export_checkpoint(model: StampForSegmentation, processor: StampProcessor, quantization: str, folder: Path) -> None:
    """Write weights (safetensors), configuration, tokenizer and image sizes: the inverse of `load_checkpoint`.

    model: just loaded, because bitsandbytes changes its 8-bit weights in the first forward pass.
    Raises CheckpointError for an adapter that is not merged, a vision tower in int8, a checkpoint that is already
    exported in few bits, and a folder that is not empty; StorageError where the disk refuses, and then leaves no half
    checkpoint.
    """
    check_target(folder)
    if any("lora_" in name for name, _ in model.named_parameters()):
        raise CheckpointError("The adapter is not merged into its base: export it with --merge, without quantization.")
    if is_int8_vision(model.model.visual):
        raise CheckpointError("The vision tower is converted to int8 when it is loaded: export it with --vision none.")
    if getattr(getattr(model, "hf_quantizer", None), "pre_quantized", False):
        raise CheckpointError(f"This checkpoint is already saved in {quantization}: copy its folder instead.")
    with writing(folder), removed_on_failure(folder):
        model.save_pretrained(folder, max_shard_size="2GB")
        processor.save_pretrained(folder)
