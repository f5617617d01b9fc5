"""Rehearsal checkpoints: random weights in the exact shapes, names and files of the published ones.

They know nothing, but load, take memory and run exactly like JiaZL/STAMP-2B-uni and its 7B sibling, so that loading,
quantization, speed and the page can be tried without downloading anything. Every answer is one meaningless mask: the
random layers add very little, and three rows of the embedding lead from the line break before an answer to `<|seg|>`,
and from there to the end.
"""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from tqdm import tqdm

from stamp.checkpoints.published_layout import (
    CHAT_TEMPLATE,
    QWEN_TOKENS,
    SIZES,
    Shapes,
    Size,
    byte_level_tokenizer,
    generation_config,
    model_config,
    preprocessor_config,
    tensor_shapes,
    tokenizer_config,
)
from stamp.checkpoints.sources import INDEX_FILE, check_target
from stamp.files import removed_on_failure, writing
from stamp.model.configuration_stamp import STAMP_TOKENS

__all__ = ["SIZES", "Size", "write_checkpoint", "write_rehearsal"]

GB = 1e9
#: A shard is built in memory before it is written; a tensor above the limit gets its own shard.
SHARD_BYTES = 1_000_000_000
BYTES_PER_VALUE = 2  # bfloat16
#: Disk space for everything that is not a weight, mostly the tokenizer.
OTHER_FILES_BYTES = 50_000_000
STD = 0.02
#: Scale of what a layer adds to the residual stream: small, so that the last token's embedding decides what follows.
RESIDUAL_SCALE = 1e-3
EMBEDDING, OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
#: Values drawn once and repeated. It is prime, so that no two rows of a matrix start at the same place.
TILE = 4_194_301
README = "Random weights: a rehearsal of a published STAMP checkpoint's shapes and files. Its masks are nonsense.\n"
#: Text for learning the few byte-pair merges; all other words are spelled in smaller pieces.
PHRASES = (
    "system You are a helpful assistant. user assistant",
    "Please segment only the white horse in the image.",
    "Can you segment all people in the picture? Where is the dog? Please respond with segmentation mask.",
    "Sure, here is the segmentation mask for 'white horse': and here are the masks for this and that.",
    "There is no such object in the image. What is on the left of it, and how many are there?",
)
LEARNED_TOKENS = 700
#: A line break as byte-level BPE spells it.
LINE_BREAK = "Ċ"


def write_rehearsal(size: str, folder: Path) -> None:
    """Write a random checkpoint of size "2b" (4.4 GB) or "7b" (16.6 GB) into a new or empty folder.

    Raises: ValueError for an unknown size; CheckpointError if the folder is not empty; OSError if the disk is too
    small.
    """
    if size not in SIZES:
        raise ValueError(f"size is one of {', '.join(SIZES)}, not {size!r}")
    write_checkpoint(SIZES[size], folder)


