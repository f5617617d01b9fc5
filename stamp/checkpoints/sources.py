"""Where checkpoints come from: short names, folders, hub ids, and the base model of an adapter.

Each becomes a local folder. Only a hub id, its short name, or the base that an adapter names is downloaded.
"""

import json
import logging
import re
from pathlib import Path
from typing import Any

from stamp.checkpoints.download import Report, download
from stamp.errors import CheckpointError

log = logging.getLogger(__name__)

EMBEDDED_CHECKPOINT = Path(__file__).resolve().parents[2] / "assets" / "stamp-nano"
SHORT_NAMES = {"nano": str(EMBEDDED_CHECKPOINT), "2b": "JiaZL/STAMP-2B-uni", "7b": "JiaZL/STAMP-7B-lora"}
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
WEIGHTS_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
IMAGE_PROCESSOR = "preprocessor_config.json"
LFS_POINTER = b"version https://git-lfs"
_WEIGHTS_NAME = re.compile(r"[\w.-]+\.safetensors")
MOST_LAYERS = 1000
#: The nouns that a checkpoint was trained on, if there is a list.
NOUNS_FILE = "nouns.json"
#: How often answers of a confidence are right, if that was measured.
CONFIDENCE_FILE = "confidence.json"
#: Results on photographs that training never saw: the report, and the scores per source.
PHOTO_FIGURES_FILE = "photos-val.json"


def find_checkpoint(source: str | Path | None, revision: str | None = None, report: Report | None = None) -> Path:
    """The local folder of a checkpoint: None is the embedded nano; "nano", "2b", "7b", a folder, or a hub id.

    report: gets the progress of a download; None shows a bar in the terminal.
    Raises CheckpointError: no such folder, unknown or gated id, no network and not cached.
    """
    if source is None and revision is None:
        return EMBEDDED_CHECKPOINT
    source = source or "nano"
    name = SHORT_NAMES.get(str(source).lower(), str(source))
    path = Path(name).expanduser()
    if path.is_dir():
        return _without_revision(path, source, revision)
    if path.exists():
        raise CheckpointError(f"{source} is a file; give the folder that holds config.json and *.safetensors.")
    if not may_be_hub_id(name):
        raise CheckpointError(
            f"There is no folder {source}. Give a checkpoint folder, a hub id such as {SHORT_NAMES['2b']}, "
            f"or one of {', '.join(SHORT_NAMES)}."
        )
    return download(name, revision, report)


def find_base(
    adapter: Path, base: str | None = None, revision: str | None = None, report: Report | None = None
) -> Path:
    """The local folder of an adapter's base model. revision: of its hub id.

    Tried in this order: `base`; the recorded name as an absolute path, relative to the adapter's folder and to each of
    its parents, as a hub id. Raises CheckpointError, which names `--base`.
    """
    recorded = read_json(adapter / ADAPTER_CONFIG).get("base_model_name_or_path")
    if base is not None:
        return find_checkpoint(base, revision, report)
    if not isinstance(recorded, str) or not recorded:
        raise CheckpointError(f"The adapter {adapter.name} does not record its base model; give it with --base.")
    candidates = [Path(recorded)] if Path(recorded).is_absolute() else []
    candidates += [folder / recorded for folder in (adapter.resolve(), *adapter.resolve().parents)]
    for candidate in candidates:
        if candidate.is_dir():
            return _without_revision(candidate, recorded, revision)
    if not may_be_hub_id(recorded):
        raise CheckpointError(
            f"The adapter {adapter.name} records its base model as {recorded}, which does not exist here. "
            "Name the base with --base, for example --base Qwen/Qwen2-VL-7B-Instruct."
        )
    log.warning("The adapter %s needs its base model %s: fetching it unless it is cached.", adapter.name, recorded)
    try:
        return download(recorded, revision, report)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (It is the base of an adapter; --base names another.)") from error


