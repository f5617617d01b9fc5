"""Times ours against the algorithm as released, on the same weights, pictures and answers, in one run.

The parts of an answer: *Vision* turns the picture into features. *Prefill* reads the whole prompt in one pass.
*Decode* writes the answer, one pass per token. *Mask* predicts the masks, P mask tokens each. *Refine* enlarges them.
Answers are forced (`benchmarks.methods.teacher_forcing`), so every method writes the same tokens.

The measured window: PIL picture and prompt in, boolean masks at the picture's size out. Loading is outside, the
accelerator is synchronized at both ends, every method is warmed up, and methods take turns (ours, released, released,
ours ...) so that a slow drift of the machine affects both. Raw rows are written first; the summary is made from the
rows alone.

On a shared CPU, use the clock "cpu" instead of "wall": the processor time of the process, summed over its threads.
With one thread on an idle processor both are the same.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.instruments import wait_for
from benchmarks.methods.released import MASK_PARTS, segment_released
from benchmarks.methods.teacher_forcing import ONE_MASK, segment_drafted, segment_forced
from benchmarks.provenance import provenance
from benchmarks.studies.follow_up import segment_follow_up, segment_fresh
from stamp.checkpoints.devices import choose_device
from stamp.checkpoints.load_options import LoadOptions
from stamp.conversation import Segmentation
from stamp.inference.answer import PHASES
from stamp.inference.captured_steps import CapturedSteps
from stamp.model.processing_stamp import StampProcessor
from stamp.predictor import StampPredictor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

PROMPT = "Please segment only the white horse in the image."
ONE_MASK_TOKENS = 12
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
ROWS_FILE, SUMMARY_FILE = "speed.jsonl", "speed.json"

Method = Callable[[StampPredictor, Image.Image, str, int, Sequence[int]], Segmentation]
R = TypeVar("R", bound="DataclassInstance")


def check_least(config: object, **least: int) -> None:
    """Raise ValueError for a field of a study's configuration that is below its least value."""
    for name, bound in least.items():
        if (value := getattr(config, name)) < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")


def check_clock(clock: str) -> None:
    """Raise ValueError unless it is a key of CLOCKS."""
    if clock not in CLOCKS:
        raise ValueError(f"clock must be one of {', '.join(CLOCKS)}, got {clock!r}")


@dataclass(frozen=True)
class SpeedConfig:
    """What to measure. At least one warm-up is needed, because the first follow-up question only fills the cache.

    side_px: of the square picture; 896 gives published checkpoints 32 x 32 = 1024 mask tokens. clock: a key of CLOCKS.
    """

    masks: int = 8
    repeats: int = 3
    warmups: int = 1
    side_px: int = 896
    clock: str = "wall"

    def __post_init__(self) -> None:
        check_least(self, masks=1, repeats=1, warmups=1, side_px=1)
        check_clock(self.clock)


@dataclass(frozen=True)
class Case:
    """One comparison. compared: the phase to compare. answer: ids without the end token.

    warm_up: run in the warm-up rounds; not needed if another case has the same methods.
    """

    name: str
    compared: str
    answer: tuple[int, ...]
    methods: dict[str, Method] = field(default_factory=lambda: {"ours": segment_forced, "released": segment_released})
    warm_up: bool = True


@dataclass(frozen=True)
class Row:
    """One measurement. Seconds per phase; "total" is the whole window, "other" the time outside all phases.

    repeat: number of the round, from 0; negative in a warm-up. wall_s: real time, whatever the clock.
    max_logit_difference: largest difference of a mask logit from the case's first method in the same round, else None.
    """

    case: str
    method: str
    repeat: int
    warmup: bool
    seconds: dict[str, float]
    wall_s: float
    new_tokens: int
    masks: int
    forward_passes: int
    max_logit_difference: float | None


def speed_cases(processor: StampProcessor, config: SpeedConfig, captured: CapturedSteps | None = None) -> list[Case]:
    """The comparisons: a usual answer with one mask, end to end; the mask phase of an answer with many masks; a second
    question about the same picture, with and without the conversation cache; and a usual answer written with guesses,
    and token by token, as in all other cases. captured: decoding passes to compare with usual ones.
    """
    seg = processor.seg_token_id
    usual = tuple(processor.encode_response(ONE_MASK.format("white horse")))
    words = [token for token in usual * ONE_MASK_TOKENS if token != seg][: ONE_MASK_TOKENS - 1]
    many = "Sure, here are the segmentation masks: " + ", ".join(["<|seg|>"] * config.masks)
    cases = [
        Case("one_mask", "total", (*words, seg)),
        Case("many_masks", "mask", tuple(processor.encode_response(many)), warm_up=False),
        Case("follow_up", "total", (*words, seg), {"cached": segment_follow_up, "fresh": segment_fresh}),
        Case("drafts", "decode", usual, {"drafted": segment_drafted, "token by token": segment_forced}),
    ]
    if captured is not None:
        methods: dict[str, Method] = {"captured": with_captured(captured), "growing cache": segment_forced}
        cases.append(Case("captured", "decode", usual, methods))
    return cases


def with_captured(steps: CapturedSteps) -> Method:
    """`segment_forced` with captured decoding passes, which all other methods of a run do without."""

    def segment(
        predictor: StampPredictor, image: Image.Image, prompt: str, max_new_tokens: int, answer: Sequence[int]
    ) -> Segmentation:
        predictor.captured = steps
        try:
            return segment_forced(predictor, image, prompt, max_new_tokens, answer)
        finally:
            predictor.captured = None

    return segment


