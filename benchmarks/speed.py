"""Seconds: ours against the algorithm as released, on the same weights, pictures and answers, in one run.

The parts of an answer. *Vision* turns the picture into features. *Prefill* reads the whole prompt in one pass.
*Decode* writes the answer, one pass a token. *Mask* predicts the masks, P mask tokens each. *Refine* enlarges them.
Answers are given in advance (`benchmarks.forcing`), so every method writes the same tokens.

The window of a measurement: PIL picture and prompt in, boolean masks at the picture's size out. Loading lies outside,
the accelerator is waited for at both ends, every method is warmed up, and methods take turns (ours, released,
released, ours ...) so that a slow drift of the machine hits both. Raw rows are written first, the summary is made
from the rows alone.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.follow_up import segment_follow_up, segment_fresh
from benchmarks.forcing import segment_forced
from benchmarks.provenance import provenance
from benchmarks.released import MASK_PARTS, segment_released
from benchmarks.timing import wait_for
from stamp.answer import PHASES
from stamp.conversation import Segmentation
from stamp.predictor import StampPredictor
from stamp.processing_stamp import StampProcessor

PROMPT = "Please segment only the white horse in the image."
ONE_MASK_TOKENS = 12
ROWS_FILE, SUMMARY_FILE = "speed.jsonl", "speed.json"

Method = Callable[[StampPredictor, Image.Image, str, int, Sequence[int]], Segmentation]


@dataclass(frozen=True)
class SpeedConfig:
    """What to measure. At least one warm-up, for the first follow-up question only fills the cache.

    side_px: of the square picture; 896 gives published checkpoints 32 x 32 = 1024 mask tokens.
    """

    masks: int = 8
    repeats: int = 3
    warmups: int = 1
    side_px: int = 896

    def __post_init__(self) -> None:
        for name, least in (("masks", 1), ("repeats", 1), ("warmups", 1), ("side_px", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True)
class Case:
    """One comparison. compared: the phase whose ratio answers the question. answer: ids without the end token."""

    name: str
    compared: str
    answer: tuple[int, ...]
    methods: dict[str, Method] = field(default_factory=lambda: {"ours": segment_forced, "released": segment_released})


@dataclass(frozen=True)
class Row:
    """One measurement. Seconds by phase; "total" is the whole window, "other" what no phase claims.

    max_logit_difference: largest difference of a mask logit from the case's first method in the same round, else None.
    """

    case: str
    method: str
    repeat: int
    warmup: bool
    seconds: dict[str, float]
    new_tokens: int
    masks: int
    forward_passes: int
    max_logit_difference: float | None


def speed_cases(processor: StampProcessor, config: SpeedConfig) -> list[Case]:
    """The comparisons: a usual answer with one mask, end to end; many masks in one answer, their phase; and a second
    question about the same picture, on the conversation's cache and from nothing.
    """
    seg = processor.seg_token_id
    words = processor.encode_plain("Sure, here is the segmentation mask for 'white horse': ")
    words = (words * ONE_MASK_TOKENS)[: ONE_MASK_TOKENS - 1]
    many = "Sure, here are the segmentation masks: " + ", ".join(["<|seg|>"] * config.masks)
    return [
        Case("one_mask", "total", (*words, seg)),
        Case("many_masks", "mask", tuple(processor.encode_response(many))),
        Case("follow_up", "total", (*words, seg), {"cached": segment_follow_up, "fresh": segment_fresh}),
    ]


def picture(side_px: int) -> Image.Image:
    """A square RGB picture with something in it everywhere; always the same."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8))


def measure(
    predictor: StampPredictor, image: Image.Image, case: Case, method: str
) -> tuple[dict[str, float], Segmentation]:
    """Run a method once -> seconds by phase, "other" and "total", and its result."""
    wait_for(predictor.device)
    start = time.perf_counter()
    result = case.methods[method](predictor, image, PROMPT, len(case.answer) + 1, case.answer)
    wait_for(predictor.device)
    total = time.perf_counter() - start
    if result.token_ids != case.answer or result.finish_reason != "end":
        raise RuntimeError(f"{case.name}: {method} did not write the given answer")
    seconds = {name: result.timings_s[name] for name in (*PHASES, *MASK_PARTS) if name in result.timings_s}
    other = total - sum(seconds[phase] for phase in PHASES)
    return seconds | {"other": other, "total": total}, result


