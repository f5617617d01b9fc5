"""Handles one question: from the prompt box through the model to the chat, the picture and the next question.

Updates are keyed by component name (see `demo.ui`); other components stay unchanged.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.chat.chat import (
    WENT_WRONG,
    Draft,
    Encoded,
    Failed,
    FirstToken,
    Question,
    Refused,
    Waiting,
    answer_events,
    finished_html,
    is_bad_input,
    message,
    status_html,
)
from demo.chat.confidence import Confidence, read_confidence, unsure_html, unsure_labels
from demo.chat.known import read_known
from demo.chat.masks import Updates, download_updates, mask_updates
from demo.chat.transcript import TRANSCRIPT_FILE, transcript_html
from demo.chat.unknown import unknown_html
from demo.chat.visit import Asked, Visit
from demo.chat.wording import suggest_wording
from demo.html import literal, notice
from demo.loading import ModelSlot

if TYPE_CHECKING:
    from demo.chat.chat import AnswerEvent
    from stamp import Segmentation

log = logging.getLogger(__name__)

#: Of the picture's pixels, for a fast answer of a slow model.
FAST_SHARE = 0.25
NO_PICTURE = "Choose a picture first: upload one, paste one, or take one with the camera."
STILL_WRITING = "An answer is still being written. Wait for it to finish, or press Stop."
NOTHING_ASKED = "You have not asked a question yet."
NO_DOWNLOADS = "The answer is complete, but its files cannot be downloaded: the server could not store them."
NOT_SAVED = "The chat could not be saved: the server's disk may be full. Please try again later."
NO_ANSWER = "Stopped before the answer began. Your question is back in the box."


def ready_box(prompt: str | None = None) -> Any:
    """The prompt box with its Send button; None leaves the typed text as it is."""
    buttons: dict[str, Any] = {"submit_btn": "Send", "stop_btn": False}
    return gr.update(**buttons) if prompt is None else gr.update(value=prompt, **buttons)


def refinements(slot: ModelSlot) -> dict[str, str]:
    """What the page offers to draw the edges of masks, by name: label."""
    sam = {"sam": "SAM (slow)"} if slot.has_sam else {}
    return {"none": "none (smooth)", "guided": "guided filter", "grabcut": "GrabCut"} | sam


def rewording(slot: ModelSlot, prompt: str) -> tuple[str, str] | None:
    """Better words for a question that the embedded model is known to misread, and why."""
    known = read_known() if slot.is_embedded else []
    return suggest_wording(prompt, known) if known else None


def refusal(slot: ModelSlot, prompt: str, visit: Visit | None) -> str | None:
    """Why a question cannot be answered, as a sentence; None if it can be tried."""
    if slot.has_failed:
        return slot.status()
    if visit is None:
        return NO_PICTURE
    if not visit.idle.is_set():
        return STILL_WRITING
    if slot.is_ready:  # otherwise the thread checks once the model is loaded
        try:
            slot.get().check_prompt(prompt)
        except ValueError as error:
            if is_bad_input(error):
                return str(error)
            raise
    return None


def ask(
    slot: ModelSlot, prompt: str | None, visit: Visit | None, refine: str | None = None, fast: bool | None = None
) -> Iterator[Updates]:
    """Answer a question: text and masks as they come. An empty update lets Gradio end the generator.

    fast: look at fewer pixels, if the model is slow.
    """
    prompt = prompt or ""
    sentence = refusal(slot, prompt, visit)
    if sentence is not None or visit is None:
        missing = {"input_panel": gr.Column(visible=True)} if visit is None else {}
        yield {"chat_notice": notice(sentence or NO_PICTURE), **missing}
        return
    if (better := rewording(slot, prompt)) is not None:
        yield {"chat_notice": notice(better[1]), "prompt": ready_box(better[0])}
        return
    if (stop := visit.begin_answer()) is None:
        yield {"chat_notice": notice(STILL_WRITING)}
        return
    visit.look(FAST_SHARE if fast and slot.is_slow else 1.0)
    known, words = (read_confidence(), read_known()) if slot.is_embedded else (None, ())
    answering = Answering(visit, prompt, stop, refine if refine in refinements(slot) else "auto", known, words)
    try:
        yield answering.begin()
        for events in answer_events(slot, answering.question, answering.stop):
            if visit.is_left:
                return
            yield answering.take_all(events)
        if not answering.has_ended and not visit.is_left:
            yield answering.withdraw(NO_ANSWER)
    except Exception:
        log.exception("an answer could not be shown")
        yield answering.fail(WENT_WRONG)
    finally:
        visit.end_answer()


def ask_again(
    slot: ModelSlot, visit: Visit | None, refine: str | None = None, fast: bool | None = None
) -> Iterator[Updates]:
    """Answer the last question again and replace its answer."""
    sentence = cannot_go_back(visit)
    if sentence or visit is None:
        yield {"chat_notice": notice(sentence)}
        return
    yield from ask(slot, visit.pop_exchange(), visit, refine, fast)


def edit_question(visit: Visit | None) -> Updates:
    """Remove the last question and its answer from the chat, and put the question back into the box."""
    sentence = cannot_go_back(visit)
    if sentence or visit is None:
        return {"chat_notice": notice(sentence)}
    prompt = visit.pop_exchange()
    page = {"chat": visit.messages, "chat_notice": "", "prompt": ready_box(prompt)}
    return page | mask_updates(visit) | download_updates(visit)


def save_conversation(model: str, visit: Visit | None) -> Updates:
    """Put the conversation as a file among the downloads. model: the name of what answered."""
    sentence = cannot_go_back(visit)
    if sentence or visit is None:
        return {"chat_notice": notice(sentence)}
    try:
        path = visit.folder() / TRANSCRIPT_FILE
        path.write_text(transcript_html(visit, model), encoding="utf-8")
    except OSError:
        log.exception("a conversation could not be written")
        return {"chat_notice": notice(NOT_SAVED)}
    visit.downloads = [*(one for one in visit.downloads if one != str(path)), str(path)]
    visit.earlier = [one for one in visit.earlier if one != str(path)]
    return {"chat_notice": "", **download_updates(visit)}


def cannot_go_back(visit: Visit | None) -> str:
    """Why there is no last question to repeat or edit; empty if there is one."""
    if visit is None or not visit.asked:
        return NOTHING_ASKED
    return "" if visit.idle.is_set() else STILL_WRITING


class Answering:
    """One question in progress: applies the events to the visit, and returns what changes on the page.

    known: what the model's confidences are worth; None if that is unknown. words: what the model knows, if it says so.
    """

    def __init__(
        self,
        visit: Visit,
        prompt: str,
        stop: threading.Event,
        refine: str = "auto",
        known: Confidence | None = None,
        words: Sequence[str] = (),
    ):
        self.visit = visit
        self.prompt = prompt
        self.stop = stop
        self.known = known
        self.words = words
        self.asked = Asked(prompt, len(visit.messages), len(visit.turns), len(visit.masks))
        self.question = Question(prompt, visit.picture, visit.encoded, tuple(visit.turns), refine, visit.share)
        self.draft = Draft(first_mask=len(visit.masks), taken=tuple(shown.label for shown in visit.masks))
        self.has_ended = False

    def begin(self) -> Updates:
        """The question in the chat, the box empty, the Stop button in place of Send."""
        box = gr.update(value="", submit_btn=False, stop_btn="Stop")
        return {"prompt": box, "chat_notice": "", "chat": self.chat()}

    def take_all(self, events: "list[AnswerEvent]") -> Updates:
        """What a batch of events changes on the page."""
        updates: Updates = {}
        for event in events:
            updates |= self.take(event)
        return updates

    def take(self, event: "AnswerEvent") -> Updates:
        """What an event changes on the page."""
        from stamp import MaskComing, MaskReady, TextDelta

        match event:
            case Waiting():
                self.draft = replace(self.draft, note=event.reason)
            case Encoded():
                self.visit.encoded = event.image
                self.visit.picture = event.image.image
                return {}
            case FirstToken():
                self.draft = replace(self.draft, first_token_s=event.seconds)
                return {}
            case TextDelta():
                self.draft = self.draft.add_text(event)
            case MaskComing():
                self.draft = self.draft.add_place()
            case MaskReady():
                self.draft = self.draft.add_mask(event)
                self.visit.add_mask(event.mask, event.score, is_first=event.index == 0)
                self.visit.label_masks(self.draft.first_mask, self.draft.labels)
                return {"chat": self.chat(), **mask_updates(self.visit)}
            case Refused():
                return self.withdraw(event.sentence)
            case Failed():
                return self.fail(event.sentence)
            case _:
                return self.finish(event.segmentation)
        return {"chat": self.chat()}

    def chat(self, html: str | None = None) -> list[dict[str, Any]]:
        """The messages with this question and its answer, so far or as `html`."""
        answer = self.draft.html() if html is None else html
        return [*self.visit.messages, message("user", literal(self.prompt)), message("assistant", answer)]

    def finish(self, segmentation: "Segmentation") -> Updates:
        """Keep the answer for the next question, and offer its downloads."""
        from stamp import Turn

        if segmentation.finish_reason == "stopped" and not segmentation.token_ids:
            return self.withdraw(NO_ANSWER)
        self.has_ended = True
        visit = self.visit
        if not len(segmentation.masks):
            visit.hide_masks()
        unsure = unsure_labels(self.draft.labels, segmentation.confidences, self.known)
        doubt = unsure_html(unsure, self.known, is_first=not visit.has_doubted)
        visit.has_doubted = visit.has_doubted or bool(doubt)
        unknown = unknown_html(segmentation.text, self.prompt, self.words)
        visit.messages = self.chat(finished_html(self.draft, segmentation, doubt + unknown))
        if segmentation.token_ids:
            visit.turns += [
                Turn("user", self.prompt),
                Turn("assistant", segmentation.text, token_ids=segmentation.token_ids),
            ]
        try:
            visit.keep_answer(segmentation, self.draft.first_mask)
            sentence = ""
        except OSError:
            log.exception("the downloads of an answer could not be written")
            sentence = NO_DOWNLOADS
        visit.asked.append(replace(self.asked, has_files=bool(len(segmentation.masks))))
        page = {"visit": visit, "chat": visit.messages, "chat_notice": notice(sentence), "prompt": ready_box()}
        return page | mask_updates(visit) | download_updates(visit)

    def withdraw(self, sentence: str) -> Updates:
        """Put the question back into the box, with the reason below it."""
        self.has_ended = True
        return {"chat": self.visit.messages, "chat_notice": notice(sentence), "prompt": ready_box(self.prompt)}

    def fail(self, sentence: str) -> Updates:
        """Say in the chat that the model failed. The question goes back into the box and out of the dialogue."""
        self.has_ended = True
        self.draft = replace(self.draft, coming=0)
        written = f"{self.draft.html()}<br>" if any(self.draft.pieces) or self.draft.are_empty else ""
        self.visit.messages = self.chat(written + status_html(sentence))
        self.visit.asked.append(self.asked)
        return {"chat": self.visit.messages, "prompt": ready_box(self.prompt)}
