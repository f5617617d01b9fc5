"""What each way to give a mask allows at best, and how many tokens it takes: right masks there and back, no model.

A right mask is put into a method's form (cells of the grid, corners, runs) and drawn again. No model of that form can
do better, so a method's score is best seen as a share of this one. For written masks there is also the plain text that
other authors use, with its tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.baselines.embedding_decoder import UPSCALE
from benchmarks.baselines.mask_text import MaskText
from benchmarks.baselines.patch_tokens import PatchTokens
from benchmarks.baselines.patches import draw_patches, patches_of, write_patches
from benchmarks.baselines.polygon_tokens import PolygonTokens
from benchmarks.baselines.polygons import fill_polygons, outer_polygons, to_pixels, write_polygons
from benchmarks.datasets.sample import MaskSample
from benchmarks.scoring.intervals import bootstrap, mean
from stamp.model.processing_stamp import StampProcessor
from stamp.pictures.masks import Mask, intersection_over_union
from stamp.refinement import make_refiner
from stamp.refinement.refiner import refine_masks
from stamp.training.card.refinement_study import coverage_logits
from stamp.training.card.study import write_results

ROWS_FILE, RECORD_FILE = "formats.jsonl", "formats.json"
#: (mask, picture, the grid of the picture's cells) -> (the drawn mask, tokens that it takes after the words).
Form = Callable[[Mask, Image.Image, tuple[int, int]], tuple[Mask, int]]


def forms(processor: StampProcessor) -> dict[str, Form]:
    """By method, and "METHOD, plain text". processor: of the checkpoint whose grid and tokenizer are used."""
    grabcut = make_refiner("grabcut")

    def all_mask(mask: Mask, picture: Image.Image, grid_hw: tuple[int, int]) -> tuple[Mask, int]:
        return refine_masks(coverage_logits(mask, grid_hw)[None], picture, grabcut)[0][0], 1

    def embedding(mask: Mask, picture: Image.Image, grid_hw: tuple[int, int]) -> tuple[Mask, int]:
        fine = coverage_logits(mask, (UPSCALE * grid_hw[0], UPSCALE * grid_hw[1]))
        return refine_masks(fine[None], picture, grabcut)[0][0], 1

    def tokens(form: MaskText) -> Form:
        def there_and_back(mask: Mask, picture: Image.Image, _: tuple[int, int]) -> tuple[Mask, int]:
            words = form.tokens(mask)
            return form.draw("".join(words), picture), len(words)

        return there_and_back

    def polygon_text(mask: Mask, picture: Image.Image, _: tuple[int, int]) -> tuple[Mask, int]:
        size_hw, polygons = mask.shape, outer_polygons(mask)
        drawn = fill_polygons([to_pixels(polygon, size_hw) for polygon in polygons], size_hw)
        return drawn, len(processor.encode_plain(write_polygons(polygons)))

    def patch_text(mask: Mask, picture: Image.Image, _: tuple[int, int]) -> tuple[Mask, int]:
        patches = patches_of(mask)
        return draw_patches(patches, picture, grabcut), len(processor.encode_plain(write_patches(patches, "object")))

    return {
        "stamp": all_mask,
        "embedding": embedding,
        "polygon": tokens(PolygonTokens()),
        "patch_text": tokens(PatchTokens(grabcut)),
        "polygon, plain text": polygon_text,
        "patch_text, plain text": patch_text,
    }


def study_formats(samples: Sequence[MaskSample], processor: StampProcessor) -> Iterator[dict[str, Any]]:
    """For each right mask that is not empty and each form: split, picture, sample, IoU and tokens."""
    for sample in samples:
        if not (truth := sample.truth().mask).any():
            continue
        picture = sample.load_image()
        _, grid_thw = processor.encode_image(picture)
        grid_hw = int(grid_thw[0, 1]), int(grid_thw[0, 2])
        for name, form in forms(processor).items():
            drawn, tokens = form(truth, picture, grid_hw)
            about = {"split": sample.split, "picture": sample.image.name, "sample": sample.id, "form": name}
            yield about | {"iou": round(intersection_over_union(drawn, truth), 4), "tokens": tokens}


def write_formats(rows: Sequence[dict[str, Any]], provenance: dict[str, Any], folder: Path) -> str:
    """Write `formats.jsonl` and `formats.json` (means with intervals) into a folder; returns the table."""
    scores = {}
    for name in dict.fromkeys(row["form"] for row in rows):
        own = [row for row in rows if row["form"] == name]
        found = bootstrap({"iou": mean([row["iou"] for row in own])}, [row["picture"] for row in own])["iou"]
        tokens = float(np.mean([row["tokens"] for row in own]))
        scores[name] = {"iou": found.value, "low": found.low, "high": found.high, "n": found.n, "tokens": tokens}
    record = {"provenance": provenance, "scores": scores}
    folder.mkdir(parents=True, exist_ok=True)
    write_results(rows, ROWS_FILE, record, RECORD_FILE, folder)
    return formats_table(record)


def formats_table(record: dict[str, Any]) -> str:
    """Markdown: one line per form."""
    lines = ["| form | mean IoU at best | tokens a mask |", "|---|---|---:|"]
    for name, score in record["scores"].items():
        lines.append(
            f"| {name} | {score['iou']:.3f} [{score['low']:.3f}, {score['high']:.3f}] | {score['tokens']:.1f} |"
        )
    return "\n".join(lines)
