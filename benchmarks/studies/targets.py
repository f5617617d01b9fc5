"""Times the mask phase of answers with several targets: one set of mask tokens for all, against one set for each.

Both heads run on the same weights, picture and cache, in the same round: only `StampConfig.mask_head` differs. A
checkpoint without a shared head gets an untrained one, which costs the same. Separate masks share passes as usual, at
most `stamp.inference.answer.MAX_MASK_TOKENS_PER_PASS` mask tokens in each. Answers are forced, so weights may be
random, and no mask is scored. Only the mask phase counts: drawing the masks costs the same per mask either way.

Rounds alternate between counting up and counting down, and the heads take turns within them, so that a slow drift of
the machine affects both. Raw rows are written first; the summary is made from the rows alone.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from PIL import Image
from tqdm import tqdm

from benchmarks.instruments import wait_for
from benchmarks.provenance import precision_of, provenance, threads_of
from benchmarks.reporting.report_table import markdown, number
from benchmarks.studies.speed import PROMPT, check_clock, check_least, load_timed, picture, write_rows
from stamp.checkpoints.load_options import LoadOptions
from stamp.conversation import EncodedImage, Turn
from stamp.inference.conversation_cache import ConversationCache
from stamp.model.configuration_stamp import MaskHead
from stamp.predictor import StampPredictor

ROWS_FILE, SUMMARY_FILE = "targets.jsonl", "targets.json"
HEADS: tuple[MaskHead, ...] = get_args(MaskHead)
NAMES: dict[MaskHead, str] = {"classifier": "one set per target", "shared": "one set for all"}


@dataclass(frozen=True)
class TargetsConfig:
    """What to measure. targets: numbers of targets; ratios are to the first. side_px, clock: see SpeedConfig."""

    targets: tuple[int, ...] = (1, 2, 4, 8, 16)
    repeats: int = 3
    warmups: int = 1
    side_px: int = 896
    clock: str = "wall"

    def __post_init__(self) -> None:
        if not self.targets or min(self.targets) < 1 or len(set(self.targets)) < len(self.targets):
            raise ValueError(f"targets must be distinct and at least 1, got {self.targets}")
        check_least(self, repeats=1, warmups=0, side_px=1)
        check_clock(self.clock)


@dataclass(frozen=True)
class Row:
    """The mask phase of one answer. repeat: number of the round, from 0; negative in a warm-up. passes: mask passes."""

    head: MaskHead
    targets: int
    repeat: int
    warmup: bool
    mask_s: float
    passes: int


class Timer:
    """One picture and prompt, computed once; every answer continues from here."""

    def __init__(self, predictor: StampPredictor, image: Image.Image):
        self.predictor = predictor
        self.memory = ConversationCache(max_bytes=2**40)
        self.image: EncodedImage = predictor.encode_image(image)
        self.turns = [Turn("user", PROMPT, self.image)]
        predictor.model.share_mask_tokens()

    def measure(self, n_targets: int, heads: Sequence[MaskHead], number: int) -> Iterator[Row]:
        """Write an answer with so many targets, and predict its masks with each head. number: the round, from 0."""
        answer = self.predictor.begin(self.turns, "none", self.memory)
        answer.force(answer_ids(self.predictor, n_targets))
        clock, config = answer.clock, self.predictor.model.config
        for head in heads:
            config.mask_head = head
            answer.masks.clear()
            before, passes_before = clock.seconds.get("mask", 0.0), clock.passes.get("mask", 0)
            wait_for(self.predictor.device)
            answer.predict_masks()
            mask_s, passes = clock.seconds["mask"] - before, clock.passes["mask"] - passes_before
            yield Row(head, n_targets, number, number < 0, mask_s, passes)
        self.memory.put(answer.prefix())


def answer_ids(predictor: StampPredictor, n_targets: int) -> list[int]:
    """The tokens of an answer with so many targets."""
    return predictor.processor.encode_response(f"Sure, here they are: {', '.join(['<|seg|>'] * n_targets)}")


def measure_all(timer: Timer, config: TargetsConfig) -> Iterator[Row]:
    """Rows in the order of measurement. A warm-up round has only the smallest number of targets."""
    numbers = range(-config.warmups, config.repeats)
    with tqdm(total=len(HEADS) * (config.warmups + config.repeats * len(config.targets)), desc="targets") as bar:
        for number in numbers:
            due = config.targets if number >= 0 else (min(config.targets),)
            step = -1 if number % 2 else 1
            for n_targets in due[::step]:
                for row in timer.measure(n_targets, HEADS[::step], number):
                    yield row
                    bar.set_postfix_str(f"{n_targets} targets, {NAMES[row.head]}")
                    bar.update()


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """By number of targets: each head's median seconds, their ratio to the first number, and separate over shared.

    Ratios are of medians, with their range over rounds.
    """
    seconds = {(row.targets, row.head, row.repeat): row.mask_s for row in rows if not row.warmup}
    passes = {(row.targets, row.head): row.passes for row in rows if not row.warmup}
    rounds = sorted({repeat for *_, repeat in seconds})
    counts = sorted({targets for targets, *_ in seconds})

    def ratio(over: tuple[int, MaskHead], under: tuple[int, MaskHead]) -> dict[str, float]:
        of_rounds = [seconds[(*over, repeat)] / seconds[(*under, repeat)] for repeat in rounds]
        median = median_of(over) / median_of(under)
        return {"median": median, "least": min(of_rounds), "most": max(of_rounds)}

    def median_of(which: tuple[int, MaskHead]) -> float:
        return statistics.median(seconds[(*which, repeat)] for repeat in rounds)

    return {
        str(count): {
            "median_s": {head: median_of((count, head)) for head in HEADS},
            "passes": {head: passes[count, head] for head in HEADS},
            f"times_{counts[0]}": {head: ratio((count, head), (counts[0], head)) for head in HEADS},
            "separate_over_shared": ratio((count, "classifier"), (count, "shared")),
        }
        for count in counts
    }


def run_targets(options: LoadOptions, out: Path, config: TargetsConfig) -> dict[str, Any]:
    """Load and measure; write `targets.jsonl` (each row once it is measured) and `targets.json`; return its content.

    Raises CheckpointError, and ValueError for a clock that cannot time the device.
    """
    predictor = load_timed(options, config.clock)
    about = provenance(predictor, options.model)
    has_head = predictor.model.shares_mask_tokens
    timer = Timer(predictor, picture(config.side_px))
    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(measure_all(timer, config), out / ROWS_FILE)
    grid_hw = timer.image.grid_hw
    shapes = {
        "mask_tokens": grid_hw[0] * grid_hw[1],
        "text_layers": predictor.model.config.text_config.num_hidden_layers,
    }
    record = {
        "provenance": about
        | {"n": config.repeats, "shared_head": "trained" if has_head else "untrained", **shapes}
        | {"config": asdict(config)},
        "targets": summarise(rows),
    }
    (out / SUMMARY_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return record


def targets_table(record: dict[str, Any]) -> str:
    """Markdown, one line per number of targets, and a line with the conditions."""
    (first, *_) = record["targets"]
    times = f"times_{first}"
    header = ["targets"]
    for head in HEADS:
        header += [f"{NAMES[head]}, s", f"times {first} target{'s' * (first != '1')}"]
    lines = []
    for count, one in record["targets"].items():
        line = [count]
        for head in HEADS:
            line += [number(one["median_s"][head]), f"{one[times][head]['median']:.2f}"]
        lines.append([*line, f"{one['separate_over_shared']['median']:.2f}"])
    table = markdown([*header, "per target over for all"], lines, words=0)
    where = record["provenance"]
    return (
        f"{table}\n\nMask phase of {where['model']} ({where['text_layers']} text layers), {where['mask_tokens']} mask "
        f"tokens, {precision_of(where)}, {where['hardware']}, {threads_of(where)}, "
        f"seconds counted: {where['config']['clock']}; "
        f"n = {where['n']}, shared head {where['shared_head']}; {where['date']}, commit {where['commit']}."
    )
