"""One sentence for each plot, computed from the rows that it shows."""

import numpy as np
import pandas as pd

from benchmarks.scoring.pairs import Pairs
from demo.board.filters import mixture
from demo.board.names import phase_name
from demo.board.pairing import equal_to, tied_with
from demo.html import and_list

NOTHING = "There is nothing to show for these filters."
SEVERAL = "These rows come from several datasets or splits. Choose one of each for a verdict."
#: A line through fewer samples than this, or over a smaller range of tokens, means nothing.
LEAST_SAMPLES, LEAST_TOKENS = 8, 4
#: A mask with a lower IoU than this shows something else.
MISSED = 0.1


def seconds(value: float) -> str:
    """ "78 ms", "1.4 s"."""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.3g} s"


def score_of(rows: pd.DataFrame) -> str:
    """The score that these rows have: of masks, or where none was asked for, of answers in words."""
    return "gIoU" if rows["gIoU"].notna().any() or rows["dialogue"].isna().all() else "dialogue"


def of_masks(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without the seconds and tokens of answers in words, where only those were asked."""
    return rows.assign(**{name: rows[name].where(rows["n"] > 0) for name in ("median s", "tokens")})


def verdict(rows: pd.DataFrame, pairs: Pairs) -> str:
    """The fastest and the most accurate method, and whether the difference is significant. Takes labelled rows."""
    score = score_of(rows)
    known = rows.dropna(subset=[score])
    if is_timed := bool(known["median s"].notna().any()):  # not where seconds do not count
        known = known.dropna(subset=["median s"])
    if known.empty:
        return NOTHING
    if mixture(rows):
        return SEVERAL
    best = known.loc[known[score].idxmax()]
    if len(known) == 1:
        n = best["n"] or best["questions"]
        time = f" in {seconds(best['median s'])} (median of {n:.0f})" if is_timed else ""
        return f"{best['label']}: {score} {best[score]:.2f}{time}."
    sentence = ""
    if is_timed:
        fastest = known.loc[known["median s"].idxmin()]
        sentence = f"{fastest['label']} is the fastest ({seconds(fastest['median s'])}). "
    equal = equal_to(known, score, best[score])
    sentence += f"{and_list(equal)} {'has' if len(equal) == 1 else 'have'} the highest {score}, {best[score]:.2f}"
    if len(equal) > 1:
        return f"{sentence}."
    tied = tied_with(pairs, score, str(best["label"]), list(known["label"]))
    return f"{sentence}, but it is not significantly better than {and_list(tied)}." if tied else f"{sentence}."


def balance(rows: pd.DataFrame) -> str:
    """The method that is closest to the best in dialogue, accuracy and speed at once."""
    known = rows.dropna(subset=["gIoU", "dialogue", "median s"])
    if known.empty:
        return "No method here has figures for dialogue, accuracy and speed."
    if mixture(rows):
        return SEVERAL
    least = pd.concat([known[["gIoU", "dialogue"]] / known[["gIoU", "dialogue"]].max(), relative_speed(known)], axis=1)
    worst = least.min(axis=1)
    best = worst.idxmax()
    weakest = {"gIoU": "accuracy", "dialogue": "dialogue", "speed": "speed"}[str(least.loc[best].idxmin())]
    if len(known) == 1:
        return f"Only {known.loc[best, 'label']} is shown, so there is nothing to compare it with."
    if worst[best] > 0.999:
        return f"{known.loc[best, 'label']} is the best in all three."
    return f"Most balanced: {known.loc[best, 'label']}. Its weakest axis, {weakest}, is {worst[best]:.0%} of the best."


def relative_speed(rows: pd.DataFrame) -> pd.Series:
    """Seconds of the fastest row over those of each: 1 is the fastest, 0.5 takes twice as long."""
    return (rows["median s"].min() / rows["median s"]).rename("speed")


def longest_phase(rows: pd.DataFrame) -> str:
    """Where the time goes."""
    parts = []
    for _, row in rows.iterrows():
        phases = {name: value for name, value in row["phases"].items() if value}
        if phases:
            name = max(phases, key=lambda one: phases[one])
            parts.append((phases[name] / sum(phases.values()), row["label"], name))
    if not parts:
        return "No phases were recorded for these rows."
    share, label, name = max(parts)
    less, other, its = min(parts)
    longest = f"{label} spends {share:.0%} of its time on {phase_name(name)}."
    if len(parts) == 1:
        return longest
    return f"{longest} The longest phase of {other}, {phase_name(its)}, takes {less:.0%}."


def spread(samples: pd.DataFrame) -> str:
    """How masks fail: all of them a little, or some of them completely. Takes labelled samples with a mask."""
    if samples.empty:
        return "These questions need no mask."
    missed = samples.groupby("label", sort=False)["iou"].agg(lambda ious: float((ious < MISSED).mean()))
    least, most = missed.idxmin(), missed.idxmax()
    if missed[most] == missed[least]:
        return f"{missed[most]:.0%} of the masks miss completely (IoU below {MISSED})."
    return (
        f"{most} misses completely (IoU below {MISSED}) in {missed[most]:.0%} of requests, {least} in "
        f"{missed[least]:.0%}."
    )


def token_line(samples: pd.DataFrame) -> tuple[float, float] | None:
    """(seconds per extra token, seconds without any): least squares; None where tokens hardly differ."""
    tokens, total_s = samples["tokens"].to_numpy(float), samples["total_s"].to_numpy(float)
    if len(tokens) < LEAST_SAMPLES or np.ptp(tokens) < LEAST_TOKENS:
        return None
    slope, start = np.polyfit(tokens, total_s, 1)
    return float(slope), float(start)


def token_cost(samples: pd.DataFrame) -> str:
    """What an extra token costs, and how many tokens an answer takes. Takes labelled requests for masks."""
    if samples.empty:
        return "These questions need no mask."
    groups = dict(list(samples.groupby("label", sort=False)))
    lengths = {label: float(own["tokens"].median()) for label, own in groups.items()}
    least, most = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    sentence = f"An answer with masks takes {lengths[least]:.0f} tokens"
    if lengths[most] > lengths[least]:
        sentence = f"{most} writes {lengths[most]:.0f} tokens per answer with masks, {least} {lengths[least]:.0f}"
    slopes = {label: line[0] for label, own in groups.items() if (line := token_line(own))}
    if not slopes:
        return f"{sentence}."
    low, high = min(slopes, key=slopes.__getitem__), max(slopes, key=slopes.__getitem__)
    if low == high:
        return f"{sentence}. Each extra token adds {seconds(slopes[low])}."
    return f"{sentence}. Each extra token adds {seconds(slopes[low])} ({low}) to {seconds(slopes[high])} ({high})."
