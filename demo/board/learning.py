"""How quickly each method learns: plots of the scores during training against the pictures seen, and a sentence."""

from collections.abc import Sequence

import plotly.graph_objects as go

from benchmarks.reporting.report_table import number
from benchmarks.scoring.curves import CurvePoint, Kind
from demo.board.names import method_name
from demo.board.paradigms import paradigm_of
from demo.board.plots import SYMBOLS, empty_figure, plain_figure
from demo.html import and_list, literal

HEIGHT = 300
BAND_OPACITY = 0.18
#: What the best one does at each kind of answer, what several do, and the score.
BEST: dict[Kind, tuple[str, str, str]] = {
    "mask": ("has the best masks", "have the best masks", "IoU {}"),
    "question": ("answers most questions right", "answer most questions right", "{}"),
}
#: What the axis of each kind of answer shows.
AXES: dict[Kind, str] = {"mask": "mean IoU of masks", "question": "share of questions right"}


def learning_figure(points: Sequence[CurvePoint], kind: Kind) -> go.Figure:
    """Scores of one kind against pictures seen: a line with an interval band for each method."""
    own = [point for point in points if point.kind == kind]
    if not own:
        return empty_figure("No training recorded this.", HEIGHT)
    figure = plain_figure(HEIGHT)
    methods = list(dict.fromkeys(point.method for point in points))  # of both kinds: the same symbols
    for index, method in enumerate(methods):
        line = [point for point in own if point.method == method]
        if not line:
            continue
        colour = paradigm_of(method).colour
        figure.add_trace(_band(line, colour))
        figure.add_scatter(
            x=[point.pictures for point in line], y=[point.score.value for point in line], mode="lines+markers",
            name=method_name(method), legendgroup=method, line={"color": colour, "width": 2},
            marker={"symbol": SYMBOLS[index % len(SYMBOLS)], "color": colour, "size": 8},
            customdata=[_hover(point) for point in line],
            hovertemplate="%{x} pictures: %{customdata}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="pictures seen", rangemode="tozero")
    return figure.update_yaxes(title=AXES[kind], range=[-0.02, 1.02])


def _band(line: Sequence[CurvePoint], colour: str) -> go.Scatter:
    """Out along the upper bounds and back along the lower ones; points without bounds have none."""
    known = [
        (point.pictures, point.score.low, point.score.high)
        for point in line
        if point.score.low is not None and point.score.high is not None
    ]
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return go.Scatter(
        x=[x for x, _, _ in known] + [x for x, _, _ in reversed(known)],
        y=[high for _, _, high in known] + [low for _, low, _ in reversed(known)],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=f"rgba({red}, {green}, {blue}, {BAND_OPACITY})",
        legendgroup=line[0].method,
        showlegend=False,
        hoverinfo="skip",
    )


def _hover(point: CurvePoint) -> str:
    score = point.score
    bounds = "" if score.low is None or score.high is None else f", {score.low:.3f} to {score.high:.3f}"
    return f"{score.value:.3f}{bounds} (n {score.n})"


def learning_words(points: Sequence[CurvePoint]) -> str:
    """HTML: heading, sentence, and how to read the plots. Empty without points."""
    if not points:
        return ""
    counts = sorted({point.score.n for point in points})
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f'<h2>How quickly each method learns</h2><p class="takeaway">{literal(takeaway(points))}</p>'
        '<p class="muted legend">Scores on unseen scenes during training. '
        f"Bands: 95% intervals over scenes. {span} answers per point.</p>"
    )


def takeaway(points: Sequence[CurvePoint]) -> str:
    """The best of each kind, or all that tie, after the most pictures that all its methods have seen."""
    found = []
    for kind, (does, do, score) in BEST.items():
        own = [point for point in points if point.kind == kind]
        seen = [{point.pictures for point in own if point.method == one.method} for one in own]
        if own and (shared := set.intersection(*seen)):
            last = [point for point in own if point.pictures == max(shared)]
            highest = max(point.score.value or 0.0 for point in last)
            best = [method_name(point.method) for point in last if (point.score.value or 0.0) == highest]
            said = f"{and_list(best)} {does if len(best) == 1 else do} ({score.format(number(highest))})"
            if len(last) == 1:
                said = f"{best[0]}: {AXES[kind]} {number(highest)}"
            found.append(f"After {max(shared)} pictures, {said}.")
    return " ".join(found) or "The methods were not measured after the same number of pictures."
