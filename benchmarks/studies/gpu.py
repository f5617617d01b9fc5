"""All that is to be known about a GPU that is at hand for ten minutes, in one command.

Parity with the published code, in float32 and in bfloat16, on small models whose results are known. Then, at the size
of a published checkpoint: the released algorithm, ours with a growing cache, and ours with captured decoding passes
(`benchmarks.studies.speed`), and how far ours is from what the machine could do (`benchmarks.studies.limits`). What is
known is written after each part, so that nothing is lost if the GPU is.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.reporting.report_table import markdown
from benchmarks.studies.limits import Work, limits_record
from benchmarks.studies.speed import PROMPT, SpeedConfig, load_timed, measure_speed, picture
from stamp.checkpoints.load_options import LoadOptions
from stamp.conversation import Turn
from stamp.files import write_atomically
from stamp.predictor import StampPredictor

RECORD_FILE = "gpu.json"
DTYPES = ("float32", "bfloat16")
#: Of the fixtures: models that are an adapter are in a folder of another name.
FOLDERS = {"lora": "lora_adapter"}
#: A `<|seg|>` that a user typed, which the published code reads as its own; and an answer that it cut at its `<|seg|>`.
NOT_ALIKE = ("tied__seg_in_prompt", "tied__cut_on_seg")


@dataclass(frozen=True)
class Parity:
    """One known answer on the device. Largest differences of logits; cells: share of mask cells that agree."""

    case: str
    dtype: str
    text_difference: float
    mask_difference: float | None
    cells: float | None


def parity(fixtures: Path, device: str) -> Iterator[Parity]:
    """Each known answer, in each dtype."""
    cases = json.loads((fixtures / "manifest.json").read_text())["cases"]
    for dtype in DTYPES:
        models: dict[str, StampPredictor] = {}
        for case in tqdm([case for case in cases if case["id"] not in NOT_ALIKE], desc=f"parity, {dtype}"):
            folder = FOLDERS.get(case["variant"], case["variant"])
            if folder not in models:
                load = LoadOptions(fixtures / "models" / folder, device=device, dtype=dtype)
                models[folder] = StampPredictor.load(load)
            with np.load(fixtures / case["file"]) as file, Image.open(fixtures / case["image"]) as image:
                yield _parity(models[folder], case, dtype, dict(file), image.convert("RGB"))


def _parity(
    stamp: StampPredictor, case: dict[str, Any], dtype: str, known: dict[str, np.ndarray], image: Image.Image
) -> Parity:
    given = str(case["forced_text"]).removesuffix("<|im_end|>")
    text = stamp.text_logits(image, case["prompt"], given)[: len(known["text_logits"])]
    masks = [logits.ravel() for logits in stamp.predict_masks(image, case["prompt"], given).mask_logits]
    of_text = float(np.abs(text - known["text_logits"]).max())
    if not masks:
        return Parity(case["id"], dtype, of_text, None, None)
    found, expected = np.stack(masks), known["mask_logits"]
    cells = float(((found > 0) == (expected > 0)).mean())
    return Parity(case["id"], dtype, of_text, float(np.abs(found - expected).max()), cells)


def run_gpu(options: LoadOptions, fixtures: Path, out: Path, config: SpeedConfig) -> dict[str, Any]:
    """Measure; write `gpu.json` after each part, and the rows of `speed`; return the record. Raises CheckpointError."""
    out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {"parity": [asdict(one) for one in parity(fixtures, options.device)]}
    write(out, record)
    predictor = load_timed(options, config.clock)
    record |= measure_speed(predictor, options.model, out, config)
    write(out, record)
    record["limits"] = _limits(predictor, config, record["cases"]["one_mask"])
    write(out, record)
    return record


def write(out: Path, record: dict[str, Any]) -> None:
    """Write what is known so far."""
    write_atomically(out / RECORD_FILE, json.dumps(record, indent=1) + "\n")


def _limits(predictor: StampPredictor, config: SpeedConfig, one_mask: dict[str, Any]) -> dict[str, object]:
    """Of the answer with one mask, as `speed` has measured it."""
    image = predictor.encode_image(picture(config.side_px))
    turns = [Turn("user", PROMPT, image)]
    prompt = predictor.processor.encode_conversation(turns, [len(image.embeds)]).input_ids
    passes = one_mask["forward_passes"]["ours"] - 2  # without prefill and mask pass
    work = Work(int(image.grid_thw.prod()), len(prompt), passes, 1)
    return limits_record(predictor.model, work, one_mask["median_s"]["ours"])


def gpu_table(record: dict[str, Any]) -> str:
    """Markdown: the worst of the parity by dtype, and the phases against their limits."""
    lines = []
    for dtype in DTYPES:
        rows = [row for row in record["parity"] if row["dtype"] == dtype]
        names = ("text_difference", "mask_difference")
        worst = [max(row[name] for row in rows if row[name] is not None) for name in names]
        cells = min(row["cells"] for row in rows if row["cells"] is not None)
        lines.append([dtype, *(f"{value:.2g}" for value in worst), f"{cells:.4f}"])
    tables = [markdown(["parity", "text logits", "mask logits", "cells alike"], lines, words=1)]
    ours, least = record["cases"]["one_mask"]["median_s"]["ours"], record["limits"]["least_s"]
    phases = [
        [phase, f"{ours[phase]:.4f}", f"{seconds:.4f}", f"{ours[phase] / seconds:.1f}"]
        for phase, seconds in least.items()
    ]
    tables.append(markdown(["one mask", "s", "least s", "times"], phases, words=1))
    return "\n\n".join(tables)