def measure_all(
    predictor: StampPredictor, image: Image.Image, cases: Sequence[Case], config: SpeedConfig
) -> Iterator[Row]:
    """Rows in the order in which they are measured: rounds over the cases, methods in turn."""
    rounds = config.warmups + config.repeats
    with tqdm(total=rounds * sum(len(case.methods) for case in cases), desc="speed", unit="run") as bar:
        for number in range(rounds):
            warmup = number < config.warmups
            for case in cases:
                methods = list(case.methods)
                results: dict[str, tuple[dict[str, float], Segmentation]] = {}
                for method in methods if number % 2 == 0 else methods[::-1]:
                    bar.set_postfix_str(f"{case.name}, {method}{', warm-up' if warmup else ''}")
                    results[method] = measure(predictor, image, case, method)
                    bar.update()
                repeat = number if warmup else number - config.warmups
                for method, (seconds, result) in results.items():
                    first = None if method == methods[0] else results[methods[0]][1]
                    yield _row(case, method, repeat, warmup, seconds, result, first)


def _row(
    case: Case,
    method: str,
    repeat: int,
    warmup: bool,
    seconds: dict[str, float],
    result: Segmentation,
    first: Segmentation | None,
) -> Row:
    difference = None
    if first is not None:
        difference = float(np.abs(np.stack(result.mask_logits) - np.stack(first.mask_logits)).max())
    return Row(
        case=case.name,
        method=method,
        repeat=repeat,
        warmup=warmup,
        seconds=seconds,
        new_tokens=result.new_tokens,
        masks=len(result.masks),
        forward_passes=result.forward_passes,
        max_logit_difference=difference,
    )


def summarise(rows: Sequence[Row], cases: Sequence[Case]) -> dict[str, Any]:
    """By case: medians in seconds of each method, and "ratio" = a method's median over the first method's."""
    summary: dict[str, Any] = {}
    for case in cases:
        medians: dict[str, dict[str, float]] = {}
        own = [row for row in rows if row.case == case.name]
        for method in case.methods:
            runs = [row.seconds for row in own if row.method == method and not row.warmup]
            medians[method] = {phase: statistics.median(run[phase] for run in runs) for phase in runs[0]}
        first, *others = case.methods
        ratios = {method: _ratios(medians[method], medians[first]) for method in others}
        differences = [row.max_logit_difference for row in own if row.max_logit_difference is not None]
        summary[case.name] = {
            "compared": case.compared,
            "compared_ratio": {method: ratio[case.compared] for method, ratio in ratios.items()},
            "masks": own[0].masks,
            "new_tokens": own[0].new_tokens,
            "forward_passes": {row.method: row.forward_passes for row in own},
            "median_s": medians,
            f"ratio_to_{first}": ratios,
            "max_logit_difference": max(differences, default=None),
        }
    return summary


def _ratios(seconds: dict[str, float], base: dict[str, float]) -> dict[str, float | None]:
    return {phase: seconds[phase] / base[phase] if base[phase] > 0 else None for phase in base if phase != "other"}


def run_speed(predictor: StampPredictor, model: str | Path | None, out: Path, config: SpeedConfig) -> dict[str, Any]:
    """Measure; write `speed.jsonl` (a row as soon as it is measured) and `speed.json`; return what the latter holds.

    model: what `predictor` was loaded from, for the record.
    """
    image = picture(config.side_px)
    cases = speed_cases(predictor.processor, config)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    with (out / ROWS_FILE).open("w") as file:
        for row in measure_all(predictor, image, cases, config):
            rows.append(row)
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
    grid_hw = predictor.encode_image(image).grid_hw
    record = {
        "provenance": provenance(predictor, model)
        | {"n": config.repeats, "mask_tokens": grid_hw[0] * grid_hw[1], "grid_hw": grid_hw, "config": asdict(config)},
        "cases": (summary := summarise(rows, cases)),
        "follow_up_over_first": (
            summary["follow_up"]["median_s"]["cached"]["total"] / summary["one_mask"]["median_s"]["ours"]["total"]
        ),
    }
    (out / SUMMARY_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return record
