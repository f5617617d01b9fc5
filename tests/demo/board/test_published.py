"""The literature's figures: each with a source, shown by themselves."""

from pathlib import Path

import pytest

from demo.about import AFTER_FIGURE, CITATION, figure_svg
from demo.board.paradigms import PARADIGMS
from demo.board.published import (
    AVERAGE,
    PUBLISHED,
    benchmarks_in,
    published_figure,
    published_table,
    read_published,
    sources_html,
    takeaway,
)


def test_every_row_has_a_figure_a_source_and_a_known_paradigm() -> None:
    table = read_published()
    assert table["value"].between(0, 100).all()
    assert table["url"].str.match(r"https://(arxiv\.org|github\.com|huggingface\.co)/").all()
    assert set(table["paradigm"]) <= {paradigm.name for paradigm in PARADIGMS}
    assert not table.duplicated(["benchmark", "method", "split", "metric"]).any()


def test_averages_are_those_of_the_splits() -> None:
    """To the digit given: the sources round each split and, some of them, the average."""
    table = read_published()
    eight = table[table["benchmark"].isin(["RefCOCO", "RefCOCO+", "RefCOCOg"])]
    means = eight.groupby("method")["value"].agg(["mean", "size"])
    stated = table[table["benchmark"] == AVERAGE].set_index("method")["value"]
    assert set(means.index[means["size"] == 8]) == set(stated.index)  # no average of fewer splits
    for method, value in stated.items():
        assert means.loc[method, "mean"] == pytest.approx(value, abs=0.11), method


@pytest.mark.parametrize("benchmark", benchmarks_in(read_published()))
def test_each_benchmark_has_a_table_a_plot_and_links(benchmark: str) -> None:
    table = read_published()
    own = table[table["benchmark"] == benchmark]
    shown = published_table(table, benchmark)
    assert list(shown["method"]) == list(dict.fromkeys(own["method"]))
    figures = shown.drop(columns=["method", "paradigm", "source", "note"])
    assert (figures != "").sum().sum() == len(own)
    figure = published_figure(table, benchmark)
    drawn = {method: value for bar in figure.data for method, value in zip(bar.y, bar.x, strict=True)}
    first = own[(own["split"] == own["split"].iloc[0]) & (own["metric"] == own["metric"].iloc[0])]
    assert drawn == dict(zip(first["method"], first["value"], strict=True))
    assert sources_html(table, benchmark).count("<a ") == len(own.drop_duplicates(["source", "url"]))
    best = first["value"].min() if benchmark.startswith("seconds") else first["value"].max()
    sentence = takeaway(table, benchmark)
    assert f" {best:g} (" in sentence
    ours = first[first["paradigm"] == "all-mask"]["value"]
    record = not ours.empty and best in set(ours)
    assert ("STAMP does not hold the record" in sentence) == (not record)


def test_a_row_without_a_source_is_refused(tmp_path: Path) -> None:
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines()
    (tmp_path / "a.csv").write_text(f"{lines[0]}\nB,M,other,val,cIoU,1,,https://x,\n")
    with pytest.raises(ValueError, match="source"):
        read_published(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("method,value\nM,1\n")
    with pytest.raises(ValueError, match="must have the columns"):
        read_published(tmp_path / "b.csv")


def test_the_figure_is_well_formed_and_names_every_way() -> None:
    import xml.etree.ElementTree as ET

    root = ET.fromstring(figure_svg())
    words = "".join(root.itertext())
    for name in ("all-mask", "polygon text", "patch text", "embedding", "<|seg|>"):
        assert name in words
    assert "2512.00395" in CITATION


def test_what_is_ours_and_what_a_paper_describes_is_said() -> None:
    words = " ".join(AFTER_FIGURE.split())
    assert "our own variant" in words
    assert "https://arxiv.org/abs/2608.02791" in words
    assert "code is not public" in words
    assert "appear only when the answer is complete" in words
    assert "all-mask, one pass for all targets" in figure_svg()
