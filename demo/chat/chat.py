"""The dialogue: what an answer looks like on the page, and the thread that produces it.

The first half consists of pure functions from stream events to HTML. Text is shown literally: nothing that a visitor
or the model writes becomes markup. The second half runs the model in its own thread (`demo.background`), which a stop
event can end.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import gradio as gr
from PIL import Image

from demo import gpu
from demo.background import POLL_S, batches
from demo.html import literal
from demo.loading import LOADING, ModelSlot, ModelUnavailableError
from demo.request_log import request_line
from stamp.errors import MemoryShortError
from stamp.labels import find_name, find_names, number_labels
from stamp.pictures.visualization import mask_colour, text_on

if TYPE_CHECKING:
    from stamp import EncodedImage, MaskReady, Segmentation, TextDelta, Turn
    from stamp.conversation import StreamEvent

log = logging.getLogger(__name__)

MAX_NEW_TOKENS = 256
QUEUED = "Waiting: the model is busy with another question or run…"
LOOKING = "Looking at the picture…"
MASKS_COMING = "Masks appear when the answer is complete."
_COLON = re.compile(r"\s*:\s*$")
#: The title of what `spaces` raises for any exception on its GPU; the message is the name of its class.
WORKER_ERROR = "ZeroGPU worker error"
WENT_WRONG = "Something went wrong while answering. Please try again."


# -- what an answer looks like ---------------------------------------------------------------------------------


def noun(index: int, words: str, *, is_empty: bool = False) -> str:
    """The words that name mask `index` (from 0) of the dialogue, in the colour of the mask. A click selects it."""
    colour = mask_colour(index)
    note = ' <span class="muted">(nothing found)</span>' if is_empty else ""
    style = f'style="background:{colour};color:{text_on(colour)}"'
    # Gradio's sanitizer keeps classes and drops data; `masks.js` reads the number from the class.
    return f'<span class="noun noun-{index}" tabindex="0" {style}>{literal(words)}</span>{note}'


@dataclass(frozen=True)
class Draft:
    """An answer in progress. pieces: the text before each mask, and what is behind the last one.

    first_mask: number of masks the dialogue had before; taken: their labels. are_empty: for each mask of this answer.
    coming: number of those that follow when the answer ends. note: a status, shown until there is an answer.
    """

    first_mask: int = 0
    taken: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ("",)
    are_empty: tuple[bool, ...] = ()
    coming: int = 0
    note: str = ""
    first_token_s: float | None = None

    def add_text(self, delta: "TextDelta") -> "Draft":
        """The draft with more text."""
        return replace(self, pieces=(*self.pieces[:-1], self.pieces[-1] + delta.text))

    def add_mask(self, ready: "MaskReady") -> "Draft":
        """The draft with a mask where the `<|seg|>` stands; its place may be known already."""
        if ready.index == len(self.are_empty):
            return replace(self, pieces=(*self.pieces, ""), are_empty=(*self.are_empty, not ready.mask.any()))
        are_empty = list(self.are_empty)
        are_empty[ready.index] = not ready.mask.any()
        return replace(self, are_empty=tuple(are_empty), coming=self.coming - 1)

    def add_place(self) -> "Draft":
        """The draft with the place of a mask that follows when the answer ends."""
        return replace(self, pieces=(*self.pieces, ""), are_empty=(*self.are_empty, False), coming=self.coming + 1)

    @property
    def labels(self) -> list[str]:
        """Names of the masks so far; a later mask of the same kind may still add a number to the first."""
        return number_labels(find_names(self.pieces[:-1]), self.taken)

    def html(self) -> str:
        """The answer so far, or the status while there is none."""
        if not self.are_empty and not self.pieces[-1].strip():
            return status_html(self.note)
        html = []
        for number, (text, label, is_empty) in enumerate(zip(self.pieces, self.labels, self.are_empty, strict=False)):
            span, goes_on, index = find_name(text), number > 0, self.first_mask + number
            start, end = span or (len(text), len(text))
            words = text[start:end] or label
            html += [literal(text[:start], goes_on=goes_on), noun(index, words, is_empty=is_empty)]
            html += [literal(_without_colon(text[end:], self.pieces[number + 1]), goes_on=True)]
        written = "".join([*html, literal(self.pieces[-1], goes_on=bool(html))]).strip()
        return f"{written}<br>{status_html(MASKS_COMING)}" if self.coming else written


def _without_colon(text: str, following: str) -> str:
    """The words between a name and what follows its mask, without the colon that announces the mask: the name shows it.

    "the cat: <mask> and the dog: <mask>" reads "the cat and the dog".
    """
    announced = _COLON.sub("", text)
    is_apart = announced == text or bool(following and not following[0].isalnum())
    return announced if is_apart else f"{announced} "


def status_html(sentence: str) -> str:
    """A muted sentence instead of an answer."""
    return f'<span class="muted">{literal(sentence)}</span>'


def readout(segmentation: "Segmentation", first_token_s: float | None) -> tuple[str, str]:
    """(the line under an answer, the figures that a click on it shows), both in words."""
    seconds, n_masks = segmentation.timings_s, sum(bool(mask.any()) for mask in segmentation.masks)
    text_s, mask_s = seconds["prefill"] + seconds["decode"], seconds["mask"] + seconds["refine"]
    masks = f"{n_masks} mask{'s' * (n_masks != 1)}"
    line = [f"Answered in {seconds['total']:.1f} s", *([masks] if n_masks else [])]
    ends = {
        "stopped": "stopped",
        "length": f"cut at {MAX_NEW_TOKENS} tokens",
        "time": "cut: it took too long",
        "repetition": "cut: it repeated itself",
        "masks": "cut: too many masks",
    }
    if segmentation.finish_reason in ends:
        line.append(ends[segmentation.finish_reason])
    if segmentation.is_shrunk:
        line.append("picture shrunk: not enough memory")
    tokens = f"{segmentation.new_tokens} token{'s' * (segmentation.new_tokens != 1)}"
    facts = [] if first_token_s is None else [f"first token after {first_token_s:.2f} s"]
    facts += [f"text {text_s:.2f} s ({tokens})", *([f"{masks} {mask_s:.2f} s"] if n_masks else [])]
    return " · ".join(line), " · ".join(facts)


def finished_html(draft: Draft, segmentation: "Segmentation", doubt: str = "") -> str:
    """The whole answer with its readout. doubt: HTML between them, see `demo.chat.confidence`."""
    note = "(stopped before the first word)" if segmentation.finish_reason == "stopped" else "(an empty answer)"
    line, facts = (literal(words) for words in readout(segmentation, draft.first_token_s))
    below = f'<details class="readout"><summary>{line}</summary>{facts}</details>'
    return f"{replace(draft, note=note).html()}{doubt}{below}"


def message(role: str, html: str) -> dict[str, str]:
    """A chat message of gr.Chatbot."""
    return {"role": role, "content": html}


# -- the thread that answers -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """Everything the model needs. picture: what to encode when `encoded` is None; turns: the dialogue so far.

    refine: how masks get their edges, a key of `stamp.refinement.REFINERS`. share: of the pixels, see `Visit`.
    """

    prompt: str
    picture: Image.Image
    encoded: "EncodedImage | None" = None
    turns: "Sequence[Turn]" = ()
    refine: str = "auto"
    share: float = 1.0


@dataclass(frozen=True)
class Waiting:
    """There is no answer yet; the reason says why."""

    reason: str


@dataclass(frozen=True)
class Encoded:
    """The picture's vision features, to be kept for the next question."""

    image: "EncodedImage"


