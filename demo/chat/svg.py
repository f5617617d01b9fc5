"""The masks of an answer as outlines: one SVG with a named path per mask, for editing in a drawing program."""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

from stamp.pictures.masks import Mask, outlines
from stamp.pictures.visualization import mask_colour


def masks_svg(labels: Sequence[str], masks: Iterable[Mask], size_wh: tuple[int, int], first_colour: int = 0) -> str:
    """SVG of (H, W) masks in pixels of a picture of that size; holes stay holes. first_colour: of the first mask."""
    width, height = size_wh
    paths = [
        f'<path fill="{mask_colour(first_colour + index)}" d="{_path(mask)}"><title>{escape(label)}</title></path>\n'
        for index, (label, mask) in enumerate(zip(labels, masks, strict=True))
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f'<g fill-rule="evenodd">\n{"".join(paths)}</g>\n</svg>\n'
    )


def outline_svg(mask: Mask) -> str:
    """SVG of one (H, W) mask without a size or colour of its own, to be laid over the picture."""
    height, width = mask.shape
    return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true"><path d="{_path(mask)}"></path></svg>'


def _path(mask: Mask) -> str:
    return "".join(f"M{' '.join(f'{x},{y}' for x, y in line)}Z" for line in outlines(mask, with_holes=True))
