"""Measures all figures of the nano's model card again and writes the card: `python -m benchmarks figures`.

It leaves out the ablation, which needs training: `python -m stamp.training ablation`.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.checkpoints import MethodOptions
from benchmarks.datasets import open_dataset
from benchmarks.datasets.photographs import MIN_AREA_SHARE
from benchmarks.datasets.scenes import SCENES_FILE
from benchmarks.reporting.gallery import write_gallery
from benchmarks.reporting.report import REPORT_FILE, group
from benchmarks.run_command import RunOptions
from benchmarks.run_command import run as run_benchmark
from benchmarks.scoring.metrics import Convention
from benchmarks.scoring.records import Record, records_of
from benchmarks.scoring.scores import scores_of
from benchmarks.studies.confidence import calibrate
from benchmarks.studies.refusals import ask_unseen, refusals
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.sources import CONFIDENCE_FILE, PHOTO_FIGURES_FILE
from stamp.predictor import StampPredictor
from stamp.training.card import quantization_study, refinement_study
from stamp.training.card.card import FIGURES_FILE, GALLERY_FILE, write_card
from stamp.training.card.scene_set import write_cutout_set
from stamp.training.card.sections import CUTOUTS_FILE, REFUSALS_FILE
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns

#: Subfolders for the records of photographs and of things cut out of them, and for the scenes with these things.
PHOTOS_FOLDER, CUTOUTS_FOLDER, CUTOUT_SET = "photos", "cutouts", "cutout-scenes"
CUTOUT_SCENES = 110
#: Splits with pictures in styles that training never saw.
UNSEEN_SPLITS = ("style", "background")
#: Scores of photographs by source.
SHOWN = ("target gIoU", "P@0.5")


def write_figures(
    model: Path, run: Path, art: Path, photos: Path | None, out: Path, studied_scenes: int, device: str
) -> int:
    """Measure `model` on the shipped scenes, photographs, unseen words and the card's studies, and write the card.

    run: folder of the training run. photos: folder of photographs with masks; None leaves the card's figures for
    photographs unchanged. out: folder for the records; a stopped run is resumed there. The card's files go into
    `model`. Returns the benchmark's exit status; if it is not 0 (stopped or failed), no card is written.
    """
    library = ArtLibrary(art, TRAINING_STYLES, taught_nouns())  # refused before anything is measured
    load = LoadOptions(model, device=device, dtype="float32")
    options = RunOptions("scenes", out, methods=("stamp",), memory=False, loading=MethodOptions(load))
    status = run_benchmark(options)
    if photos is not None and not status:
        photographed = replace(options, dataset="photos", root=photos, out=out / PHOTOS_FOLDER)
        status = run_benchmark(photographed) or _measure_cutouts(options, art, photos)
    if status:
        return status
    write_gallery(out, None, "stamp", 1, model / GALLERY_FILE)
    shutil.copy(out / REPORT_FILE, model / FIGURES_FILE)
    records, _ = records_of(out)
    if photos is not None:
        report = json.loads((out / PHOTOS_FOLDER / REPORT_FILE).read_text())
        photographed_records, _ = records_of(out / PHOTOS_FOLDER)
        sources = scores_by_source(photographed_records)
        unseen = [*photographed_records, *(one for one in records if one.split in UNSEEN_SPLITS)]
        (model / CONFIDENCE_FILE).write_text(json.dumps(calibrate(unseen), indent=1) + "\n")
        figures = report | {"min_area_share": MIN_AREA_SHARE, "sources": sources}
        (model / PHOTO_FIGURES_FILE).write_text(json.dumps(figures, indent=1) + "\n")
        (model / CUTOUTS_FILE).unlink(missing_ok=True)
        if (measured := out / CUTOUTS_FOLDER / REPORT_FILE).exists():
            shutil.copy(measured, model / CUTOUTS_FILE)
    predictor = StampPredictor.load(load)
    answers = list(ask_unseen(predictor, open_dataset("scenes", ("known",))))
    (model / REFUSALS_FILE).write_text(json.dumps(refusals(answers, records), indent=1) + "\n")
    print(quantization_study.study_checkpoint(model, library, studied_scenes, device))
    print(refinement_study.study_checkpoint(model, library, studied_scenes, device, out=model))
    write_card(run, model)
    return 0


def _measure_cutouts(options: RunOptions, art: Path, photos: Path) -> int:
    """Compose scenes of things cut out of held-out photographs, unless they are there, and measure on them.

    Too few things for a scene are no error: the card then has no table of them.
    """
    scenes = options.out / CUTOUT_SET
    if not (scenes / SCENES_FILE).exists():
        try:
            write_cutout_set(art, photos, CUTOUT_SCENES, scenes)
        except ValueError as error:
            print(f"left out: things cut out of photographs. {error}", file=sys.stderr)
            return 0
    return run_benchmark(replace(options, dataset="cutouts", root=scenes, out=options.out / CUTOUTS_FOLDER))


def scores_by_source(records: Sequence[Record]) -> dict[str, Any]:
    """Mask scores for things that are there, per folder of photographs, which is the first part of a sample's name."""
    asked = [record for record in records if record.no_target is False]
    sources = group(asked, lambda record: record.sample.partition("/")[0])
    return {
        source: {name: asdict(score) for name, score in scores_of(own, Convention()).items() if score and name in SHOWN}
        for source, own in sorted(sources.items())
    }
