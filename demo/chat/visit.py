"""The data of one visitor: a picture, the dialogue about it, its masks. Never shared between visitors."""

import math
import shutil
import tempfile
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from demo.chat.downloads import write_downloads
from demo.chat.shown_mask import ShownMask, shrink_mask
from stamp.pictures.masks import Mask
from stamp.pictures.visualization import draw_overlay

if TYPE_CHECKING:
    from stamp import EncodedImage, Segmentation, Turn

Message = dict[str, Any]

#: Most pixels of the kept copy of a picture: twice what the published checkpoints see.
MAX_KEPT_PIXELS = 2_000_000
#: Longest side shown; masks are drawn on that copy and downloaded in the original size.
MAX_SHOWN_PX = 1280
LEAVE_S = 1.0
#: Opacity of the other masks while one is selected, relative to the chosen opacity.
FAINT = 0.3


@dataclass(frozen=True)
class Asked:
    """A question that was answered, and how much the dialogue held before it. files: the downloads of its answer."""

    prompt: str
    messages: int
    turns: int
    masks: int
    files: list[str] = field(default_factory=list)

    def delete_files(self) -> None:
        """Delete the downloads that are still there."""
        for path in self.files:
            Path(path).unlink(missing_ok=True)


@dataclass(frozen=True)
class Kept:
    """The dialogue of a visit at one moment; see the fields of `Visit`."""

    turns: "list[Turn]"
    messages: list[Message]
    masks: list[ShownMask]
    visible: list[int]
    selected: int | None
    latest: int
    asked: list[Asked]