@dataclass(frozen=True)
class FirstToken:
    """Sent before the first piece of the answer. seconds: since the model began to work on the question."""

    seconds: float


@dataclass(frozen=True)
class Refused:
    """The question cannot be answered as it is; the sentence says what to change."""

    sentence: str


@dataclass(frozen=True)
class Failed:
    """The model failed; the sentence reveals nothing about the server."""

    sentence: str = WENT_WRONG


if TYPE_CHECKING:
    AnswerEvent = StreamEvent | Waiting | Encoded | FirstToken | Refused | Failed


def answer_events(
    slot: ModelSlot, question: Question, stop: threading.Event
) -> "Generator[list[AnswerEvent], None, None]":
    """What happens while a question is answered, in `demo.background.batches`.

    The thread holds the model's lock for its whole answer, so answers never overlap.
    """
    return batches(partial(_answer, slot, question, stop), stop, "answer")


def _answer(slot: ModelSlot, question: Question, stop: threading.Event, put: "Callable[[AnswerEvent], None]") -> None:
    """Body of the thread."""
    from stamp import Done

    with request_line("page", slot.name) as line:
        try:
            if _turn_comes(slot, stop, put):
                line.begin()
                line.status = "stopped"  # until there is a result
                try:
                    for event in _work(slot, question, stop):
                        if isinstance(event, Done):
                            line.end(event.segmentation)
                        put(event)
                finally:
                    slot.get().lock.release()
        except Exception as error:
            line.status, sentence = status_and_sentence(error)
            if line.status == "failed":
                log.exception("the answer to request %s failed", line.id)
            put(Refused(sentence) if line.status == "refused" else Failed(sentence or WENT_WRONG))


def _turn_comes(slot: ModelSlot, stop: threading.Event, put: "Callable[[AnswerEvent], None]") -> bool:
    """Wait for the model and for its lock; True with the lock held, False if stopped first."""
    if not slot.is_ready:
        put(Waiting(LOADING))
    while not slot.wait(POLL_S):
        if stop.is_set():
            return False
    if slot.get().lock.acquire(blocking=False):
        return True
    put(Waiting(QUEUED))
    return slot.acquire(stop.is_set)


def _work(slot: ModelSlot, question: Question, stop: threading.Event) -> "Iterator[AnswerEvent]":
    from stamp import Done, Turn

    predictor = slot.get()
    predictor.check_prompt(question.prompt)
    yield Waiting(LOOKING)
    started = time.perf_counter()
    image = question.encoded
    if image is None:
        image = gpu.encode(predictor, question.picture, question.share)
        if image is not None:
            yield Encoded(image)
        if stop.is_set():  # before the prompt is read: that may take as long again
            return
    first, *rest = [*question.turns, Turn("user", question.prompt)]
    turns = [replace(first, image=image or question.picture), *rest]  # the picture belongs to the first turn
    is_first = True
    for event in gpu.stream_answer(predictor, turns, MAX_NEW_TOKENS, question.refine, stop.is_set, slot.max_seconds):
        if is_first and not isinstance(event, Done):
            yield FirstToken(time.perf_counter() - started)
            is_first = False
        yield event


def status_and_sentence(error: Exception) -> tuple[str, str]:
    """Of `demo.request_log`, and what the visitor is told; empty where the error is none of theirs."""
    if isinstance(error, ModelUnavailableError):
        return "unavailable", str(error)
    if isinstance(error, MemoryShortError):
        return "memory", str(error)
    if isinstance(error, gr.Error) and error.title != WORKER_ERROR:  # no GPU is free, or the visitor's share is used up
        return "unavailable", str(error.message)
    return ("refused", str(error)) if isinstance(error, gpu.BAD_INPUT) else ("failed", "")