def write_checkpoint(size: Size, folder: Path, *, shard_bytes: int = SHARD_BYTES, seed: int = 0) -> None:
    """Write all files of a checkpoint; the index comes last, so that an incomplete folder never loads.

    The weights depend only on `seed` and the tensors' names. Peak memory is about one shard.
    Raises: CheckpointError and OSError, as in `write_rehearsal`.
    """
    shapes = tensor_shapes(size)
    check_target(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _check_disk(folder, sum(_n_bytes(shape) for shape in shapes.values()))
    with writing(folder), removed_on_failure(folder):
        _write_files(size, folder, shapes, shard_bytes, seed)


def _write_files(size: Size, folder: Path, shapes: dict[str, tuple[int, ...]], shard_bytes: int, seed: int) -> None:
    files: dict[str, dict[str, Any]] = {
        "config.json": model_config(size),
        "generation_config.json": generation_config(size),
        "preprocessor_config.json": preprocessor_config(),
        "tokenizer_config.json": tokenizer_config(size),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    (folder / "README.md").write_text(README)
    tokenizer = build_tokenizer(size)
    tokenizer.save(str(folder / "tokenizer.json"))
    line_break: Any = tokenizer.token_to_id(LINE_BREAK)
    script = (line_break, size.token_id("<|seg|>"), size.token_id("<|im_end|>"))
    _write_weights(shapes, folder, shard_bytes, seed, script)


def _check_disk(folder: Path, weight_bytes: int) -> None:
    needed, free = weight_bytes + OTHER_FILES_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{folder}: the checkpoint needs {needed / GB:.1f} GB of disk, {free / GB:.1f} GB are free")


# -- tokenizer -------------------------------------------------------------------------------------------------


def build_tokenizer(size: Size) -> Tokenizer:
    """Byte-level BPE that gives the special tokens their published ids.

    A few merges are learned from `PHRASES`. The rest of the vocabulary is fillers (" w700", " w701", ...): no text is
    encoded to them, but they decode as a word when random weights choose them.
    """
    trainer = trainers.BpeTrainer(
        vocab_size=min(LEARNED_TOKENS, size.ordinary_tokens),
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned = byte_level_tokenizer(models.BPE())
    learned.train_from_iterator(PHRASES, trainer)
    bpe = json.loads(learned.to_str())["model"]
    vocabulary: dict[str, int] = bpe["vocab"]
    vocabulary |= {f"Ġw{index}": index for index in range(len(vocabulary), size.ordinary_tokens)}
    tokenizer = byte_level_tokenizer(models.BPE(vocabulary, [tuple(pair) for pair in bpe["merges"]]))
    tokenizer.add_special_tokens([*QWEN_TOKENS, *STAMP_TOKENS])
    return tokenizer


# -- weights ---------------------------------------------------------------------------------------------------


def _write_weights(shapes: Shapes, folder: Path, shard_bytes: int, seed: int, script: tuple[int, ...]) -> None:
    shards = list(_plan_shards(shapes, shard_bytes))
    tile = torch.randn(TILE, generator=torch.Generator().manual_seed(seed)).mul(STD).to(torch.bfloat16)
    tile = torch.cat([tile, tile])
    weight_map: dict[str, str] = {}
    total = sum(_n_bytes(shape) for shape in shapes.values())
    with tqdm(total=total, desc="write weights", unit="B", unit_scale=True) as bar:
        for number, names in enumerate(shards, 1):
            file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            tensors = {name: _tensor(name, shapes[name], tile, script) for name in names}
            save_file(tensors, folder / file, {"format": "pt"})
            weight_map |= dict.fromkeys(names, file)
            bar.update(sum(_n_bytes(shapes[name]) for name in names))
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n")


def _plan_shards(shapes: Shapes, shard_bytes: int) -> Iterator[list[str]]:
    """Names in order, split so that no shard exceeds the limit unless it is a single tensor."""
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        if names and size + _n_bytes(shape) > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += _n_bytes(shape)
    yield names


def _tensor(name: str, shape: tuple[int, ...], tile: Tensor, script: tuple[int, ...]) -> Tensor:
    """Random values that make every answer one mask. script: ids of line break, `<|seg|>` and `<|im_end|>`."""
    values = _random_tensor(EMBEDDING if name == OUTPUT else name, shape, tile)
    if name in (EMBEDDING, OUTPUT):
        line_break, seg, end = script
        values[seg] = 2 * (values[line_break] + values[end])
        values[end] *= 5
    elif name.endswith(("self_attn.o_proj.weight", "mlp.down_proj.weight")):
        values *= RESIDUAL_SCALE
    return values


def _random_tensor(name: str, shape: tuple[int, ...], tile: Tensor) -> Tensor:
    """Biases 0, norms 1, all else taken from `tile` (twice TILE values) at an offset that depends on the name."""
    if len(shape) == 1:
        return torch.full(shape, float(name.endswith(".weight")), dtype=tile.dtype)
    start = crc32(name.encode()) % TILE
    values = torch.empty(math.prod(shape), dtype=tile.dtype)
    for piece in values.split(TILE):
        piece.copy_(tile[start : start + len(piece)])
    return values.view(shape)


def _n_bytes(shape: tuple[int, ...]) -> int:
    return BYTES_PER_VALUE * math.prod(shape)
