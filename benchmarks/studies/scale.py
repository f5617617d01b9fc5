"""Times the four paradigms at the size of a published checkpoint: random weights, forced answers, no IoU.

Picture and prompt are the same for all methods, and so are vision and prefill: each round computes and times them once
and records them in all its rows (`shared_s`). A method continues from that cache without the prompt's last token, which
it feeds again (its own "prefill", in no total). Everything after that is the method's own: a pass per token, the mask,
the pixels. Nothing is extrapolated. Methods take turns, and each round starts with another one; warm-up rounds write
short texts. Raw rows are written first; the summary is made from the rows alone.
"""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig

from benchmarks.baselines.embedding_decoder import EmbeddingDecoder
from benchmarks.instruments import wait_for
from benchmarks.methods.teacher_forcing import ONE_MASK
from benchmarks.provenance import precision_of, provenance, threads_of
from benchmarks.reporting.report_table import UNKNOWN, markdown, number
from benchmarks.studies.paradigms import TOKENS_A_VERTEX, Paradigm, all_mask, answer_by, embedding, patch_text, polygon
from benchmarks.studies.speed import PROMPT, check_clock, load_timed, picture, write_rows
from stamp.checkpoints.load_options import LoadOptions
from stamp.conversation import Turn
from stamp.inference.answer import PHASES, Answer
from stamp.inference.conversation_cache import ConversationCache
from stamp.predictor import StampPredictor

ROWS_FILE, SUMMARY_FILE = "scale.jsonl", "scale.json"
REFERENCE = "stamp"
SHARED_PHASES = ("vision", "prefill")
#: The method's own phases in its total, and those of them that lead from words to pixels.
OWN_PHASES = ("decode", "mask", "refine", "other")
MASK_PHASES = ("mask", "refine")
#: The longest mask text in a warm-up round, in tokens.
WARMUP_TOKENS = 4
FILLER = "[[0.123, 0.456], [0.789, 0.012]]"


@dataclass(frozen=True)
class ScaleConfig:
    """What to measure. Tokens are those of a mask as text, after `talk_tokens` of words; side_px: see SpeedConfig.

    polygon_tokens: about what SimpleSeg writes for a polygon (arXiv 2601.19228). patch_text_tokens, full_text_tokens:
    Text4Seg's 16 x 16 labels, with and without run lengths by row (arXiv 2410.09855). clock: a key of speed.CLOCKS.
    """

    polygon_tokens: int = 221
    patch_text_tokens: int = 154
    full_text_tokens: int = 583
    talk_tokens: int = 11
    repeats: int = 3
    warmups: int = 1
    side_px: int = 896
    clock: str = "wall"

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        check_clock(self.clock)


