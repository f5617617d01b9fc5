"""The top of a view: three headline figures, and the probability that one method beats another."""

from html import escape
from typing import Any

import pandas as pd

from benchmarks.scoring.pairs import SECONDS, Pair, Pairs
from demo.board.filters import mixture
from demo.board.pairing import are_compared, best_of, equal_to, tied_with
from demo.board.ranking import ranked
from demo.board.takeaways import SEVERAL, of_masks, seconds
from demo.html import and_list

#: Column, title of its best row, and meaning of the figure.
HEADLINES = (
    ("gIoU", "Most accurate masks", "mean IoU (gIoU)"),
    (SECONDS, "Fastest masks", "median per request"),
    ("dialogue", "Best at questions", "of the questions answered right"),
)
#: The columns with a matrix, and their captions.
MATRICES = {"gIoU": "Masks (gIoU)", "dialogue": "Questions answered right"}
HOW_TO_READ = (
    "Each cell: the probability that the method in the row is better than the one in the column, and by how much. "
    "Computed from paired differences on the same samples (bootstrap over pictures)."
)


def headline_html(rows: pd.DataFrame, pairs: Pairs) -> str:
    """Up to three cards of labelled rows; a sentence where a verdict would compare different workloads."""
    if rows.empty:
        return ""
    if mixture(rows):
        return f'<p class="muted">{escape(SEVERAL)}</p>'
    rows = of_masks(rows)
    cards = [_card(rows, pairs, *one) for one in HEADLINES if rows[one[0]].notna().any()]
    return f'<div class="headlines">{"".join(cards)}</div>'


def _card(rows: pd.DataFrame, pairs: Pairs, score: str, title: str, unit: str) -> str:
    best = best_of(rows, score, lowest=score == SECONDS)
    value = float(str(best[score]))
    shown = {SECONDS: seconds(value), "dialogue": f"{value:.0%}"}.get(score, f"{value:.2f}")
    label = str(best["label"])
    return (
        f'<section class="headline"><h2>{title}</h2><p class="figure">{escape(shown)} <small>{unit}</small></p>'
        f"<p><b>{escape(label)}</b>{escape(_lead(rows, pairs, score, label, value))}</p></section>"
    )


def _lead(rows: pd.DataFrame, pairs: Pairs, score: str, label: str, value: float) -> str:
    """How certain the lead is, as the end of a sentence that begins with the method. value: its score."""
    others = [one for one in rows.loc[rows[score].notna(), "label"] if one != label]
    if not others:
        return ""
    if equal := [one for one in equal_to(rows, score, value) if one != label]:
        return f" and {and_list(equal)} have the same figure."
    tied = tied_with(pairs, score, label, others)
    if tied:
        return f" leads, but not significantly: {and_list(tied)} may be as good."
    if not are_compared(pairs, score, label, others):
        return ""
    better = "faster" if score == SECONDS else "better"
    return f" is significantly {better} than {'the other' if len(others) == 1 else f'all {len(others)} others'}."


# -- who beats whom ------------------------------------------------------------------------------------------------


def matrices_html(rows: pd.DataFrame, pairs: Pairs) -> str:
    """A matrix for each of MATRICES with two methods or more; empty where nothing can be paired."""
    order = list(ranked(rows)["label"]) if pairs else []
    tables = [_matrix(order, pairs[score], caption) for score, caption in MATRICES.items() if pairs.get(score)]
    if not tables:
        return ""
    return f'<h2>Who beats whom</h2><p class="takeaway">{HOW_TO_READ}</p><div class="matrices">{"".join(tables)}</div>'


def _matrix(order: list[str], found: dict[tuple[str, str], Pair], caption: str) -> str:
    labels = [label for label in order if any(label == a for a, _ in found)]
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    body = "".join(
        f'<tr><th scope="row">{escape(a)}</th>{"".join(_duel(a, b, found.get((a, b))) for b in labels)}</tr>'
        for a in labels
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}: who beats whom">'
        f'<table class="matrix"><caption>{escape(caption)}</caption>'
        f'<thead><tr><td class="corner"></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _duel(a: str, b: str, pair: Pair | None) -> str:
    if a == b or pair is None or pair.probability is None:
        return "<td></td>"
    low, high = pair.difference.low, pair.difference.high
    bounds = f", 95% interval {low:+.2f} to {high:+.2f}" if low is not None and high is not None else ""
    title = f"{a} against {b}: {pair.difference.value:+.3f}{bounds}, {pair.difference.n} samples"
    return (
        f'<td style="--p:{pair.probability:.2f}" title="{escape(title)}">{percent(pair.probability)}'
        f"<small>{pair.difference.value:+.2f}</small></td>"
    )


def percent(probability: float) -> Any:
    """ "87%"; never 0 or 100, because a finite number of draws cannot show that."""
    if probability > 0.99:
        return "&gt;99%"
    return "&lt;1%" if probability < 0.01 else f"{probability:.0%}"
