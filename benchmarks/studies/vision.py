"""`python -m benchmarks vision`: an answer with one mask, the vision tower in int8 against full precision.

One process holds one text model and both towers, so that nothing else differs. The towers take turns, with the whole
picture and with a quarter of its pixels; then everything is repeated beside a process that only burns CPU time. If
something else runs on the machine, the idle half cannot be measured and is left out.

The measured window and the phases are those of `benchmarks.studies.speed`. Random weights will do: speed does not
depend on them. What int8 costs in quality is measured by two runs of `python -m benchmarks run`, with `--vision none`
and `--vision int8`.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from benchmarks.methods.teacher_forcing import decode
from benchmarks.provenance import precision_of, provenance, threads_of
from benchmarks.studies.other_load import MOST_WHEN_IDLE, busy_process, busy_share, busy_words
from benchmarks.studies.speed import (
    Case,
    Row,
    SpeedConfig,
    load_timed,
    measure_all,
    picture,
    speed_cases,
    summarise,
    write_rows,
)
from stamp.checkpoints.devices import choose_device
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.quantization import check_vision
from stamp.conversation import Segmentation, Turn
from stamp.model.int8_vision import quantize_vision
from stamp.predictor import StampPredictor

ROWS_FILE, SUMMARY_FILE = "vision.jsonl", "vision.json"
#: Shares of the picture's pixels.
SHARES = {"whole": 1.0, "quarter": 0.25}
PHASES = ("vision", "prefill", "decode", "mask", "refine", "total")


def segment_with(
    tower: nn.Module,
    share: float,
    predictor: StampPredictor,
    image: Image.Image,
    prompt: str,
    max_new_tokens: int,
    forced: Sequence[int],
) -> Segmentation:
    """A given answer about a share of the picture's pixels, seen by the tower; see `segment_forced`."""
    predictor.model.model.visual = tower
    clock = predictor.clock()
    encoded, _ = predictor.images.encode_picture(image, clock, share)
    answer = predictor.begin([Turn("user", prompt, encoded)], clock=clock)
    decode(answer, max_new_tokens, forced)
    answer.predict_masks()
    return answer.result(predictor.versions())


def vision_cases(predictor: StampPredictor, config: SpeedConfig, load: str) -> list[Case]:
    """A usual answer with one mask, for each share of the pixels. load: "idle" or "busy", part of a case's name."""
    full = predictor.model.model.visual
    small = copy.deepcopy(full)
    quantize_vision(small)
    (usual,) = (case for case in speed_cases(predictor.processor, config) if case.name == "one_mask")
    return [
        Case(
            f"{load}, {name}",
            usual.compared,
            usual.answer,
            {"int8": partial(segment_with, small, share), "full": partial(segment_with, full, share)},
            warm_up=share < 1,
        )
        for name, share in SHARES.items()
    ]


def run_vision(options: LoadOptions, out: Path, config: SpeedConfig) -> dict[str, Any]:
    """Load and measure; write `vision.jsonl` (each row at once) and `vision.json`; return the latter's content.

    options: `vision` is not read, because both towers are measured.
    Raises CheckpointError, also where the tower cannot compute in int8, and ValueError for a clock that cannot time.
    """
    check_vision("int8", choose_device(options.device))
    before = busy_share()
    predictor = load_timed(replace(options, vision="none"), config.clock)
    about = provenance(predictor, options.model)
    image, idle = picture(config.side_px), vision_cases(predictor, config, "idle")
    busy = [replace(case, name=case.name.replace("idle", "busy")) for case in idle]
    if before > MOST_WHEN_IDLE:
        idle = []

    def measured() -> Iterator[Row]:
        yield from measure_all(predictor, image, idle, config)
        with busy_process():
            yield from measure_all(predictor, image, busy, config)

    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(measured(), out / ROWS_FILE)
    record = {
        "provenance": about | {"n": config.repeats, "busy_before": before, "config": asdict(config)},
        "cases": summarise(rows, [*idle, *busy]),
    }
    (out / SUMMARY_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return record


def vision_table(record: dict[str, Any]) -> str:
    """Markdown: median seconds per phase, and how many times as fast the answer is in int8."""
    about, cases = record["provenance"], record["cases"]
    lines = [f"| picture | tower | {' | '.join(PHASES)} | times as fast |", f"|---|---|{'---:|' * (len(PHASES) + 1)}"]
    for name, case in cases.items():
        for tower, seconds in case["median_s"].items():
            numbers = " | ".join(f"{seconds[phase]:.3g}" for phase in PHASES)
            ratio = f"{case['compared_ratio']['full']:.2f}" if tower == "int8" else ""
            lines.append(f"| {name} | {tower} | {numbers} | {ratio} |")
    where = f"{about['config']['clock']} seconds, {threads_of(about)}, {about['hardware']}"
    facts = f"{about['model']} in {precision_of(about)}, {where}"
    load = busy_words(about["busy_before"])
    return "\n".join([*lines, "", f"{facts}; n = {about['n']}, {about['date']}, commit {about['commit']}. {load}"])
