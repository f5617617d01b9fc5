"""The race: several methods answer one picture and prompt, one after another; the page replays them side by side.

The recording notes what each method had written and drawn at each moment. The replay shows it at its real pace; no
time in it is made up.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from benchmarks.baselines.patches import GRID
from benchmarks.datasets.sample import DatasetError, MaskSample
from demo.background import batches
from demo.board.live import BUSY, CAP_S, NOT_LOADED, Deadline, MethodPool, Refused
from demo.board.names import method_name
from demo.board.paradigms import PATCH_TEXT, POLYGON, paradigm_of
from demo.board.partial import cells, vertices
from demo.board.takeaways import seconds
from demo.chat.shown_mask import shrink_mask
from demo.html import and_list, data_uri
from stamp.pictures.masks import Mask
from stamp.pictures.visualization import opacities

if TYPE_CHECKING:
    from benchmarks.methods import Method, Prediction
    from benchmarks.methods.streaming import Moment

log = logging.getLogger(__name__)

#: The picture of the replay is at most this large.
SHOWN_PX = 640
OUTLINES_PER_SHORTER_SIDE = 150
CUT = f"cut off at the race's limit of {CAP_S:.0f} s"
NOT_BEGUN = "did not start: the time limit of {:.0f} s was reached"
FAILED = "failed on this picture; the server's log says why"


@dataclass(frozen=True)
class Entry:
    """What to answer, with which methods, for which visitor. image: upright RGB."""

    image: Image.Image
    prompt: str
    labels: tuple[str, ...]
    visitor: str = ""


@dataclass(frozen=True)
class Began:
    """A method is loading, or has begun to answer."""

    label: str
    number: int


@dataclass(frozen=True)
class Lane:
    """The record of one method. moments: the last one has the prediction. problem: why there is none.

    is_stopped: it was not at its end, because the visitor stopped it or, is_cut, because the time was up. A lane that
    is only cut did not start.
    """

    label: str
    moments: "tuple[Moment, ...]" = ()
    problem: str | None = None
    is_stopped: bool = False
    is_cut: bool = False

    @property
    def prediction(self) -> "Prediction | None":
        """The answer; None where there is none."""
        return self.moments[-1].prediction if self.moments else None

    @property
    def is_finished(self) -> bool:
        """Whether there is a whole, usable answer; others cannot win."""
        return self.prediction is not None and not self.is_stopped and self.prediction.valid

    @property
    def total_s(self) -> float | None:
        """Seconds until the answer was there."""
        return self.moments[-1].at_s if self.prediction else None


RaceEvent = Began | Lane | Refused


def race_events(pool: MethodPool, entry: Entry, stop: threading.Event) -> Iterator[list[RaceEvent]]:
    """The race, in `demo.background.batches`: a Began and a Lane for each method, in the order given."""
    return batches(partial(_race, pool, entry, stop), stop, "race")


def _race(pool: MethodPool, entry: Entry, stop: threading.Event, put: Callable[[RaceEvent], None]) -> None:
    deadline = Deadline(stop)
    with pool.turn(entry.visitor) as mine:
        if not mine:
            put(Refused(BUSY))
        for number, label in enumerate(entry.labels if mine else ()):
            if stop.is_set():
                return
            not_begun = Lane(label, problem=NOT_BEGUN.format(deadline.cap_s), is_cut=True)
            if deadline.is_out_of_time:
                put(not_begun)
                continue
            put(Began(label, number))
            with pool.machine(deadline.is_set) as held:
                if held:
                    put(_run_lane(pool, label, entry, deadline))
                elif deadline.is_out_of_time:
                    put(not_begun)


def _run_lane(pool: MethodPool, label: str, entry: Entry, deadline: Deadline) -> Lane:
    try:
        with deadline.uncounted():
            method = pool.get(label)
    except Exception:
        log.exception("%s cannot be loaded", label)
        return Lane(label, problem=NOT_LOADED)
    deadline.start()
    told = threading.Event()

    def should_stop() -> bool:
        if deadline.is_set():
            told.set()
        return told.is_set()

    try:
        recorded = _record(method, entry, should_stop)
    except Exception:
        log.exception("%s failed in a race", label)
        return Lane(label, problem=FAILED)
    return Lane(label, recorded, is_stopped=told.is_set(), is_cut=told.is_set() and deadline.is_out_of_time)


def _record(method: "Method", entry: Entry, should_stop: Callable[[], bool]) -> "tuple[Moment, ...]":
    from benchmarks.methods.streaming import moments

    prompt = method.prompt(_sample(entry.prompt))
    return tuple(moments(method, entry.image, prompt, should_stop))


def _sample(prompt: str) -> Any:
    """A visitor's request in the form of a benchmark sample; its right answer is unknown."""

    def truth() -> Any:
        raise DatasetError("A visitor's picture has no annotation.")

    return MaskSample("visitor", "", "", "segment", Path(), prompt, no_target=False, truth=truth)


# -- the replay --------------------------------------------------------------------------------------------------


def replay(entry: Entry, lanes: Sequence[Lane]) -> dict[str, Any]:
    """Everything that `race.js` needs, as JSON: the picture and, for each lane, what appears when. Times in seconds."""
    shown = entry.image.copy()
    shown.thumbnail((SHOWN_PX, SHOWN_PX))
    return {
        "image": data_uri(shown.convert("RGB"), "WEBP"),
        "width": shown.width,
        "height": shown.height,
        "grid": GRID,
        "lanes": [_lane_record(lane, (shown.height, shown.width)) for lane in lanes],
        "summary": summary(lanes),
    }


