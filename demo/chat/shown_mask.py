"""A mask as the page shows it: small, with a name, a size in words and an outline."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from demo.chat.svg import outline_svg
from stamp.labels import UNNAMED
from stamp.pictures.masks import Mask

#: Before the label of an inverted mask.
ALL_BUT = "all but "
#: Longest side of the outline that is shown where the pointer is.
OUTLINE_PX = 512


@dataclass(frozen=True)
class ShownMask:
    """A mask on the page. mask: bool (h, w) in the size shown; share: of the original picture, 0..1.

    label: what the answer calls it; score: None where unknown. file: its PNG in the original size, once it is written.
    """

    mask: Mask
    share: float
    label: str = UNNAMED
    score: float | None = None
    file: str = ""

    @cached_property
    def outline(self) -> str:
        """SVG of its outline, for a preview; the mask is made smaller first."""
        height, width = self.mask.shape
        scale = min(1.0, OUTLINE_PX / max(width, height))
        small = shrink_mask(self.mask, (max(1, round(height * scale)), max(1, round(width * scale))))
        return outline_svg(small)

    @property
    def name(self) -> str:
        """The label of what the answer found, also while the mask is inverted."""
        return self.label.removeprefix(ALL_BUT)

    @property
    def is_inverse(self) -> bool:
        """Whether it shows everything except what the answer found."""
        return self.label.startswith(ALL_BUT)

    def inverted(self) -> "ShownMask":
        """Everything except the mask; the inverse's inverse is the mask again."""
        label = self.name if self.is_inverse else ALL_BUT + self.label
        return replace(self, mask=~self.mask, share=1 - self.share, label=label)

    @property
    def size_in_words(self) -> str:
        """The share of the picture that it covers, in words."""
        if self.share == 0:
            return "empty"
        return f"{100 * self.share:.0f} % of the picture" if self.share >= 0.01 else "under 1 % of the picture"


def shrink_mask(mask: Mask, size_hw: tuple[int, int]) -> Mask:
    """(H, W) mask -> (h, w), each pixel from the nearest one."""
    if mask.shape == size_hw:
        return mask
    rows, columns = (
        ((np.arange(small) + 0.5) * (large / small)).astype(int)
        for small, large in zip(size_hw, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
