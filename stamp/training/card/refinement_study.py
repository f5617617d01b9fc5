"""Which enlargement of the logits gives the best masks: nearest as released, bicubic, or two along image edges?

Unseen scenes and two inputs: "oracle", the exact coverage of the true mask on the model's grid as logits, which is the
best a grid can do, and "model", the predictor's logits for "segment the NOUN". Every enlargement gets the same logits.
An answer without exactly one mask scores 0 for each. Raw rows first, scores from the rows.
"""

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from stamp.checkpoints.load_options import LoadOptions
from stamp.pictures.masks import Mask, coverage_grid, intersection_over_union
from stamp.predictor import StampPredictor
from stamp.refinement.grabcut import SURE_LOGIT, GrabCutRefiner
from stamp.refinement.guided import GUIDED_EPS, GuidedRefiner
from stamp.refinement.refiner import BicubicRefiner, Refiner, refine_masks
from stamp.training.card.evaluate import Row, noun_request, provenance_of_study, scores, validation_scenes
from stamp.training.card.study import write_results
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.groups import Lexicon
from stamp.training.scenes.scenes import Scene

#: Oracle coverage is clipped to eps .. 1 - eps; this mild clip suits bicubic better than a hard one.
COVERAGE_EPS = 0.01
ROWS_FILE, RECORD_FILE = "refinement.jsonl", "refinement.json"


class NearestRefiner:
    """The released enlargement: each cell becomes a rectangle."""

    name = "nearest"

    def __call__(self, logits: Tensor, image: Image.Image) -> Iterator[Tensor]:
        """See Refiner."""
        for plane in logits:
            yield functional.interpolate(plane[None, None], (image.height, image.width), mode="nearest")[0, 0]


STUDIED: dict[str, Refiner] = {
    "nearest": NearestRefiner(),
    "bicubic": BicubicRefiner(),
    "guided": GuidedRefiner(),
    "grabcut": GrabCutRefiner(),
}


def coverage_logits(mask: Mask, grid_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Logit of the share of each cell that a boolean (h, w) mask covers: (gh, gw)."""
    share = coverage_grid(mask, grid_hw).clip(COVERAGE_EPS, 1 - COVERAGE_EPS)
    logits: NDArray[np.float32] = np.log(share / (1 - share))
    return logits


def study_scene(predictor: StampPredictor, scene: Scene, lexicon: Lexicon) -> Iterator[Row]:
    """Both inputs with all enlargements, for the one noun that `evaluate` asks for; kind: "oracle nearest" ..."""
    picture = Image.fromarray(scene.image)
    image = predictor.encode_image(picture)
    exchange = noun_request(scene, Random(scene.seed), lexicon)
    if exchange is None:
        return
    result = predictor.segment(image, exchange.question)
    truth = np.isin(scene.labels, exchange.targets[0])
    inputs = {"oracle": ([coverage_logits(truth, image.grid_hw)], ""), "model": (result.mask_logits, result.response)}
    for source, (grids, answer) in inputs.items():
        for refiner, enlarge in STUDIED.items():
            iou = 0.0
            if len(grids) == 1:
                masks, _ = refine_masks(np.stack(grids), picture, enlarge)
                iou = intersection_over_union(masks[0], truth)
            yield Row(
                scene.seed, scene.background, f"{source} {refiner}", exchange.question, exchange.answer, answer, iou
            )


def study_checkpoint(model: Path, art: ArtLibrary, n_scenes: int, device: str, out: Path) -> str:
    """Compare the enlargements with a checkpoint's logits, write rows and scores into `out`, and return the table."""
    predictor = StampPredictor.load(LoadOptions(model, device=device))
    rows = study(predictor, art, n_scenes)
    out.mkdir(parents=True, exist_ok=True)
    return write_study(rows, provenance_of_study(predictor, art, n_scenes), out)


def study(predictor: StampPredictor, art: ArtLibrary, n_scenes: int) -> list[Row]:
    """Rows of the first `n_scenes` validation scenes, in the sizes of the evaluation."""
    lexicon = Lexicon.of(art.nouns)
    scenes = tqdm(validation_scenes(art, n_scenes), total=n_scenes, desc="refinement", unit="scene")
    return [row for scene in scenes for row in study_scene(predictor, scene, lexicon)]


def study_scores(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Mean IoU, 95 % bootstrap interval and n of each kind, and of the paired differences to bicubic."""
    return scores([*rows, *_differences(rows)])


def _differences(rows: Sequence[Row]) -> Iterator[Row]:
    by_kind = {(row.seed, row.kind): row for row in rows}
    for (seed, kind), row in by_kind.items():
        source, refiner = kind.split()
        if refiner not in ("nearest", "bicubic"):
            bicubic = by_kind[seed, f"{source} bicubic"]
            yield replace(row, kind=f"{kind} - bicubic", score=row.score - bicubic.score)


def write_study(rows: Sequence[Row], provenance: dict[str, Any], folder: Path) -> str:
    """Write ROWS_FILE and RECORD_FILE (provenance, scores) into a folder; returns a table."""
    figures = study_scores(rows)
    settings: dict[str, Any] = {
        "coverage_eps": COVERAGE_EPS,
        "guided_eps": GUIDED_EPS,
        "grabcut_sure_logit": SURE_LOGIT,
    }
    settings |= {library: importlib.metadata.version(library) for library in ("kornia", "opencv-python-headless")}
    summary = {"provenance": provenance | settings, "scores": figures}
    write_results([asdict(row) for row in rows], ROWS_FILE, summary, RECORD_FILE, folder)
    return study_table(figures)


def study_table(figures: dict[str, dict[str, float]]) -> str:
    """Markdown rows of mean, interval and n."""
    lines = ["| input and enlargement | mean IoU | 95 % interval | n |", "|---|---|---|---|"]
    for kind, value in figures.items():
        interval = f"{value['low']:.3f} to {value['high']:.3f}"
        lines.append(f"| {kind} | {value['mean']:.3f} | {interval} | {value['n']:.0f} |")
    return "\n".join(lines)