def _lane_record(lane: Lane, size_hw: tuple[int, int]) -> dict[str, Any]:
    paradigm, prediction = paradigm_of(lane.label), lane.prediction
    is_polygon, is_patches = paradigm is POLYGON, paradigm is PATCH_TEXT
    return {
        "label": method_name(lane.label),
        "paradigm": "" if paradigm.name in method_name(lane.label).lower() else paradigm.name,
        "is_finished": lane.is_finished,
        "colour": paradigm.colour,
        "total_s": lane.total_s,
        "text": lane.moments[-1].text if lane.moments else "",
        "written": _written(lane.moments),
        "vertices": _arrivals(lane.moments, vertices) if is_polygon else [],
        "cells": _arrivals(lane.moments, cells) if is_patches else [],
        "masks": _landings(lane, size_hw, paradigm.colour),
        "note": lane_note(lane, prediction),
    }


def _written(moments: "Sequence[Moment]") -> list[list[float]]:
    """[seconds, characters written by then] of each moment."""
    return [[moment.at_s, len(moment.text)] for moment in moments]


def _arrivals(moments: "Sequence[Moment]", read: Callable[[str], list[Any]]) -> list[list[float]]:
    """[seconds, ...] of each vertex or cell, when it could first be read."""
    found: list[list[float]] = []
    for moment in moments:
        found += [[moment.at_s, *one] for one in read(moment.text)[len(found) :]]
    return found


def _landings(lane: Lane, size_hw: tuple[int, int], colour: str) -> list[dict[str, Any]]:
    """Each mask with its time in seconds. Masks that were not streamed arrive with the answer."""
    landed = [(moment.at_s, moment.mask) for moment in lane.moments if moment.mask is not None]
    if not landed and lane.prediction is not None:
        landed = [(lane.moments[-1].at_s, mask) for mask in lane.prediction.masks]
    return [{"at_s": at_s, "image": mask_uri(shrink_mask(mask, size_hw), colour)} for at_s, mask in landed]


def lane_note(lane: Lane, prediction: "Prediction | None") -> str:
    """How it ended, in words."""
    if prediction is None:
        return lane.problem or "stopped"
    counts = f"{prediction.new_tokens} tokens, {prediction.forward_passes} passes"
    if lane.is_stopped:
        return f"{CUT if lane.is_cut else 'stopped before it finished'} · {counts}"
    if not prediction.valid:
        return f"output could not be parsed · {counts}"
    masks = [mask for mask in prediction.masks if mask.any()]
    return f"{len(masks)} mask{'s' * (len(masks) != 1)} · {counts}" if masks else f"no mask · {counts}"


def summary(lanes: Sequence[Lane]) -> str:
    """Which method was how much faster, in one run each."""
    ranked = [lane for lane in lanes if lane.is_finished and not _lacks_mask(lane, lanes)]
    times = {method_name(lane.label): lane.total_s for lane in ranked if lane.total_s is not None}
    without = _not_ranked(lanes)
    if not times:
        return f"No method finished.{without}"
    first, *others = sorted(times, key=times.__getitem__)
    sentence = f"{first} was first, after {seconds(times[first])}"
    rest = [f"{label} took {times[label] / times[first]:.2g} times as long" for label in others]
    return f"{'; '.join([sentence, *rest])}. One run each, one after another, on this server.{without}"


def _not_ranked(lanes: Sequence[Lane]) -> str:
    """Which lanes cannot win, and why."""
    reasons: dict[str, list[str]] = {}
    for lane in lanes:
        if lane.is_stopped:
            reasons.setdefault(CUT if lane.is_cut else "stopped before the end", []).append(lane.label)
        elif lane.is_cut:
            reasons.setdefault("did not start", []).append(lane.label)
        elif lane.prediction is None:
            reasons.setdefault("failed", []).append(lane.label)
        elif not lane.is_finished:
            reasons.setdefault("output could not be parsed", []).append(lane.label)
        elif _lacks_mask(lane, lanes):
            reasons.setdefault("no mask", []).append(lane.label)
    parts = [f"{and_list([method_name(one) for one in labels])} ({why})" for why, labels in reasons.items()]
    return f" Not ranked: {'; '.join(parts)}." if parts else ""


# -- pictures as addresses ---------------------------------------------------------------------------------------


def mask_uri(mask: Mask, colour: str, opacity: float = 0.5) -> str:
    """A (h, w) mask as a PNG in one colour with an opaque outline, transparent elsewhere."""
    outline_px = max(1, round(min(mask.shape) / OUTLINES_PER_SHORTER_SIDE))
    picture = Image.new("RGBA", (mask.shape[1], mask.shape[0]), colour)
    picture.putalpha(Image.fromarray(opacities(mask, round(255 * opacity), outline_px)))
    return data_uri(picture, "PNG")


def _lacks_mask(lane: Lane, lanes: Sequence[Lane]) -> bool:
    """Whether others have found a mask, but this one has not."""

    def has_mask(one: Lane) -> bool:
        return one.is_finished and one.prediction is not None and bool(one.prediction.masks.any())

    return not has_mask(lane) and any(map(has_mask, lanes))