@dataclass(frozen=True)
class Row:
    """One measurement, in seconds.

    shared_s: vision and prefill, measured once for all rows of the round. own_s: per phase; "other" is the time outside
    all phases. wall_s: real time of the method's own part. text_tokens: length of the mask's text. forward_passes: of
    the language model, including the shared prefill. iou: always unknown, because the weights are random.
    """

    method: str
    repeat: int
    warmup: bool
    shared_s: dict[str, float]
    own_s: dict[str, float]
    wall_s: float
    text_tokens: int
    new_tokens: int
    forward_passes: int
    iou: None = None

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per phase, as if the method had computed everything itself."""
        phases = {name: self.shared_s[name] for name in SHARED_PHASES} | {name: self.own_s[name] for name in OWN_PHASES}
        return phases | {"mask phase": sum(phases[name] for name in MASK_PHASES), "total": sum(phases.values())}


def paradigms(predictor: StampPredictor, config: ScaleConfig) -> list[Paradigm]:
    """The four, patch text with and without run lengths. The embedding's decoder gets random weights here."""
    model = predictor.model
    torch.manual_seed(0)
    decoder = EmbeddingDecoder(model.config.text_config.hidden_size, SamMaskDecoderConfig())
    decoder.to(model.device, model.dtype).eval()
    return [
        Paradigm(REFERENCE, 0, all_mask),
        Paradigm("polygon", config.polygon_tokens, polygon(max(3, config.polygon_tokens // TOKENS_A_VERTEX))),
        Paradigm("patch_text", config.patch_text_tokens, patch_text),
        Paradigm("patch_text_full", config.full_text_tokens, patch_text),
        Paradigm("embedding", 0, embedding(decoder)),
    ]


class Round:
    """One picture and prompt, computed once; every method continues from here."""

    def __init__(self, predictor: StampPredictor, image: Image.Image, talk_tokens: int):
        self.predictor = predictor
        self.turns = [Turn("user", PROMPT, image)]
        self.memory = ConversationCache(max_bytes=2**40)
        wait_for(predictor.device)
        answer = self._begin()
        self.memory.put(answer.prefix())
        self.shared_s = {phase: answer.clock.seconds[phase] for phase in SHARED_PHASES}
        words = predictor.processor.encode_response(ONE_MASK.partition("<|seg|>")[0].format("white horse"))
        self.talk = (words * talk_tokens)[:talk_tokens]
        self.filler = predictor.processor.encode_response(FILLER)

    def _begin(self) -> Answer:
        return self.predictor.begin(self.turns, "auto", self.memory)

    def measure(self, paradigm: Paradigm, number: int) -> Row:
        """Answer with a paradigm. number: the round, from 0; negative in a warm-up, which writes only a short text."""
        tokens = paradigm.text_tokens if number >= 0 else min(WARMUP_TOKENS, paradigm.text_tokens)
        wait_for(self.predictor.device)
        start, start_wall = self.predictor.read_clock(), time.perf_counter()
        answer = self._begin()
        mask = answer_by(paradigm, answer, self.talk, self.filler, tokens)
        wait_for(self.predictor.device)
        total, wall_s = self.predictor.read_clock() - start, time.perf_counter() - start_wall
        if mask.shape != answer.image.size_hw or answer.finish_reason != "end":
            raise RuntimeError(f"{paradigm.name} did not finish: {answer.finish_reason}, mask {mask.shape}")
        self.memory.put(answer.prefix())
        own = {phase: answer.clock.seconds.get(phase, 0.0) for phase in PHASES if phase != "vision"}
        passes = answer.clock.passes
        return Row(
            method=paradigm.name,
            repeat=number,
            warmup=number < 0,
            shared_s=self.shared_s,
            own_s=own | {"other": total - sum(own.values())},
            wall_s=wall_s,
            text_tokens=tokens,
            new_tokens=len(answer.token_ids),
            forward_passes=passes["prefill"] + passes["decode"] + (passes["mask"] if answer.masks else 0),
        )


def measure_all(predictor: StampPredictor, image: Image.Image, config: ScaleConfig) -> Iterator[Row]:
    """Rows in the order of measurement: round by round, each starting with the next method."""
    ways = paradigms(predictor, config)
    numbers = range(-config.warmups, config.repeats)
    with tqdm(total=len(numbers) * (len(ways) + 1), desc="scale", unit="run") as bar:
        for number in numbers:
            label = "warm-up" if number < 0 else f"round {number + 1}"
            bar.set_postfix_str(f"{label}, picture and prompt")
            current = Round(predictor, image, config.talk_tokens)
            bar.update()
            first = number % len(ways)
            for way in [*ways[first:], *ways[:first]]:
                bar.set_postfix_str(f"{label}, {way.name}")
                yield current.measure(way, number)
                bar.update()


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Per method: tokens, passes, median seconds, and the ratio to stamp: of the medians, and its range over rounds."""
    measured = [row for row in rows if not row.warmup]
    by_method: dict[str, dict[int, Row]] = {}
    for row in measured:
        by_method.setdefault(row.method, {})[row.repeat] = row
    reference = by_method[REFERENCE]
    medians = {method: _median_seconds(list(own.values())) for method, own in by_method.items()}
    summary: dict[str, Any] = {}
    for method in sorted(by_method, key=lambda name: (name != REFERENCE, name)):
        own = by_method[method]
        ratios: dict[str, Any] = {}
        for phase in ("mask phase", "total"):
            rounds = [row.seconds[phase] / reference[number].seconds[phase] for number, row in own.items()]
            of_medians = medians[method][phase] / medians[REFERENCE][phase]
            ratios[phase] = {"median": of_medians, "least": min(rounds), "most": max(rounds)}
        first = next(iter(own.values()))
        summary[method] = {
            "text_tokens": first.text_tokens,
            "new_tokens": first.new_tokens,
            "forward_passes": first.forward_passes,
            "iou": None,
            "median_s": medians[method],
            f"times_{REFERENCE}": ratios,
        }
    return summary


def _median_seconds(rows: Sequence[Row]) -> dict[str, float]:
    return {phase: statistics.median(row.seconds[phase] for row in rows) for phase in rows[0].seconds}


def run_scale(options: LoadOptions, out: Path, config: ScaleConfig) -> dict[str, Any]:
    """Load and measure; write `scale.jsonl` (each row once it is measured) and `scale.json`; return its content.

    Raises CheckpointError, and ValueError for a clock that cannot time the device.
    """
    predictor = load_timed(options, config.clock)
    image = picture(config.side_px)
    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(measure_all(predictor, image, config), out / ROWS_FILE)
    record = {
        "provenance": provenance(predictor, options.model) | {"n": config.repeats, "config": asdict(config)},
        "shared": f"{' and '.join(SHARED_PHASES)} are measured once a round, for all methods",
        "methods": summarise(rows),
    }
    (out / SUMMARY_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return record


def scale_table(record: dict[str, Any]) -> str:
    """Markdown, one line per method, and a line with what all have in common."""
    phases = (*SHARED_PHASES, "decode", "mask", "refine", "total")
    header = ["method", "text tokens", "passes", *(f"{phase} s" for phase in phases)]
    lines = [
        [
            method,
            str(one["text_tokens"]) if one["text_tokens"] else UNKNOWN,
            str(one["forward_passes"]),
            *(number(one["median_s"][phase]) for phase in phases),
            *(f"{one[f'times_{REFERENCE}'][phase]['median']:.2f}" for phase in ("mask phase", "total")),
        ]
        for method, one in record["methods"].items()
    ]
    table = markdown([*header, f"mask and refine, times {REFERENCE}", f"total, times {REFERENCE}"], lines, words=1)
    where = record["provenance"]
    return (
        f"{table}\n\n{where['model']}, {precision_of(where)}, {where['hardware']}, {threads_of(where)}, "
        f"seconds counted: {where['config']['clock']}; "
        f"n = {where['n']}, {record['shared']}; {where['date']}, commit {where['commit']}."
    )