@dataclass(eq=False)
class Visit:
    """One picture of one visitor and the dialogue about it. Masks keep their names and colours through all of it.

    picture: upright RGB, made smaller where it is larger than MAX_KEPT_PIXELS; size_wh: of the original. shown: the
    copy on the page. encoded: its vision features, from the first question on; share: of its pixels, of which they are
    made. visible: indices of the masks that are drawn; selected: the one that stands out; latest: the first of the
    latest answer with masks. opacity: 0..1. asked: the questions that were answered. stop: of the answer in progress;
    idle: set while there is none; is_left: the page shows another visit. has_doubted: an answer said that it is not
    sure. number: no other visit has it. The folder with the downloads is deleted when the visit is.

    An answer and each click come in threads of their own: whoever changes the masks and draws them holds `lock`.
    """

    picture: Image.Image
    opacity: float = 0.55
    encoded: "EncodedImage | None" = None
    turns: "list[Turn]" = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    masks: list[ShownMask] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)
    selected: int | None = None
    latest: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    idle: threading.Event = field(default_factory=threading.Event)
    is_left: bool = False
    has_doubted: bool = False
    share: float = 1.0
    size_wh: tuple[int, int] = (0, 0)
    number: int = field(default_factory=count(1).__next__)

    def __post_init__(self) -> None:
        self.idle.set()
        self._folder: Path | None = None
        self._begins = threading.Lock()
        self.lock = threading.RLock()
        if not all(self.size_wh):
            self.size_wh = self.picture.size
        self.picture = shrink_picture(self.picture)
        self.shown = self.picture
        if max(self.picture.size) > MAX_SHOWN_PX:
            self.shown = self.picture.copy()
            self.shown.thumbnail((MAX_SHOWN_PX, MAX_SHOWN_PX))

    @property
    def n_bytes(self) -> int:
        """Memory of pictures, features, masks and text; the rest is small."""
        pictures = {id(one): 4 * one.width * one.height for one in (self.picture, self.shown)}  # Pillow pads RGB
        features = 0 if self.encoded is None else self.encoded.embeds.nbytes
        words = sum(len(str(message["content"])) for message in list(self.messages))
        return sum(pictures.values()) + features + sum(shown.mask.nbytes for shown in list(self.masks)) + 4 * words

    def look(self, share: float) -> None:
        """From the next question on, encode the picture from this share of its pixels."""
        if share != self.share:
            self.share, self.encoded = share, None

    def begin_answer(self) -> threading.Event | None:
        """Start an answer: its stop event, or None while another one is in progress. `end_answer` must follow."""
        with self._begins:
            if not self.idle.is_set():
                return None
            self.idle.clear()
        self.stop = threading.Event()
        return self.stop

    def end_answer(self) -> None:
        """No more updates of the page come from the answer."""
        self.idle.set()

    def leave(self) -> None:
        """Leave the visit: stop the answer in progress and wait for its last update."""
        self.is_left = True
        self.stop.set()
        self.idle.wait(LEAVE_S)

    def add_mask(self, mask: Mask, score: float | None = None, *, is_first: bool) -> None:
        """Add a (H, W) mask of any size; the first of an answer hides those of earlier answers."""
        small = shrink_mask(mask, (self.shown.height, self.shown.width))
        with self.lock:
            if is_first:
                self.hide_masks()
                self.latest = len(self.masks)
            self.masks.append(ShownMask(small, float(mask.mean()), score=score))
            self.visible.append(len(self.masks) - 1)

    def label_masks(self, first: int, labels: Sequence[str]) -> None:
        """Name the masks from `first` on."""
        for index, label in enumerate(labels[: len(self.masks) - first], first):
            if label != self.masks[index].label:  # otherwise it keeps its outline
                self.masks[index] = replace(self.masks[index], label=label)

    def hide_masks(self) -> None:
        """Hide all masks."""
        self.visible, self.selected = [], None

    def mask_at(self, x: int, y: int) -> int | None:
        """The smallest visible mask under a pixel of the picture shown; None where there is none."""
        if not (0 <= x < self.shown.width and 0 <= y < self.shown.height):
            return None
        with self.lock:
            under = [index for index in self.visible if self.masks[index].mask[y, x]]
            return min(under, key=lambda index: self.masks[index].share, default=None)

    def draw(self) -> Image.Image:
        """The picture with its visible masks, in the size shown; the others are faint beside a selected one."""
        with self.lock:
            masks, indices, selected = list(self.masks), list(self.visible), self.selected
        if not masks:
            return self.shown
        stack = np.stack([shown.mask for shown in masks])
        visible = [index in indices for index in range(len(masks))]
        if selected is None:
            return draw_overlay(self.shown, stack, opacity=self.opacity, visible=visible)
        alone = [index == selected for index in range(len(masks))]
        others = [seen and not one for seen, one in zip(visible, alone, strict=True)]
        faint = draw_overlay(self.shown, stack, opacity=self.opacity * FAINT, visible=others, outline_px=0)
        outline_px = max(2, round(min(self.shown.size) / 120))
        return draw_overlay(faint, stack, opacity=self.opacity, visible=alone, outline_px=outline_px)

    def keep(self) -> Kept:
        """The dialogue as it is now, for `restore`."""
        return Kept(
            list(self.turns), list(self.messages), list(self.masks), list(self.visible), self.selected, self.latest,
            list(self.asked),
        )  # fmt: skip

    def restore(self, kept: Kept) -> None:
        """The dialogue as it was then."""
        with self.lock:
            self.turns, self.messages, self.masks = list(kept.turns), list(kept.messages), list(kept.masks)
            self.visible, self.selected, self.latest = list(kept.visible), kept.selected, kept.latest
            self.asked = list(kept.asked)

    def set_aside(self) -> Asked | None:
        """Take the last question and its answer out of the dialogue, but keep its files; None if there is none."""
        if not self.asked:
            return None
        with self.lock:
            last = self.asked.pop()
            del self.messages[last.messages :], self.turns[last.turns :], self.masks[last.masks :]
            self.hide_masks()
            if self.asked:
                self.latest = self.asked[-1].masks
                self.visible = list(range(self.latest, len(self.masks)))
        return last

    def pop_exchange(self) -> str | None:
        """Remove the last question, its answer and its files; returns the question, or None if there is none."""
        if (last := self.set_aside()) is None:
            return None
        last.delete_files()
        return last.prompt

    @property
    def downloads(self) -> list[str]:
        """The files of the latest answer that has any."""
        return next((asked.files for asked in reversed(self.asked) if asked.files), [])

    @property
    def earlier(self) -> list[str]:
        """The files of the answers before that one, the newest first."""
        with_files = [asked.files for asked in reversed(self.asked) if asked.files]
        return [path for files in with_files[1:] for path in files]

    def offer(self, path: str, mask: int | None = None) -> None:
        """Put a file last among the downloads of the answer with a mask; None is the latest answer that has any files.

        There must be an answer.
        """
        for asked in self.asked:
            asked.files[:] = [one for one in asked.files if one != path]
        newest_first = reversed(self.asked)
        fits = (asked for asked in newest_first if (asked.files if mask is None else asked.masks <= mask))
        next(fits, self.asked[-1]).files.append(path)

    def write_files(self, segmentation: "Segmentation", first_mask: int) -> list[str]:
        """Write the downloads of a finished answer (`demo.chat.downloads`); their paths. Raises OSError."""
        self.answers += 1
        return write_downloads(self, segmentation, first_mask) if len(segmentation.masks) else []

    def folder(self) -> Path:
        """The folder of the downloads, made on first use and deleted with the visit."""
        if self._folder is None:
            Path(get_upload_folder()).mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="visit-", dir=get_upload_folder()))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(exist_ok=True)  # an old, empty one may have been cleaned up
        return self._folder

    def restarted(self) -> "Visit":
        """A new visit with the same picture and vision features and no dialogue; leaves this one."""
        self.leave()
        return Visit(self.picture, self.opacity, self.encoded, share=self.share, size_wh=self.size_wh)


def close_visit(visit: Visit) -> None:
    """End a visit that is no longer kept; its memory is freed as soon as the answer in progress has stopped."""
    visit.is_left = True
    visit.stop.set()


def shrink_picture(picture: Image.Image) -> Image.Image:
    """The picture with at most MAX_KEPT_PIXELS; itself where it has no more."""
    scale = math.sqrt(MAX_KEPT_PIXELS / (picture.width * picture.height))
    if scale >= 1:
        return picture
    size_wh = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    return picture.resize(size_wh, Image.Resampling.BICUBIC, reducing_gap=3.0)
