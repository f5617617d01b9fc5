"""The curves of a model card: of training, drawn from the run's log, and of confidence."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Panels: title, and the logged figures in it.
PANELS = {
    "losses": ("text", "mask", "dense", "inside"),
    "share of object cells named right": ("cells",),
    "mask IoU on the grid": ("iou",),
}
COLOUR = "#777777"  # axes and words: legible on light and dark pages


def draw_curves(log: Sequence[dict[str, Any]], out: Path) -> None:
    """An SVG of each figure over the minutes of training, with a line where a stage begins. log: rows of log.jsonl."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    minutes = elapsed_minutes(log)
    starts = [i for i, row in enumerate(log) if i == 0 or row["stage"] != log[i - 1]["stage"]]
    for axes, (title, names) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        axes.set_title(title, color=COLOUR)
        axes.set_xlabel("minutes of training", color=COLOUR)
        for name in names:
            points = [(minute, row[name]) for minute, row in zip(minutes, log, strict=True) if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
        for start in starts:
            axes.axvline(minutes[start], color=COLOUR, linewidth=0.5, linestyle=":")
        if len(names) > 1 and len(axes.get_lines()) > len(starts):
            axes.set_yscale("log")
            axes.legend(frameon=False, labelcolor=COLOUR)
    _save(figure, out)


def draw_confidence(record: dict[str, Any], out: Path) -> None:
    """An SVG of how often answers of each confidence are right. record: of `confidence.json`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    x, y, low, high = ([point[key] for point in record["points"]] for key in ("confidence", "right", "low", "high"))
    axes.vlines(x, low, high, color=COLOUR, linewidth=1)
    axes.plot(x, y, "o-", linewidth=1.2, markersize=4)
    axes.axvline(record["unsure_below"], color=COLOUR, linewidth=0.8, linestyle=":")
    axes.annotate(
        "not sure", (record["unsure_below"], 0.02), (-4, 0), textcoords="offset points", ha="right", color=COLOUR
    )
    axes.set_xlabel("confidence of a mask", color=COLOUR)
    axes.set_ylabel(f"share with IoU of {record['right_iou']} or more", color=COLOUR)
    axes.set_ylim(0, 1)
    _save(figure, out)


def _save(figure: "Figure", out: Path) -> None:
    """Write an SVG without a background."""
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        axes.patch.set_alpha(0)
        axes.tick_params(colors=COLOUR)
        for spine in axes.spines.values():
            spine.set_color(COLOUR)
    figure.savefig(out, metadata={"Date": None})


def elapsed_minutes(log: Sequence[dict[str, Any]]) -> list[float]:
    """Minutes of training up to each row. A run that started from another's weights continues its count."""
    minutes, before, last = [], 0.0, 0.0
    for row in log:
        if row["seconds"] < last:
            before += last
        last = row["seconds"]
        minutes.append((before + last) / 60)
    return minutes
