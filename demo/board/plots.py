"""The plots of the tab: pure functions from labelled rows or samples to plotly figures.

Backgrounds are transparent and text is a grey that is readable on both, so light and dark pages share one figure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from demo.board.names import phase_name
from demo.board.paradigms import paradigm_named
from demo.board.takeaways import relative_speed, score_of, token_line

GREY = "#7f8590"
GRID = "rgba(128, 134, 145, 0.22)"
HEIGHT = 360
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "hexagon", "cross", "triangle-down", "pentagon")
#: In chronological order; phases with other names follow.
PHASE_COLOURS = {
    "vision": "#8fb3ff", "prefill": "#4c78f0", "decode": "#e08a00", "mask": "#0a9b77", "refine": "#9ad8c4",
}  # fmt: skip
#: If a method has more points than this, they are thinned out evenly, because they would hide each other.
MAX_POINTS = 400
SMALLEST_PX, LARGEST_PX = 12, 44
#: Possible ticks of a logarithmic axis, the roundest first.
LOG_STEPS, FEWEST_MARKS = (1, 2, 5, 1.5, 3, 4, 7), 3


def empty_figure(sentence: str, height: int = HEIGHT) -> go.Figure:
    """A figure that says why there is nothing in it."""
    figure = plain_figure(height)
    figure.add_annotation(text=sentence, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return figure.update_xaxes(visible=False).update_yaxes(visible=False)


def plain_figure(height: int = HEIGHT, **layout: Any) -> go.Figure:
    """An empty figure in the page's style. layout: more of Plotly's layout."""
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    look: dict[str, Any] = {
        "template": go.layout.Template(),  # the default one is most of a figure's bytes
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 34, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": 12, "family": "system-ui, sans-serif"},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hoverlabel": {"align": "left"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "remove": ["lasso2d", "select2d"]},
        "xaxis": axis,
        "yaxis": axis,
    }
    return go.Figure(layout=look | layout)


def _plain(text: object) -> str:
    """Escape a name from a file, so that plotly shows its markup instead of applying it."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _symbols(labels: Sequence[str]) -> dict[str, str]:
    return {label: SYMBOLS[index % len(SYMBOLS)] for index, label in enumerate(dict.fromkeys(labels))}


# -- speed against accuracy --------------------------------------------------------------------------------------


def glance(rows: pd.DataFrame) -> go.Figure:
    """Speed against accuracy with the Pareto front; size is memory, colour the paradigm."""
    score = score_of(rows)
    known = rows.dropna(subset=[score, "median s"])
    if known.empty:
        return empty_figure("No row here has both a score and a time.")
    figure = plain_figure()
    front = pareto_front(known, score)
    if len(front) > 1:
        line = {"color": GREY, "dash": "dot", "width": 1.5}
        figure.add_scatter(
            x=front["median s"], y=front[score], mode="lines", line=line, name="Pareto front", hoverinfo="skip"
        )
    seen: set[str] = set()
    for (_, row), size in zip(known.iterrows(), _sizes_px(known["peak MB"]), strict=True):
        figure.add_trace(_bubble(row, score, size, is_first=row["paradigm"] not in seen))
        seen.add(row["paradigm"])
    figure.update_xaxes(type="log", title="median seconds per answer", **_ticks(known["median s"]))
    return figure.update_yaxes(title=score, range=_range(known, score))


