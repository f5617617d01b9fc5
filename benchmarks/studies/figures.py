"""All figures of the nano's model card, measured again, and the card itself: what `python -m benchmarks figures` does.

Not the ablation, which trains: `python -m stamp.training ablation`.
"""

import argparse
import json
import shutil
from pathlib import Path

from benchmarks.datasets import open_dataset
from benchmarks.reporting.gallery import write_gallery
from benchmarks.reporting.report import REPORT_FILE
from benchmarks.run_command import add_run_options
from benchmarks.run_command import run as run_benchmark
from benchmarks.scoring.records import records_of
from benchmarks.studies.refusals import ask_unseen, refusals
from stamp.predictor import StampPredictor
from stamp.training import __main__ as training
from stamp.training.card.card import FIGURES_FILE, GALLERY_FILE, REFUSALS_FILE


def write_figures(model: Path, run: Path, art: Path, out: Path, studied_scenes: int, device: str) -> int:
    """Measure `model` on the shipped scenes, on unseen words and in the studies of precision and edges; write its card.

    run: folder of the training run. out: folder for the records, where a stopped run goes on. Files of the card go into
    `model`. Returns the status of the benchmark: not 0 when it was stopped or failed, and then no card is written.
    """
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    measured = ["--dataset", "scenes", "--methods", "stamp", "--no-memory", "--dtype", "float32"]
    status = run_benchmark(parser.parse_args([*measured, "--model", str(model), "--device", device, "--out", str(out)]))
    if status:
        return status
    write_gallery(out, None, "stamp", 1, model / GALLERY_FILE)
    shutil.copy(out / REPORT_FILE, model / FIGURES_FILE)
    predictor = StampPredictor.from_pretrained(model, device=device, dtype="float32")
    answers = list(ask_unseen(predictor, open_dataset("scenes", ("known",))))
    records, _ = records_of(out)
    (model / REFUSALS_FILE).write_text(json.dumps(refusals(answers, records), indent=1) + "\n")
    where = ["--model", str(model), "--art", str(art)]
    studied = [*where, "--device", device, "--scenes", str(studied_scenes)]
    training.main(["quantization", *studied])
    training.main(["refinement", *studied, "--out", str(model)])
    training.main(["card", *where, "--run", str(run)])
    return 0
