"""One sentence for each plot, computed from the rows that it shows."""

import numpy as np
import pandas as pd

from demo.board.filters import mixture

NOTHING = "There is nothing to show for these filters."
SEVERAL = "Several workloads are shown side by side; choose one dataset and split for a verdict."
#: A line through fewer samples than this, or over fewer tokens, says nothing.
LEAST_SAMPLES, LEAST_TOKENS = 8, 4
#: A mask of a lower IoU than this is of something else.
MISSED = 0.1


def seconds(value: float) -> str:
    """ "78 ms", "1.4 s"."""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.3g} s"


def score_of(rows: pd.DataFrame) -> str:
    """The score that these rows have: of masks, or where none was asked for, of answers in words."""
    return "gIoU" if rows["gIoU"].notna().any() or rows["dialogue"].isna().all() else "dialogue"


def verdict(rows: pd.DataFrame) -> str:
    """Who is fast, who is accurate, and whether the samples can tell. Takes labelled rows."""
    score = score_of(rows)
    known = rows.dropna(subset=[score, "median s"])
    if known.empty:
        return NOTHING
    if mixture(rows):
        return SEVERAL
    fastest, best = known.loc[known["median s"].idxmin()], known.loc[known[score].idxmax()]
    if len(known) == 1:
        return f"{best['label']}: {score} {best[score]:.2f} in {seconds(best['median s'])} (median of {best['n']:.0f})."
    said = f"{fastest['label']} is the fastest ({seconds(fastest['median s'])}); "
    others = known[(known[score + " high"] >= best[score + " low"]) & (known["label"] != best["label"])]
    if others.empty:
        return said + f"{best['label']} has the highest {score}, {best[score]:.2f}."
    close = _and(list(others["label"]))
    return (
        said + f"{best['label']} has the highest {score}, {best[score]:.2f}, but its interval overlaps that of {close}."
    )


def balance(rows: pd.DataFrame) -> str:
    """Which methods come near the best in all three at once."""
    known = rows.dropna(subset=["gIoU", "dialogue", "median s"])
    if known.empty:
        return "Dialogue, accuracy and speed together are not known for any of these rows."
    if mixture(rows):
        return SEVERAL
    least = pd.concat([known[["gIoU", "dialogue"]] / known[["gIoU", "dialogue"]].max(), relative_speed(known)], axis=1)
    worst = least.min(axis=1)
    best = worst.idxmax()
    weakest = {"gIoU": "accuracy", "dialogue": "dialogue", "speed": "speed"}[str(least.loc[best].idxmin())]
    if len(known) == 1:
        return f"Only {known.loc[best, 'label']} is shown: there is nothing to weigh it against."
    if worst[best] > 0.999:
        return f"{known.loc[best, 'label']} is the best in all three."
    return f"{known.loc[best, 'label']} gives up least: {worst[best]:.0%} of the best in its weakest point, {weakest}."


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
    said = f"{label} spends {share:.0%} of its time in {name}"
    return f"{said}." if len(parts) == 1 else f"{said}; in {other} the longest phase, {its}, takes {less:.0%}."


def spread(samples: pd.DataFrame) -> str:
    """How masks fail: all of them a little, or some of them wholly. Takes labelled samples with a mask."""
    if samples.empty:
        return "No masks were asked for here."
    missed = samples.groupby("label", sort=False)["iou"].agg(lambda ious: float((ious < MISSED).mean()))
    least, most = missed.idxmin(), missed.idxmax()
    if missed[most] == missed[least]:
        return f"{missed[most]:.0%} of the masks miss altogether (IoU below {MISSED})."
    return (
        f"{most} misses altogether (IoU below {MISSED}) in {missed[most]:.0%} of cases, {least} in {missed[least]:.0%}."
    )


def token_line(samples: pd.DataFrame) -> tuple[float, float] | None:
    """(seconds of each further token, seconds at none): least squares; None where tokens hardly differ."""
    tokens, total_s = samples["tokens"].to_numpy(float), samples["total_s"].to_numpy(float)
    if len(tokens) < LEAST_SAMPLES or np.ptp(tokens) < LEAST_TOKENS:
        return None
    slope, start = np.polyfit(tokens, total_s, 1)
    return float(slope), float(start)


def token_cost(samples: pd.DataFrame) -> str:
    """What a further token costs, and how many tokens an answer takes. Takes labelled requests for masks."""
    if samples.empty:
        return "No masks were asked for here."
    groups = dict(list(samples.groupby("label", sort=False)))
    lengths = {label: float(own["tokens"].median()) for label, own in groups.items()}
    least, most = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
    said = f"An answer with its masks takes {lengths[least]:.0f} tokens"
    if lengths[most] > lengths[least]:
        said = f"{most} writes {lengths[most]:.0f} tokens for an answer with its masks, {least} {lengths[least]:.0f}"
    slopes = {label: line[0] for label, own in groups.items() if (line := token_line(own))}
    if not slopes:
        return f"{said}."
    low, high = min(slopes, key=slopes.__getitem__), max(slopes, key=slopes.__getitem__)
    if low == high:
        return f"{said}; each further token goes with {seconds(slopes[low])} more."
    return (
        f"{said}; each further token goes with {seconds(slopes[low])} more ({low}) to {seconds(slopes[high])} ({high})."
    )


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
