"""The masks of an answer as outlines: one SVG with a named path for each mask, to be edited in a drawing program."""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

import numpy as np

from stamp.pictures.masks import Mask
from stamp.pictures.visualization import mask_colour

#: An outline may be so far from the edge of the mask.
DEVIATION_PX = 0.5


def masks_svg(labels: Sequence[str], masks: Iterable[Mask], size_wh: tuple[int, int], first_colour: int = 0) -> str:
    """SVG of (H, W) masks in pixels of a picture of that size; holes stay holes. first_colour: of the first mask."""
    width, height = size_wh
    paths = [
        f'<path fill="{(colour := mask_colour(first_colour + index))}" stroke="{colour}" d="{outline(mask)}">'
        f"<title>{escape(label)}</title></path>"
        for index, (label, mask) in enumerate(zip(labels, masks, strict=True))
    ]
    # Outlines run through the centres of the outermost pixels: a line of one pixel reaches to their edges.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        '<g fill-rule="evenodd" stroke-width="1" stroke-linejoin="miter" transform="translate(0.5 0.5)">\n'
        f"{chr(10).join(paths)}\n</g>\n</svg>\n"
    )


def outline(mask: Mask) -> str:
    """The path of a mask: its outlines and those of its holes, from pixel centre to pixel centre."""
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    lines = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, DEVIATION_PX, closed=True)[:, 0]
        lines.append("M" + " ".join(f"{x},{y}" for x, y in points) + "Z")
    return "".join(lines)
