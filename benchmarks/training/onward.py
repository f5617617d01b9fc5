"""A training that goes on: each method from its own checkpoint, on pictures that it has not seen yet.

Its folder keeps the records of the first training: the sweep, now with the pictures seen before, and the curve.
"""

import json
import shutil
from pathlib import Path

from benchmarks.budget import SEEN_BEFORE, SWEEP_FILE
from benchmarks.scoring.curves import CURVE_FILE
from benchmarks.training.recipe import TrainingPlan, best_rate

#: The rate of a training that goes on, relative to the best of the sweep. At the full rate the training losses rose at
#: first, and nine tenths of 1,000 steps went by before they were as low again; at a third, up to three quarters of 600.
RATE_SHARE = 1 / 6


def adopt_records(plan: TrainingPlan, out: Path) -> dict[str, float]:
    """Copy each method's sweep and curve from its checkpoint into `out/METHOD`, once; returns the rates to go on at."""
    rates = {}
    for name in plan.methods:
        checkpoint, run = plan.start_of(name), out / name
        run.mkdir(parents=True, exist_ok=True)
        sweep = json.loads((checkpoint / SWEEP_FILE).read_text())
        if not (run / SWEEP_FILE).exists():
            shutil.copy(checkpoint / CURVE_FILE, run / CURVE_FILE)
            (run / SWEEP_FILE).write_text(json.dumps(sweep | {SEEN_BEFORE: plan.seen_before}, indent=1) + "\n")
        rates[name] = RATE_SHARE * best_rate(sweep["rows"])
    return rates
