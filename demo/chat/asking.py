"""Handles questions: from the prompt box through the model to the chat, the picture and the next question."""

import logging
from collections.abc import Iterator

import gradio as gr

from demo.chat.answering import Answering, ready_box
from demo.chat.chat import WENT_WRONG, answer_events
from demo.chat.confidence import read_confidence
from demo.chat.known import read_known
from demo.chat.masks import Updates, download_updates, mask_updates
from demo.chat.transcript import TRANSCRIPT_FILE, transcript_html
from demo.chat.visit import Visit
from demo.chat.wording import suggest_wording
from demo.gpu import BAD_INPUT
from demo.html import notice
from demo.loading import ModelSlot

log = logging.getLogger(__name__)

#: Of the picture's pixels, for a fast answer of a slow model.
FAST_SHARE = 0.25
#: Of a question in a message.
MAX_QUOTED_CHARS = 60
NO_PICTURE = "Choose a picture first: upload one, paste one, or take one with the camera."
STILL_WRITING = "An answer is still being written. Wait for it to finish, or press Stop."
NOTHING_ASKED = "You have not asked a question yet."
NOT_SAVED = "The chat could not be saved: the server's disk may be full. Please try again later."
OTHER_PICTURE = "Meanwhile you have chosen another picture or a new chat, so “{}” was not asked."


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
        except BAD_INPUT as error:
            return str(error)
    return None


def ask(
    slot: ModelSlot,
    prompt: str | None,
    refine: str | None = None,
    fast: bool | None = None,
    number: float | None = None,
    *,
    visit: Visit | None,
    again: bool = False,
) -> Iterator[Updates]:
    """Answer a question: text and masks as they come. An empty update lets Gradio end the generator.

    fast: look at fewer pixels, if the model is slow. number: of the visit that the page showed when the question was
    asked. again: it is the last question, whose answer is replaced.
    """
    prompt = prompt or ""
    if visit is not None and number and number != visit.number:
        yield {"chat_notice": notice(OTHER_PICTURE.format(prompt[:MAX_QUOTED_CHARS]))}
        return
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
    features = visit.encoded
    visit.look(FAST_SHARE if fast and slot.is_slow else 1.0)
    if features is not None and visit.encoded is None:
        slot.get().conversation_cache.forget(features)
    known, words = (read_confidence(), read_known()) if slot.is_embedded else (None, ())
    refine = refine if refine in refinements(slot) else "auto"
    answering = Answering(visit, prompt, stop, refine, known, words, again=again)
    try:
        yield answering.begin()
        for events in answer_events(slot, answering.question, answering.stop):
            updates = {} if visit.is_left else answering.take_all(events)
            if visit.is_left:  # also when the visitor left while the files of the answer were written
                return
            yield updates
        if not answering.has_ended and not visit.is_left:
            yield answering.cut_off()
    except Exception:
        log.exception("an answer could not be shown")
        yield answering.fail(WENT_WRONG)
    finally:
        if not answering.has_ended and not visit.is_left:  # the connection broke, so nobody reads the rest
            visit.restore(answering.before)
        visit.end_answer()


def ask_again(
    slot: ModelSlot,
    refine: str | None = None,
    fast: bool | None = None,
    number: float | None = None,
    *,
    visit: Visit | None,
) -> Iterator[Updates]:
    """Answer the last question again and replace its answer."""
    sentence = cannot_go_back(visit)
    if sentence or visit is None:
        yield {"chat_notice": notice(sentence)}
        return
    yield from ask(slot, visit.asked[-1].prompt, refine, fast, number, visit=visit, again=True)


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
    visit.offer(str(path))
    return {"chat_notice": "", **download_updates(visit)}


def cannot_go_back(visit: Visit | None) -> str:
    """Why there is no last question to repeat or edit; empty if there is one."""
    if visit is None or not visit.asked:
        return NOTHING_ASKED
    return "" if visit.idle.is_set() else STILL_WRITING
