"""What one visitor has on the page: a picture, the dialogue about it, its masks. Never shared, never global."""

import json
import shutil
import tempfile
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from stamp.masks import Mask, save_mask_png
from stamp.visualization import draw_overlay

if TYPE_CHECKING:
    from stamp import EncodedImage, Segmentation, Turn

Message = dict[str, Any]

#: The picture is shown at most this large; masks are drawn on that copy and downloaded in the original size.
MAX_SHOWN_PX = 1280
LEAVE_S = 1.0


@dataclass(frozen=True)
class ShownMask:
    """A mask on the page. mask: bool (h, w) in the size shown; share: of the original picture, 0..1."""

    mask: Mask
    share: float

    @property
    def size_in_words(self) -> str:
        """How much of the picture it covers."""
        if self.share == 0:
            return "empty"
        return f"{100 * self.share:.0f} % of the picture" if self.share >= 0.01 else "under 1 % of the picture"


@dataclass(eq=False)
class Visit:
    """One picture of one visitor and the dialogue about it. Masks are numbered through the whole dialogue.

    picture: upright RGB in the original size. shown: the copy on the page. encoded: its vision features, from
    the first question on. visible: indices of the masks that are drawn. opacity: 0..1. stop: of the answer in
    the making; idle: set while there is none; is_left: the page shows another visit. The folder with the
    downloads is deleted when the visit is.
    """

    picture: Image.Image
    opacity: float = 0.55
    encoded: "EncodedImage | None" = None
    turns: "list[Turn]" = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    masks: list[ShownMask] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)
    answers: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    idle: threading.Event = field(default_factory=threading.Event)
    is_left: bool = False

    def __post_init__(self) -> None:
        self.idle.set()
        self._folder: Path | None = None
        self.shown = self.picture.copy()
        self.shown.thumbnail((MAX_SHOWN_PX, MAX_SHOWN_PX))

    def begin_answer(self) -> threading.Event:
        """The stop event of a new answer. `end_answer` must follow."""
        self.idle.clear()
        self.stop = threading.Event()
        return self.stop

    def end_answer(self) -> None:
        """No more updates of the page come from the answer."""
        self.idle.set()

    def leave(self) -> None:
        """The page turns to something else: stop the answer in the making and wait for its last update."""
        self.is_left = True
        self.stop.set()
        self.idle.wait(LEAVE_S)

    def add_mask(self, mask: Mask, *, is_first: bool) -> None:
        """Add a (H, W) mask in the original size; the first of an answer hides those of earlier answers."""
        if is_first:
            self.visible = []
        self.visible.append(len(self.masks))
        self.masks.append(ShownMask(shrink_mask(mask, (self.shown.height, self.shown.width)), float(mask.mean())))

    def draw(self) -> Image.Image:
        """The picture with its visible masks, in the size shown."""
        if not self.masks:
            return self.shown
        stack = np.stack([shown.mask for shown in self.masks])
        visible = [index in self.visible for index in range(len(self.masks))]
        return draw_overlay(self.shown, stack, opacity=self.opacity, visible=visible)

    def keep_answer(self, segmentation: "Segmentation", first_mask: int) -> None:
        """Write the downloads of a finished answer: a PNG of each mask and `to_record()` as JSON, newest first."""
        self.answers += 1
        if not len(segmentation.masks):
            return
        folder = self.folder()
        record = folder / f"answer_{self.answers}_coco_rle.json"
        record.write_text(json.dumps(segmentation.to_record(), indent=1), encoding="utf-8")
        files = [str(record)]
        for number, mask in enumerate(segmentation.masks, first_mask + 1):
            files.append(str(folder / f"mask_{number}.png"))
            save_mask_png(mask, files[-1])
        self.downloads = [*files, *self.downloads]

    def folder(self) -> Path:
        """The folder of the downloads, made on first use and deleted with the visit."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="stamp-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def restarted(self) -> "Visit":
        """A new visit with the same picture and vision features and no dialogue; leaves this one."""
        self.leave()
        return Visit(self.picture, self.opacity, self.encoded)


def close_visit(visit: Visit | None) -> None:
    """Delete callback of the page's gr.State."""
    if visit is not None:
        visit.stop.set()
        visit.encoded = None


def shrink_mask(mask: Mask, size_hw: tuple[int, int]) -> Mask:
    """(H, W) mask -> (h, w), each pixel from the nearest one."""
    if mask.shape == size_hw:
        return mask
    rows, columns = (
        ((np.arange(small) + 0.5) * (large / small)).astype(int)
        for small, large in zip(size_hw, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