def pareto_front(rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """The rows that no other row beats in both speed and score, fastest first."""
    by_time = rows.sort_values(["median s", score], ascending=[True, False])
    return by_time[by_time[score] > by_time[score].cummax().shift(fill_value=-np.inf)]


def _bubble(row: "pd.Series[Any]", score: str, size_px: float, *, is_first: bool) -> go.Scatter:
    paradigm = paradigm_named(row["paradigm"])
    memory = "memory not measured" if pd.isna(row["peak MB"]) else f"peak memory {row['peak MB']:.0f} MB"
    bounds = [row[f"{score} high"] - row[score], row[score] - row[f"{score} low"]]
    return go.Scatter(
        x=[row["median s"]],
        y=[row[score]],
        error_y={"array": bounds[:1], "arrayminus": bounds[1:], "thickness": 1.2, "width": 4, "color": paradigm.colour},
        mode="markers+text",
        text=[_plain(row["label"])],
        textposition="middle right",  # methods that are equally fast stand one above the other
        cliponaxis=False,
        marker={"size": size_px, "color": paradigm.colour, "opacity": 0.85, "line": {"width": 1, "color": "white"}},
        name=paradigm.name,
        legendgroup=paradigm.name,
        showlegend=is_first,
        hovertemplate=f"{_plain(row['label'])}<br>{score} %{{y:.3f}}<br>%{{x:.3g}} s<br>{memory}<extra></extra>",
    )


def _sizes_px(memory: "pd.Series[float]") -> list[float]:
    """Diameters; the areas are proportional to memory. One size for all if memory is unknown."""
    known = memory.astype(float)
    if known.isna().all():
        return [16.0] * len(known)
    shares = np.sqrt(known / known.max()).fillna(0.0)
    return [max(SMALLEST_PX, LARGEST_PX * share) for share in shares]


def _ticks(values: "pd.Series[float]") -> dict[str, Any]:
    """A few round tick values for an axis, with their labels, and a range with some margin, on the right for names."""
    low, high = values.min() / 1.4, values.max() * 2.4
    for steps in (LOG_STEPS[:1], LOG_STEPS[:3], LOG_STEPS):
        marks = sorted(step * 10.0**power for power in range(-5, 5) for step in steps)
        marks = [mark for mark in marks if low <= mark <= high]
        if len(marks) >= FEWEST_MARKS:
            break
    return {"tickvals": marks, "ticktext": [f"{mark:g}" for mark in marks], "range": [np.log10(low), np.log10(high)]}


def _range(rows: pd.DataFrame, score: str) -> list[float]:
    low = rows[f"{score} low"].fillna(rows[score]).min()
    high = rows[f"{score} high"].fillna(rows[score]).max()
    return [max(-0.08, low - 0.1), min(1.2, high + 0.2)]


# -- the trilemma --------------------------------------------------------------------------------------------------


def trilemma(rows: pd.DataFrame) -> go.Figure:
    """A triangle for each row: dialogue, accuracy, and speed relative to the fastest row."""
    known = rows.dropna(subset=["gIoU", "dialogue", "median s"])
    if known.empty:
        return empty_figure("Dialogue, accuracy and speed<br>are not known together here.")
    figure = plain_figure()
    corners = ["dialogue", "accuracy", "speed"]
    symbols = _symbols(list(known["label"]))
    dashes = ("solid", "dash", "dot", "dashdot", "longdash")
    for index, ((_, row), speed) in enumerate(zip(known.iterrows(), relative_speed(known), strict=True)):
        values = [row["dialogue"], row["gIoU"], speed]
        colour = paradigm_named(row["paradigm"]).colour
        figure.add_scatterpolar(
            r=[*values, values[0]],
            theta=[*corners, corners[0]],
            name=_plain(row["label"]),
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": dashes[index % len(dashes)]},
            marker={"symbol": symbols[row["label"]], "size": 8},
            hovertemplate="%{theta} %{r:.2f}<extra>%{fullData.name}</extra>",
        )
    axis = {"gridcolor": GRID, "linecolor": GRID}
    radial = {"range": [0, 1], "tickvals": [0.25, 0.5, 0.75, 1], "tickfont": {"size": 10}, "angle": 90, "tickangle": 90}
    angular = {"rotation": 90, "direction": "clockwise", "tickfont": {"size": 13}}
    polar = {
        "bgcolor": "rgba(0,0,0,0)",
        "gridshape": "linear",
        "radialaxis": axis | radial,
        "angularaxis": axis | angular,
    }
    return figure.update_layout(polar=polar, margin={"l": 50, "r": 50, "t": 56, "b": 10}, legend={"y": 1.1})


# -- where the time goes ---------------------------------------------------------------------------------------------


def phases(rows: pd.DataFrame) -> go.Figure:
    """Median seconds by phase as stacked bars. Medians of parts need not add up to the median of the whole."""
    known = rows[[bool(one) for one in rows["phases"]]]
    if known.empty:
        return empty_figure("No phases were recorded.")
    names = list(dict.fromkeys([*PHASE_COLOURS, *(name for one in known["phases"] for name in one)]))
    figure = plain_figure(_bars_height(len(known)), barmode="stack")
    for name in names:
        values = [one.get(name) for one in known["phases"]]
        if not any(values):
            continue
        colour = PHASE_COLOURS.get(name, GREY)
        figure.add_bar(
            x=values, y=[_plain(label) for label in known["label"]], orientation="h", name=_plain(phase_name(name)),
            marker={"color": colour}, hovertemplate="%{fullData.name} %{x:.3g} s<extra>%{y}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="median seconds")
    return figure.update_yaxes(autorange="reversed").update_layout(legend={"traceorder": "normal"})


def _bars_height(bars: int) -> int:
    return min(900, max(260, 130 + 42 * bars))


# -- samples -----------------------------------------------------------------------------------------------------------


def iou_spread(samples: pd.DataFrame) -> go.Figure:
    """The IoU of every sample, as the outline of its distribution with the median and the mean."""
    if samples.empty:
        return empty_figure("These questions need no mask.")
    groups = list(samples.groupby("label", sort=False))
    figure = plain_figure(_bars_height(len(groups)) + 40)
    for label, own in groups:
        figure.add_violin(
            x=own["iou"], name=_plain(label), orientation="h", side="negative", span=[0, 1], spanmode="manual",
            bandwidth=0.05, width=1.7, points=False, meanline={"visible": True}, line={"width": 1.5},
            line_color=paradigm_named(own["paradigm"].iloc[0]).colour, showlegend=False,
            hoverinfo="x+name",
        )  # fmt: skip
    figure.update_xaxes(title="IoU (dashed: mean)", range=[-0.02, 1.02])
    return figure.update_yaxes(autorange="reversed")


def tokens(samples: pd.DataFrame) -> go.Figure:
    """Tokens of an answer against its seconds, with a line for each method: its slope is the price of a token."""
    known = samples.dropna(subset=["tokens", "total_s"])
    if known.empty:
        return empty_figure("These questions need no mask.")
    figure = plain_figure()
    symbols = _symbols(list(known["label"]))
    for label, own in known.groupby("label", sort=False):
        colour = paradigm_named(own["paradigm"].iloc[0]).colour
        shown = own.iloc[np.linspace(0, len(own) - 1, min(len(own), MAX_POINTS)).astype(int)]
        figure.add_scatter(
            x=shown["tokens"], y=shown["total_s"], mode="markers", name=_plain(label), legendgroup=str(label),
            marker={"symbol": symbols[label], "color": colour, "size": 7, "opacity": 0.6},
            hovertemplate="%{x} tokens, %{y:.3g} s<extra>%{fullData.name}</extra>",
        )  # fmt: skip
        if line := token_line(own):
            ends = np.array([own["tokens"].min(), own["tokens"].max()], dtype=float)
            figure.add_scatter(
                x=ends, y=line[0] * ends + line[1], mode="lines", line={"color": colour, "width": 2},
                legendgroup=str(label), showlegend=False, hoverinfo="skip",
            )  # fmt: skip
    figure.update_xaxes(title="tokens per answer", rangemode="tozero")
    return figure.update_yaxes(title="seconds", rangemode="tozero")
