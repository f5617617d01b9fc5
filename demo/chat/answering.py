"""One question in progress: what its answer changes in the visit and on the page.

Updates are keyed by component name (see `demo.ui`); other components stay unchanged.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.chat.chat import (
    Draft,
    Encoded,
    Failed,
    FirstToken,
    Question,
    Refused,
    Waiting,
    finished_html,
    message,
    status_html,
)
from demo.chat.confidence import Confidence, unsure_html, unsure_labels
from demo.chat.masks import Updates, download_updates, mask_updates
from demo.chat.unknown import unknown_html
from demo.chat.visit import Asked, Visit
from demo.html import literal, notice

if TYPE_CHECKING:
    from demo.chat.chat import AnswerEvent
    from stamp import Segmentation

log = logging.getLogger(__name__)

NO_DOWNLOADS = "The answer is complete, but its files cannot be downloaded: the server could not store them."
NO_ANSWER = "Stopped before the answer began."
CUT_OFF_AGAIN = "Stopped."
CUT_OFF = "Stopped. The model will not remember this answer."
#: After each of these and all other reasons for no answer: what the page has instead.
QUESTION_BACK = "Your question is back in the box."
ANSWER_BACK = "The answer before is back."


def ready_box(prompt: str | None = None) -> Any:
    """The prompt box with its Send button; None leaves the typed text as it is."""
    buttons: dict[str, Any] = {"submit_btn": "Send", "stop_btn": False}
    return gr.update(**buttons) if prompt is None else gr.update(value=prompt, **buttons)


class Answering:
    """One question in progress: applies the events to the visit, and returns what changes on the page.

    known: what the model's confidences are worth; None if that is unknown. words: what the model knows, if it says so.
    again: it replaces the last answer, which comes back if there is no new one; the box is left alone.
    """

    def __init__(
        self,
        visit: Visit,
        prompt: str,
        stop: threading.Event,
        refine: str = "auto",
        known: Confidence | None = None,
        words: Sequence[str] = (),
        *,
        again: bool = False,
    ):
        self.visit = visit
        self.before = visit.keep()
        self.replaced = visit.set_aside() if again else None
        self.prompt = prompt
        self.stop = stop
        self.known = known
        self.words = words
        self.asked = Asked(prompt, len(visit.messages), len(visit.turns), len(visit.masks))
        self.question = Question(prompt, visit.picture, visit.encoded, tuple(visit.turns), refine, visit.share)
        self.draft = Draft(first_mask=len(visit.masks), taken=tuple(shown.name for shown in visit.masks))
        self.has_ended = False

    def begin(self) -> Updates:
        """The question in the chat instead of the box, the Stop button in place of Send."""
        buttons: dict[str, Any] = {"submit_btn": False, "stop_btn": "Stop"}
        page = {"chat_notice": "", "chat": self.chat()}
        if self.replaced is None:
            return page | {"prompt": gr.update(value="", **buttons)}
        return page | {"prompt": gr.update(**buttons)} | self._files_and_masks()

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
                with self.visit.lock:
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
        if self.replaced is not None:
            self.replaced.delete_files()
        try:
            files = visit.write_files(segmentation, self.draft.first_mask)
            sentence = ""
        except OSError:
            log.exception("the downloads of an answer could not be written")
            files, sentence = [], NO_DOWNLOADS
        visit.asked.append(replace(self.asked, files=files))
        page = {"visit": visit, "chat": visit.messages, "chat_notice": notice(sentence), "prompt": ready_box()}
        return page | self._files_and_masks()

    def withdraw(self, sentence: str) -> Updates:
        """The page as it was before, with the reason below the chat."""
        self.has_ended = True
        changed = self.replaced is not None or len(self.visit.masks) > self.asked.masks
        if changed:
            self.visit.restore(self.before)
        box = ready_box(self.prompt if self.replaced is None else None)
        page = {"chat": self.visit.messages, "chat_notice": notice(self._with_way_back(sentence)), "prompt": box}
        return page | self._files_and_masks() if changed else page

    def cut_off(self) -> Updates:
        """The events ended without a result: the visitor stopped an answer that another process writes."""
        if not self._has_begun():
            return self.withdraw(NO_ANSWER)
        return self.fail(CUT_OFF) if self.replaced is None else self.withdraw(CUT_OFF_AGAIN)

    def fail(self, sentence: str) -> Updates:
        """Say in the chat that the model failed. The question goes back into the box and out of the dialogue."""
        if self.replaced is not None:
            return self.withdraw(sentence)
        self.has_ended = True
        self.draft = replace(self.draft, coming=0)
        written = f"{self.draft.html()}<br>" if self._has_begun() else ""
        self.visit.messages = self.chat(written + status_html(self._with_way_back(sentence)))
        self.visit.asked.append(self.asked)
        return {"chat": self.visit.messages, "chat_notice": "", "prompt": ready_box(self.prompt)}

    def _with_way_back(self, sentence: str) -> str:
        return f"{sentence} {QUESTION_BACK if self.replaced is None else ANSWER_BACK}"

    def _has_begun(self) -> bool:
        """Whether the page shows some of the answer."""
        return any(self.draft.pieces) or bool(self.draft.are_empty)

    def _files_and_masks(self) -> Updates:
        return mask_updates(self.visit) | download_updates(self.visit)