def picture(side_px: int) -> Image.Image:
    """A square RGB picture with detail everywhere; always the same."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8))


@dataclass(frozen=True)
class Run:
    """A method's result and its seconds: see Row."""

    seconds: dict[str, float]
    wall_s: float
    result: Segmentation


def measure(predictor: StampPredictor, image: Image.Image, case: Case, method: str) -> Run:
    """Run a method once, under the predictor's clock."""
    wait_for(predictor.device)
    start, start_wall = predictor.read_clock(), time.perf_counter()
    result = case.methods[method](predictor, image, PROMPT, len(case.answer) + 1, case.answer)
    wait_for(predictor.device)
    total, wall_s = predictor.read_clock() - start, time.perf_counter() - start_wall
    if result.token_ids != case.answer or result.finish_reason != "end":
        raise RuntimeError(f"{case.name}: {method} did not write the given answer")
    seconds = {name: result.timings_s[name] for name in (*PHASES, *MASK_PARTS) if name in result.timings_s}
    other = total - sum(seconds[phase] for phase in PHASES)
    return Run(seconds | {"other": other, "total": total}, wall_s, result)


def load_timed(options: LoadOptions, clock: str) -> StampPredictor:
    """A predictor that times its phases by `clock`, a key of CLOCKS. Raises ValueError: processor time on a GPU."""
    if clock == "cpu" and (device := choose_device(options.device)).type != "cpu":
        raise ValueError(f"the clock cpu cannot time {device}; use wall")
    return StampPredictor.load(replace(options, read_clock=CLOCKS[clock]))


def measure_all(
    predictor: StampPredictor, image: Image.Image, cases: Sequence[Case], config: SpeedConfig
) -> Iterator[Row]:
    """Rows in the order of measurement: rounds over the cases, methods in turn."""
    due = [(number, case) for number in range(-config.warmups, config.repeats) for case in cases]
    due = [(number, case) for number, case in due if number >= 0 or case.warm_up]
    with tqdm(total=sum(len(case.methods) for _, case in due), desc="speed", unit="run") as bar:
        for number, case in due:
            methods = list(case.methods)
            runs: dict[str, Run] = {}
            for method in methods if number % 2 else methods[::-1]:
                bar.set_postfix_str(f"{case.name}, {method}{', warm-up' if number < 0 else ''}")
                runs[method] = measure(predictor, image, case, method)
                bar.update()
            for method, run in runs.items():
                yield _row(case, method, number, run, None if method == methods[0] else runs[methods[0]].result)


def _row(case: Case, method: str, number: int, run: Run, first: Segmentation | None) -> Row:
    """number: the round, from 0; negative in a warm-up. first: the result of the case's first method."""
    result, difference = run.result, None
    if first is not None:
        difference = float(np.abs(np.stack(result.mask_logits) - np.stack(first.mask_logits)).max())
    return Row(
        case=case.name,
        method=method,
        repeat=number,
        warmup=number < 0,
        seconds=run.seconds,
        wall_s=run.wall_s,
        new_tokens=result.new_tokens,
        masks=len(result.masks),
        forward_passes=result.forward_passes,
        max_logit_difference=difference,
    )


def summarise(rows: Sequence[Row], cases: Sequence[Case]) -> dict[str, Any]:
    """Per case: each method's medians in seconds, and "ratio" = its median over the first method's."""
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


def write_rows(rows: Iterator[R], path: Path) -> list[R]:
    """Write rows as lines of JSON, each as soon as it is measured; returns them all."""
    kept = []
    with path.open("w") as file:
        for row in rows:
            kept.append(row)
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()
    return kept


def run_speed(options: LoadOptions, out: Path, config: SpeedConfig) -> dict[str, Any]:
    """Load and measure; write `speed.jsonl` (each row as soon as it is measured) and `speed.json`; return its content.

    Raises CheckpointError, and ValueError for a clock that cannot time the device.
    """
    return measure_speed(load_timed(options, config.clock), options.model, out, config)


def measure_speed(
    predictor: StampPredictor, model: str | Path | None, out: Path, config: SpeedConfig
) -> dict[str, Any]:
    """The same for a loaded model. model: as given, for the record. Its captured passes, if any, are a case apart."""
    image = picture(config.side_px)
    captured, predictor.captured = predictor.captured, None
    cases = speed_cases(predictor.processor, config, captured)
    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(measure_all(predictor, image, cases, config), out / ROWS_FILE)
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


def speed_table(record: dict[str, Any]) -> str:
    """Median seconds per case, method and phase; one line each."""
    clock = record["provenance"]["config"]["clock"]
    phases = ("vision", "prefill", "decode", "mask", "refine", "total")
    lines = [f"{f'median {clock} seconds':24}" + "".join(f"{phase:>9}" for phase in phases)]
    for name, case in record["cases"].items():
        for method, seconds in case["median_s"].items():
            lines.append(f"{f'{name}, {method}':24}" + "".join(f"{seconds[phase]:9.3f}" for phase in phases))
        ratios = ", ".join(f"{method} {ratio:.2f}" for method, ratio in case["compared_ratio"].items())
        lines.append(f"  {case['compared']}, times {next(iter(case['median_s']))}: {ratios}")
    lines.append(f"follow-up question over first question: {record['follow_up_over_first']:.2f}")
    where = record["provenance"]
    return "\n".join([*lines, f"n = {where['n']}, P = {where['mask_tokens']}, {where['dtype']}, {where['hardware']}"])
