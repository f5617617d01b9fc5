"""The worst answers of a run as one picture: the request, the right mask, the predicted mask."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import Dataset, MaskSample
from benchmarks.scoring.records import Record, records_of
from benchmarks.scoring.scores import iou_of
from stamp.pictures.masks import decode_rle
from stamp.pictures.visualization import draw_overlay

PANEL_PX, TEXT_PX, COLUMNS = 220, 56, 3


def worst_of_each_kind(records: Sequence[Record], a_kind: int) -> list[Record]:
    """Requests for a mask with the lowest IoU, some per kind, worst first; ties in the order of measurement."""
    asked = [record for record in records if record.union is not None]
    chosen: list[Record] = []
    for kind in dict.fromkeys(record.kind for record in asked):
        chosen += sorted((record for record in asked if record.kind == kind), key=iou_of)[:a_kind]
    return sorted(chosen, key=iou_of)


def draw_gallery(records: Sequence[Record], dataset: Dataset) -> Image.Image:
    """A sheet: for each record the right mask (left) and the predicted one (right), prompt and answer below.

    Raises ValueError if the dataset does not have a record's sample.
    """
    samples = {(sample.split, sample.id): sample for sample in dataset.samples}
    panels = []
    for record in records:
        sample = samples.get((record.split, record.sample))
        if not isinstance(sample, MaskSample):
            raise ValueError(f"the dataset {dataset.name} has no request {record.sample!r} in {record.split!r}")
        panels.append(_panel(record, sample))
    rows = -(-len(panels) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (2 * PANEL_PX + 12), rows * (PANEL_PX + TEXT_PX)), "white")
    for index, panel in enumerate(panels):
        row, column = divmod(index, COLUMNS)
        sheet.paste(panel, (column * (2 * PANEL_PX + 12), row * (PANEL_PX + TEXT_PX)))
    return sheet


def _panel(record: Record, sample: MaskSample) -> Image.Image:
    image = sample.load_image()
    panel = Image.new("RGB", (2 * PANEL_PX, PANEL_PX + TEXT_PX), "white")
    for x, masks in ((0, [sample.truth().mask]), (PANEL_PX, [decode_rle(mask) for mask in record.masks])):
        planes = np.stack(masks) if masks else np.zeros((0, image.height, image.width), dtype=bool)
        drawn = draw_overlay(image, planes)
        drawn.thumbnail((PANEL_PX - 4, PANEL_PX - 4))
        panel.paste(drawn, (x, 0))
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(12)
    lines = (f"{record.split}: {record.prompt}", record.text or record.error or "", f"IoU {iou_of(record):.2f}")
    for number, line in enumerate(lines):
        pen.text((2, PANEL_PX + 2 + 17 * number), _fitting(line, font), fill="black", font=font)
    return panel


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while font.getlength(line) > 2 * PANEL_PX - 4:
        line = f"{line[:-2].rstrip('…')}…"
    return line


def write_gallery(run: Path, root: Path | None, method: str, a_kind: int, out: Path) -> None:
    """The gallery of one method of a run folder. Raises ValueError: no such records."""
    from benchmarks.running.run_file import read_run

    about = read_run(run)
    records, _ = records_of(run)
    own = [record for record in records if record.label == method]
    if about is None or not own:
        raise ValueError(f"{run} holds no records of the method {method!r}.")
    config = about["config"]
    dataset = open_dataset(config["dataset"], config["splits"], root)
    draw_gallery(worst_of_each_kind(own, a_kind), dataset).save(out, quality=85)