def _without_revision(folder: Path, named: str | Path, revision: str | None) -> Path:
    """The folder, as it was named; raises CheckpointError if a revision of it is wanted."""
    if revision is not None:
        raise CheckpointError(f"{named} is a folder here, which has no revision {revision!r}: leave it out.")
    return folder


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a PEFT adapter rather than a whole model."""
    return (folder / ADAPTER_CONFIG).exists()


def check_files(folder: Path) -> None:
    """Raise CheckpointError unless the folder holds a whole Qwen2-VL model or an adapter, in safetensors."""
    _refuse_pointers(folder)
    if not is_adapter(folder):
        for name in ("config.json", IMAGE_PROCESSOR):
            if not (folder / name).exists() and not (name == IMAGE_PROCESSOR and _nests_image_processor(folder)):
                raise CheckpointError(
                    f"{folder} is not a STAMP checkpoint: it has no {name}. Choose the folder that has it."
                )
        config = read_json(folder / "config.json")
        if (kind := config.get("model_type")) != "qwen2_vl":
            raise CheckpointError(
                f"{folder} is not a STAMP checkpoint: its model type is {str(kind)[:60]!r}, not 'qwen2_vl'. "
                "Use a STAMP checkpoint, for example --model 2b."
            )
        _check_layers(config, folder)
    if not any(folder.glob("*.safetensors")):
        others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
        found = f"; {', '.join(others[:3])} can run code when loaded and is refused" if others else ""
        raise CheckpointError(
            f"{folder} has no .safetensors weights{found}. Convert them to safetensors, or use another revision."
        )
    if lost := [name for name in _weight_files(folder) if not (folder / name).exists()]:
        raise CheckpointError(f"{folder} is incomplete: it lacks {', '.join(lost[:3])}. Download it again.")


def _refuse_pointers(folder: Path) -> None:
    """Raise CheckpointError for a clone made without git-lfs: short pointers replace the large files."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in (".json", ".safetensors", ".jinja", ".txt"):
            with path.open("rb") as file:
                if file.read(len(LFS_POINTER)) == LFS_POINTER:
                    raise CheckpointError(
                        f"{path.name} in {folder} is only a git-lfs pointer: install git-lfs and run `git lfs pull` "
                        "there, or download the checkpoint again."
                    )


def _nests_image_processor(folder: Path) -> bool:
    """transformers 5 saves the image processor inside processor_config.json."""
    path = folder / "processor_config.json"
    return path.exists() and isinstance(read_json(path).get("image_processor"), dict)


def _check_layers(config: dict[str, Any], folder: Path) -> None:
    """Raise CheckpointError for more layers than any model has: transformers allocates lists of that length."""
    for part in (config, config.get("text_config"), config.get("vision_config")):
        for name in ("num_hidden_layers", "depth"):
            layers = part.get(name, 1) if isinstance(part, dict) else 1
            if type(layers) is not int or not 1 <= layers <= MOST_LAYERS:
                raise CheckpointError(
                    f"{folder / 'config.json'} is damaged: {name} is {str(layers)[:60]}. Download it again."
                )


def _weight_files(folder: Path) -> list[str]:
    """The weight files: a single one, or those in the index."""
    if is_adapter(folder):
        return [ADAPTER_WEIGHTS]
    if not (folder / INDEX_FILE).exists():
        return [INDEX_FILE] if len(list(folder.glob("*.safetensors"))) > 1 else [WEIGHTS_FILE]
    weight_map = read_json(folder / INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{folder / INDEX_FILE} is damaged; download it again.")
    for name in weight_map.values():
        if not isinstance(name, str) or not _WEIGHTS_NAME.fullmatch(name):
            raise CheckpointError(
                f"{folder / INDEX_FILE} is damaged: it names {str(name)[:60]!r} as a weight file; download it again."
            )
    return sorted(set(weight_map.values()))


def check_target(folder: Path) -> None:
    """Raise CheckpointError unless the output folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} is not empty; name a new folder, or remove this one first.")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError when it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object.")
    return content


def may_be_hub_id(name: str) -> bool:
    """Whether a model that is no folder here can be one of the hub's: OWNER/NAME."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1 and not name.startswith(("./", "../", "~"))
