"""The downloads of an answer, named after its masks: masks and cut-outs as PNG, outlines as SVG, JSON, COCO's JSON."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from demo.chat.svg import masks_svg
from stamp.labels import category, file_stems
from stamp.pictures.masks import Mask, bounding_box_xywh, mask_image, mask_record, save_mask_png

if TYPE_CHECKING:
    from demo.chat.visit import Visit
    from stamp import Segmentation

#: Cut-outs are larger files than masks, so only the first masks of an answer get one.
MAX_CUTOUTS = 12


def write_downloads(visit: "Visit", segmentation: "Segmentation", first_mask: int) -> list[str]:
    """Write the files of an answer -> their paths, first the ZIP with all of them.

    Masks have the original size; cut-outs come from the kept copy of the picture. Masks may be large, so only one is
    enlarged at a time.
    """
    folder, size_wh, name = visit.folder(), visit.size_wh, f"answer_{visit.answers}"
    labels = [shown.label for shown in visit.masks[first_mask:]]
    stems = file_stems(labels, taken={path.stem for path in folder.iterdir()})
    paths, records = [], []
    for index, (stem, label, mask) in enumerate(zip(stems, labels, segmentation.masks, strict=True)):
        whole, path = enlarge_mask(mask, size_wh), folder / f"{stem}.png"
        save_mask_png(whole, path)
        visit.masks[first_mask + index] = replace(visit.masks[first_mask + index], file=str(path))
        records.append({"label": label} | mask_record(whole, segmentation.scores[index]))
        paths.append(path)
        if index < MAX_CUTOUTS and mask.any():
            paths.append(write_cutout(visit.picture, mask, folder / f"{stem}_cutout.png"))
    paths.append(folder / f"{name}.svg")
    outlines = (enlarge_mask(mask, size_wh) for mask in segmentation.masks)
    paths[-1].write_text(masks_svg(labels, outlines, size_wh, first_mask), encoding="utf-8")
    bare = replace(segmentation, masks=segmentation.masks[:0], scores=[])
    size = dict(zip(("width", "height"), size_wh, strict=True))
    for ending, content in (
        ("", bare.to_record() | size | {"masks": records}),
        ("_coco", coco_annotations(records, size_wh)),
    ):
        paths.append(folder / f"{name}{ending}.json")
        paths[-1].write_text(json.dumps(content, indent=1), encoding="utf-8")
    return [str(path) for path in (write_zip(folder / f"{name}.zip", paths), *paths)]


def write_inverse(visit: "Visit", index: int) -> str:
    """Write the PNG of everything except a mask, next to the mask's own file, which must exist -> its path."""
    path = Path(visit.masks[index].file)
    with Image.open(path) as mask:
        inverse = path.with_stem(f"all_but_{path.stem}")
        save_mask_png(np.asarray(mask) == 0, inverse)
    return str(inverse)


def write_cutout(picture: Image.Image, mask: Mask, path: Path) -> Path:
    """A transparent PNG of what an (h, w) mask covers of an RGB picture of that size, cut to its box."""
    x, y, width, height = bounding_box_xywh(mask)
    box = (x, y, x + width, y + height)
    cut = picture.crop(box)
    cut.putalpha(mask_image(mask).crop(box))
    cut.save(path, format="PNG")
    return path


def write_zip(path: Path, files: Sequence[Path]) -> Path:
    """One archive; most of the files are already compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            archive.write(file, file.name)
    return path


def coco_annotations(records: Sequence[dict[str, Any]], size_wh: tuple[int, int]) -> dict[str, Any]:
    """COCO's instance annotations of labelled mask records: "hat 1" and "hat 2" are both of the category "hat"."""
    names = list(dict.fromkeys(category(record["label"]) for record in records))
    image = {"id": 1, "width": size_wh[0], "height": size_wh[1], "file_name": ""}
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": names.index(category(record["label"])) + 1,
            "segmentation": record["rle"],
            "area": record["area_px"],
            "bbox": record["bbox_xywh"],
            "iscrowd": 0,
            "score": record["score"],
        }
        for number, record in enumerate(records, 1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {"images": [image], "categories": categories, "annotations": annotations}


def enlarge_mask(mask: Mask, size_wh: tuple[int, int]) -> Mask:
    """(h, w) mask -> (H, W) mask of a larger picture, with smooth edges."""
    if mask.shape == size_wh[::-1]:
        return mask
    grey = mask_image(mask)
    enlarged: Mask = np.asarray(grey.resize(size_wh, Image.Resampling.BICUBIC)) >= 128
    return enlarged
