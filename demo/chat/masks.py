"""The list of masks next to the picture, and the effect of clicks on it, on a name or on a mask."""

import logging
from pathlib import Path
from typing import Any

import gradio as gr

from demo.chat.downloads import write_inverse
from demo.chat.visit import Visit
from demo.html import literal, notice
from stamp.pictures.visualization import mask_colour

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_name("masks.js")
NO_INVERSE = "The inverted mask cannot be downloaded: the server could not store it."

Updates = dict[str, Any]


def masks_html(visit: Visit) -> str:
    """The masks, latest answer first; if one is selected, with a CSS rule for the names in the chat."""
    latest, before = range(visit.latest, len(visit.masks)), range(min(visit.latest, len(visit.masks)))
    rows = "".join(_row(visit, index) for index in (*latest, *before))
    if not rows:
        return ""
    rule = ""
    if visit.selected is not None:
        rule = f"<style>#chat .noun:not(.noun-{visit.selected}) {{ opacity: 0.35 !important; }}</style>"
    width, height = visit.shown.size  # `masks.js` finds with them where in the picture a click is
    return f'{rule}<ul class="masks" data-width="{width}" data-height="{height}">{rows}</ul>'


def _row(visit: Visit, index: int) -> str:
    shown, is_visible, is_selected = visit.masks[index], index in visit.visible, index == visit.selected
    name = literal(shown.label)
    has_score = shown.score is not None and not shown.is_inverse  # the score is of what the answer found
    facts = shown.size_in_words + (f" · score {shown.score:.2f}" if has_score else "")
    others = visit.visible != [index]
    buttons = [_button(index, "show", "Hide" if is_visible else "Show", name)]
    if len(visit.masks) > 1:
        buttons.append(_button(index, "only", "Only this" if others else "Show all", name))
    buttons.append(_button(index, "invert", "Invert", name))
    return (
        f'<li data-mask="{index}" class="{"selected" if is_selected else ""}{"" if is_visible else " unseen"}" '
        f'style="border-left-color:{mask_colour(index)}">'
        f'<button class="name" data-mask="{index}" data-act="select" aria-pressed="{str(is_selected).lower()}">'
        f"<b>{name}</b> <span>{literal(facts, goes_on=True)}</span></button>{''.join(buttons)}{shown.outline}</li>"
    )


def _button(index: int, act: str, words: str, name: str) -> str:
    return f'<button data-mask="{index}" data-act="{act}" aria-label="{words}: {name}">{words}</button>'


def pick_mask(picked: gr.SelectData, visit: Visit | None) -> Updates:
    """What a click does. In the list or on a name, its index is a mask and its value says what to do with it; in the
    picture, its index is a point."""
    if visit is None:
        return {}
    with visit.lock:
        return pick_point(picked, visit) if picked.value == "point" else pick_row(picked, visit)


def pick_row(picked: gr.SelectData, visit: Visit) -> Updates:
    """What a click in the list or on a name does."""
    if not isinstance(picked.index, int) or not 0 <= picked.index < len(visit.masks):
        return {}
    match picked.value:
        case "select":
            select(visit, picked.index)
        case "show":
            show(visit, picked.index)
        case "only":
            show_only(visit, picked.index)
        case "invert":
            return {**invert(visit, picked.index), **mask_updates(visit)}
        case _:
            return {}
    return mask_updates(visit)


def pick_point(picked: gr.SelectData, visit: Visit) -> Updates:
    """Select the mask under a point of the picture, [x, y] in pixels of the picture shown; none where there is none."""
    at = picked.index
    if not visit.masks or not isinstance(at, list) or [type(side) for side in at] != [int, int]:
        return {}
    index = visit.mask_at(*at)
    if index is None:
        visit.selected = None
    else:
        select(visit, index)
    return mask_updates(visit)


def select(visit: Visit, index: int) -> None:
    """Select or deselect a mask."""
    visit.selected = None if visit.selected == index else index
    if index not in visit.visible:
        visit.visible.append(index)


def show(visit: Visit, index: int) -> None:
    """Show or hide a mask."""
    if index in visit.visible:
        visit.visible.remove(index)
        visit.selected = None if visit.selected == index else visit.selected
    else:
        visit.visible.append(index)


def show_only(visit: Visit, index: int) -> None:
    """Show only this mask; if it already is the only one, show all."""
    visit.visible = [index] if visit.visible != [index] else list(range(len(visit.masks)))
    visit.selected = None


def invert(visit: Visit, index: int) -> Updates:
    """Invert a mask, or restore it; the first time, the inverse joins the downloads as a PNG.

    Not while an answer is written, which still names its masks and writes their files.
    """
    if not visit.idle.is_set():
        return {}
    shown = visit.masks[index]
    visit.masks[index] = shown.inverted()
    if shown.is_inverse or not Path(shown.file).is_file():  # it could not be written, or was cleaned up
        return {}
    try:
        path = write_inverse(visit, index)
    except OSError:
        log.exception("the inverse of a mask could not be written")
        return {"chat_notice": notice(NO_INVERSE)}
    visit.offer(path, index)
    return download_updates(visit)


def mask_updates(visit: Visit) -> Updates:
    """The picture, the list of masks and the panel that holds it."""
    with visit.lock:
        return {"stage": visit.draw(), "masks": masks_html(visit), "mask_panel": gr.Column(visible=bool(visit.masks))}


def download_updates(visit: Visit) -> Updates:
    """The downloads of the latest answer, and those of earlier ones in a collapsed section.

    Files may have been cleaned up in the meantime (`demo.security.scratch`); the page cannot show these.
    """
    for asked in visit.asked:
        asked.files[:] = [path for path in asked.files if Path(path).is_file()]
    return {
        "downloads": gr.File(value=visit.downloads or None, visible=bool(visit.downloads)),
        "earlier": gr.File(value=visit.earlier or None),
        "earlier_panel": gr.Accordion(visible=bool(visit.earlier)),
    }
