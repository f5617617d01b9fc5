"""A model in training: reads the checkpoint it starts from, writes one to ship, and the state that resuming needs."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from stamp.checkpoints.sources import NOUNS_FILE
from stamp.files import move_files, removed_on_failure, writing
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.photographs import PhotoLibrary


def read_weights(
    model_class: type[StampForSegmentation], folder: Path, may_have_more: bool = False
) -> StampForSegmentation:
    """A model with all weights of a checkpoint folder, float32. Raises ValueError if its weights are of another class.

    transformers drops what a class does not know, which is fine if it `may_have_more`, and makes up what a file lacks.
    """
    model: StampForSegmentation
    loaded: Any = model_class.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model, report = loaded
    unknown = () if may_have_more else report["unexpected_keys"]
    if others := sorted({*unknown, *report["missing_keys"]}):
        raise ValueError(f"{folder} is no checkpoint of {model_class.__name__}: {len(others)} weights, as {others[0]}")
    return model


def write_state(state: dict[str, Any], path: Path) -> None:
    """Write everything that resuming needs; the old file stays until the new one is whole."""
    part = path.with_name(f"{path.name}.part")
    with writing(path.parent), removed_on_failure(part):
        with part.open("wb") as file:
            torch.save(state, file)
        os.replace(part, path)


def write_checkpoint(
    model: StampForSegmentation,
    processor: StampProcessor,
    art: ArtLibrary,
    photographs: PhotoLibrary | None,
    folder: Path,
) -> None:
    """Write a checkpoint folder with its nouns; the old files stay until the new ones are whole."""
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    with writing(folder.parent), removed_on_failure(unfinished):
        export_checkpoint(model, processor, unfinished)
        write_nouns(art, photographs, unfinished)
        move_files(unfinished, folder)


def export_checkpoint(model: StampForSegmentation, processor: StampProcessor, folder: Path) -> None:
    """Write a loadable checkpoint folder: bfloat16 safetensors in shards of at most 10 MB, tokenizer, image sizes."""
    weights = {name: value.detach().to("cpu", torch.bfloat16) for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del weights["lm_head.weight"]  # tied to the embedding, which is stored once
    model.save_pretrained(folder, state_dict=weights, max_shard_size="9MB")
    processor.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    for part in config.values():  # the parts' own values would contradict this
        if isinstance(part, dict):
            part.pop("dtype", None)
    _write_json(folder / "config.json", config | {"dtype": "bfloat16"})
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    loaded_from = ("is_local", "local_files_only")
    _write_json(folder / "tokenizer_config.json", {k: v for k, v in tokenizer.items() if k not in loaded_from})


def write_derived(model: StampForSegmentation, processor: StampProcessor, of: Path, folder: Path) -> None:
    """Write a checkpoint made from another one, with that one's list of nouns if it has one."""
    with writing(folder), removed_on_failure(folder):
        export_checkpoint(model, processor, folder)
        if (of / NOUNS_FILE).is_file():
            shutil.copy(of / NOUNS_FILE, folder)


def write_nouns(art: ArtLibrary, photographs: PhotoLibrary | None, folder: Path) -> None:
    """Write `nouns.json`: for each noun, how many drawings of each style and photographs it is learned from."""
    photographed: Counter[str] = Counter()
    for photo in photographs.photographs if photographs else ():
        photographed.update({item.noun.name for item in photo.objects})
    learned = {}
    for noun in art.nouns:
        drawings = {style: art.drawings(style, noun) for style in art.styles}
        counts = {**drawings, "photographs": photographed[noun.name]}
        learned[noun.name] = {source: count for source, count in counts.items() if count}
    (folder / NOUNS_FILE).write_text(json.dumps(learned, indent=0) + "\n")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
