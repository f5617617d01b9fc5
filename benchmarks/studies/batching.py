"""Times one forward pass for several conversations, against one pass for each in turn.

The page answers one visitor's question after another. This study measures what a batch would gain, at best: all
conversations have the same length, arrive at the same time, and wait for nobody. Each kind of pass is measured alone:

    vision           pictures -> image features
    prompt           the whole prompt, no cache
    prompt and mask  the prompt and an answer up to its `<|seg|>`, followed by the mask tokens
    word             one new token on top of the KV cache of the prompt

How many passes an answer needs, and how long its masks take to draw, is measured on requests about the shipped scenes,
answered as the page does: several guessed words often share a pass, and drawing is not batched.

Rounds alternate between batch first and turns first, so that a slow drift of the machine affects both. Raw rows are
written first; the summary is made from the rows alone.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import DynamicCache

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import MaskSample, Sample
from benchmarks.provenance import precision_of, provenance, threads_of
from benchmarks.reporting.report_table import markdown, number
from benchmarks.running.runner import choose_samples
from benchmarks.studies.other_load import busy_share, busy_words
from benchmarks.studies.speed import PROMPT, check_least, picture, write_rows
from stamp.checkpoints.devices import choose_device
from stamp.checkpoints.load_options import LoadOptions
from stamp.conversation import Turn
from stamp.predictor import StampPredictor

ROWS_FILE, SUMMARY_FILE = "batching.jsonl", "batching.json"
ANSWER = "Sure, here is the segmentation mask for the white horse: <|seg|>"
#: Whose passes a usual answer is made of.
KINDS_OF_AN_ANSWER = ("vision", "prompt and mask", "word")
#: A usual answer is shorter.
MAX_NEW_TOKENS = 64


@dataclass(frozen=True)
class BatchingConfig:
    """What to measure. conversations: sizes of the batch. side_px: of the square picture.

    answers: number of requests for a mask whose answers are counted.
    """

    conversations: tuple[int, ...] = (2, 4, 8)
    repeats: int = 9
    warmups: int = 2
    side_px: int = 448
    answers: int = 30

    def __post_init__(self) -> None:
        if not self.conversations or min(self.conversations) < 1:
            raise ValueError(f"conversations must be at least 1, got {self.conversations}")
        check_least(self, repeats=1, warmups=0, side_px=1, answers=1)


@dataclass(frozen=True)
class Row:
    """Seconds for all conversations. repeat: number of the round, from 0; negative in a warm-up."""

    kind: str
    conversations: int
    repeat: int
    batch_s: float
    turns_s: float
    max_difference: float


class Passes:
    """The passes for a batch of equal conversations. Each returns what it computed, (B, ...)."""

    def __init__(self, predictor: StampPredictor, side_px: int):
        self.model = predictor.model
        processor = predictor.processor
        image, self.pixels = predictor.images.encode_picture(picture(side_px), predictor.clock())
        self.grid_thw, self.embeds = image.grid_thw, image.embeds.unsqueeze(0)
        turns = [Turn("user", PROMPT, image)]
        self.prompt = torch.tensor([processor.encode_conversation(turns, [len(image.embeds)]).input_ids])
        answer = torch.tensor([processor.encode_response(ANSWER)])
        self.answered = torch.cat([self.prompt, answer], dim=1)
        self.kinds: dict[str, Callable[[int], Tensor]] = {
            "vision": self.vision,
            "prompt": self.read_prompt,
            "prompt and mask": self.predict_mask,
            "word": self.next_word,
        }
        self._caches: dict[int, tuple[DynamicCache, Tensor]] = {}

    def vision(self, size: int) -> Tensor:
        """Image features (B, P, H)."""
        return torch.stack(self.model.encode_images(self.pixels.repeat(size, 1), self.grid_thw.repeat(size, 1)))

    def read_prompt(self, size: int) -> Tensor:
        """Hidden states (B, L, H)."""
        hidden: Tensor = self._rows(self.prompt, size, None).hidden_states
        return hidden

    def predict_mask(self, size: int) -> Tensor:
        """Mask logits (B, P)."""
        segs = torch.full((size,), self.answered.shape[1] - 1)
        logits: Tensor = self._rows(self.answered, size, segs).mask_logits
        return logits

    def next_word(self, size: int) -> Tensor:
        """Hidden states (B, 1, H) of one token after the prompt. The cache is left as it was."""
        if size not in self._caches:
            self._caches[size] = self._prefilled(size)
        cache, last = self._caches[size]
        word = self.model.embed_prompt(self.answered[:, self.prompt.shape[1]].expand(size, 1), None)
        hidden: Tensor = self.model.text_pass(word, last + 1, cache)
        cache.crop(-1)
        return hidden

    def _rows(self, ids: Tensor, size: int, segs: Tensor | None) -> Any:
        ids, embeds = ids.repeat(size, 1), self.embeds.repeat(size, 1, 1)
        return self.model.forward_rows(ids, torch.ones_like(ids), embeds, self.grid_thw.repeat(size, 1), segs)

    def _prefilled(self, size: int) -> tuple[DynamicCache, Tensor]:
        """The cache of the prompts, and the (3, B, 1) rotary positions after which the answers begin."""
        cache, ids = DynamicCache(config=self.model.config), self.prompt.repeat(size, 1)
        positions = self.model.rope_positions(ids, self.grid_thw.repeat(size, 1))
        embeds = self.model.embed_prompt(ids, self.embeds[0].repeat(size, 1))
        self.model.text_pass(embeds, positions, cache)
        return cache, positions.amax((0, 2), keepdim=True).expand(3, -1, -1)


@torch.inference_mode()
def measure_all(passes: Passes, config: BatchingConfig) -> Iterator[Row]:
    """Rows in the order of measurement."""
    rounds = range(-config.warmups, config.repeats)
    due = [(repeat, size, kind) for repeat in rounds for size in config.conversations for kind in passes.kinds]
    for repeat, size, kind in tqdm(due, desc="batching", unit="pass"):
        run = passes.kinds[kind]
        sizes = {"batch": [size], "turns": [1] * size}
        seconds, results = {}, {}
        for way in sizes if repeat % 2 else reversed(sizes):
            start = time.perf_counter()
            parts = [run(one) for one in sizes[way]]
            seconds[way] = time.perf_counter() - start
            results[way] = torch.cat(parts)
        difference = float((results["batch"] - results["turns"]).abs().max())
        yield Row(kind, size, repeat, seconds["batch"], seconds["turns"], difference)


def usual_answer(predictor: StampPredictor, samples: Sequence[Sample]) -> dict[str, float]:
    """Means over the answers to some requests: words, passes that write them, and seconds to draw the masks."""
    answers = [
        predictor.segment(sample.load_image(), sample.prompt, MAX_NEW_TOKENS)
        for sample in tqdm(samples, desc="answers", unit="answer")
    ]
    return {
        "n": len(answers),
        "words": statistics.mean(answer.new_tokens for answer in answers),
        "word_passes": statistics.mean(answer.forward_passes - 1 - bool(len(answer.masks)) for answer in answers),
        "draw_s": statistics.mean(answer.timings_s["refine"] for answer in answers),
    }


def answer_gains(passes: dict[str, Any], usual: dict[str, float]) -> dict[str, float]:
    """By size: how many times as fast a usual answer is, if only the passes that gain run in a batch."""
    counts = dict.fromkeys(KINDS_OF_AN_ANSWER, 1.0) | {"word": usual["word_passes"]}
    gains = {}
    for size in passes["word"]:
        seconds = {kind: passes[kind][size]["median_s"] for kind in counts}
        drawing = int(size) * usual["draw_s"]
        turns = drawing + sum(count * seconds[kind]["turns"] for kind, count in counts.items())
        best = drawing + sum(count * min(seconds[kind].values()) for kind, count in counts.items())
        gains[size] = turns / best
    return gains


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """By kind of pass and size: median seconds, and how many times as fast the batch is: median, least and most."""
    summary: dict[str, Any] = {}
    measured = [row for row in rows if row.repeat >= 0]
    for kind, size in dict.fromkeys((row.kind, row.conversations) for row in measured):
        own = [row for row in measured if (row.kind, row.conversations) == (kind, size)]
        gains = [row.turns_s / row.batch_s for row in own]
        summary.setdefault(kind, {})[str(size)] = {
            "median_s": {
                "batch": statistics.median(row.batch_s for row in own),
                "turns": statistics.median(row.turns_s for row in own),
            },
            "times_as_fast": {"median": statistics.median(gains), "least": min(gains), "most": max(gains)},
            "max_difference": max(row.max_difference for row in own),
        }
    return summary


def run_batching(options: LoadOptions, out: Path, config: BatchingConfig) -> dict[str, Any]:
    """Load and measure; write `batching.jsonl` (each row at once) and `batching.json`; return the latter's content.

    Raises CheckpointError, and ValueError for a device that is not a CPU.
    """
    busy_before = busy_share()
    if choose_device(options.device).type != "cpu":
        raise ValueError("this study is about a CPU; use --device cpu")
    predictor = StampPredictor.load(options)
    about = provenance(predictor, options.model)
    drawn = open_dataset("scenes", ("known",), None).samples
    requests = choose_samples([sample for sample in drawn if isinstance(sample, MaskSample)], config.answers, 0)
    usual = usual_answer(predictor, requests)
    passes = Passes(predictor, config.side_px)
    out.mkdir(parents=True, exist_ok=True)
    rows = write_rows(measure_all(passes, config), out / ROWS_FILE)
    sizes = {"prompt_tokens": passes.prompt.shape[1], "mask_tokens": passes.embeds.shape[1]}
    facts = {"n": config.repeats, "busy_before": busy_before, **sizes, "config": asdict(config)}
    summary = summarise(rows)
    gains = {"usual_answer": usual, "answer_gains": answer_gains(summary, usual)}
    record = {"provenance": about | facts, "passes": summary, **gains}
    (out / SUMMARY_FILE).write_text(json.dumps(record, indent=1) + "\n")
    return record


def batching_table(record: dict[str, Any]) -> str:
    """Markdown: milliseconds per conversation in turn and in a batch, how many times as fast, and the conditions."""
    lines = []
    for kind, sizes in record["passes"].items():
        for size, one in sizes.items():
            per_one = [number(1000 * one["median_s"][way] / int(size)) for way in ("turns", "batch")]
            gain = one["times_as_fast"]
            lines.append([kind, size, *per_one, f"{gain['median']:.2f} ({gain['least']:.2f} to {gain['most']:.2f})"])
    header = ["pass", "conversations", "in turn, ms each", "in a batch, ms each", "times as fast"]
    gains = ", ".join(f"{gain:.2f} with {size}" for size, gain in record["answer_gains"].items())
    where, usual = record["provenance"], record["usual_answer"]
    sizes = f"{where['prompt_tokens']} tokens of prompt, {where['mask_tokens']} mask tokens"
    facts = f"{precision_of(where)}, {where['hardware']}, {threads_of(where)}; n = {where['n']} rounds"
    load = busy_words(where["busy_before"])
    return (
        f"{markdown(header, lines, words=1)}\n\nA usual answer ({usual['n']:.0f} requests for a mask) has "
        f"{usual['words']:.1f} words in {usual['word_passes']:.1f} passes, and its masks take "
        f"{1000 * usual['draw_s']:.0f} ms to draw. Times as fast, with batches only where they gain: {gains} "
        f"conversations.\n\n"
        f"{where['model']}, {sizes}, {facts}, {where['date']}, commit {where['commit']}. {load}"
    )
