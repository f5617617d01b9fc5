"""Figures from the literature, each with its source.

They are shown separately and never next to measured rows, because data, training and machines differ.
"""

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from demo.board.paradigms import ALL_MASK, PARADIGMS
from demo.board.plots import plain_figure
from demo.html import literal

PUBLISHED = Path(__file__).with_name("published.csv")
COLUMNS = ("benchmark", "method", "paradigm", "split", "metric", "value", "source", "url", "note")
#: What the plot shows: the figure that most methods have.
AVERAGE = "RefCOCO, +, g"
WARNING = (
    "Figures reported by others, on other machines and with different training and fine-tuning. This project measured "
    "none of them, so they cannot be compared with its own results."
)


def read_published(path: Path = PUBLISHED) -> pd.DataFrame:
    """The rows of the data file. Raises ValueError for other columns, or a row without a source."""
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    if tuple(table.columns) != COLUMNS:
        raise ValueError(f"{path.name} must have the columns {', '.join(COLUMNS)}, got {', '.join(table.columns)}")
    if (table["source"] == "").any():
        raise ValueError(f"{path.name}: every row needs a source")
    return table.assign(value=table["value"].astype(float))


def benchmarks_in(table: pd.DataFrame) -> list[str]:
    """Names of the benchmarks, in the order of the file, the averages first."""
    return [AVERAGE, *(name for name in dict.fromkeys(table["benchmark"]) if name != AVERAGE)]


def published_table(table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """Methods by split and metric, the source last; an empty cell is not published."""
    own = table[table["benchmark"] == benchmark]
    own = own.assign(column=(own["split"] + " " + own["metric"]).str.strip())
    keys = ["method", "paradigm", "source", "note"]
    wide = own.pivot(index=keys, columns="column", values="value").reindex(columns=list(dict.fromkeys(own["column"])))
    order = list(dict.fromkeys(own["method"]))
    wide = wide.reset_index().sort_values("method", key=lambda names: names.map(order.index))
    figures = wide.drop(columns=keys).map(lambda value: "" if pd.isna(value) else f"{value:g}")
    return pd.concat([wide[["method", "paradigm"]], figures, wide[["source", "note"]]], axis=1)


def published_figure(table: pd.DataFrame, benchmark: str) -> go.Figure:
    """The first split and metric of a benchmark as bars, the best on top; colour is the paradigm."""
    own = table[table["benchmark"] == benchmark]
    split, metric = own["split"].iloc[0], own["metric"].iloc[0]
    shown = own[(own["split"] == split) & (own["metric"] == metric)].sort_values("value")
    figure = plain_figure(max(240, 120 + 28 * len(shown)), barmode="overlay", bargap=0.35)
    for paradigm in PARADIGMS:
        part = shown[shown["paradigm"] == paradigm.name]
        if part.empty:
            continue
        figure.add_bar(
            x=part["value"], y=part["method"], orientation="h", name=paradigm.name, marker={"color": paradigm.colour},
            text=[f"{value:g}" for value in part["value"]], textposition="outside", cliponaxis=False,
            hovertemplate="%{y} %{x}<extra>published</extra>",
        )  # fmt: skip
    figure.update_yaxes(categoryorder="array", categoryarray=list(shown["method"]))
    return figure.update_xaxes(title=f"{benchmark} {split} {metric}, as published")


def sources_html(table: pd.DataFrame, benchmark: str) -> str:
    """Links to the sources of a benchmark's rows."""
    own = table[table["benchmark"] == benchmark].drop_duplicates(["source", "url"])
    links = (
        f'<a href="{url}" target="_blank" rel="noopener">{literal(source)}</a>'
        for source, url in zip(own["source"], own["url"], strict=True)
    )
    return f'<p class="muted">Sources: {"; ".join(links)}</p>'


def takeaway(table: pd.DataFrame, benchmark: str) -> str:
    """The best published row, whether it is STAMP's, and the best row of each other paradigm."""
    own = table[table["benchmark"] == benchmark]
    first = own[(own["split"] == own["split"].iloc[0]) & (own["metric"] == own["metric"].iloc[0])]
    low = benchmark.startswith("seconds")
    ranked = first.sort_values("value", ascending=low).drop_duplicates("paradigm")
    parts = [f"{row['method']} {row['value']:g} ({row['paradigm']})" for _, row in ranked.iterrows()]
    record = "" if ranked["paradigm"].iloc[0] == ALL_MASK.name else " STAMP does not hold the record."
    return f"Best published result of each paradigm: {'; '.join(parts)}.{record}"
