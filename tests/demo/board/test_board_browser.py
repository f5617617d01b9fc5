"""The benchmark in headless Chromium: plots, filters, downloads, links, samples, race, live run, what is missing."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
import pytest

from demo.board.compare import CHARTS
from demo.board.filters import Filters, rows_of
from demo.board.results import read_results
from demo.board.sources import Sources
from demo.chat.gallery import EXAMPLES
from tests.benchmarks.scripted import ScriptedMethod
from tests.demo.browsing import chromium, eventually, needs_browser, opened, served
from tests.demo.fake import FakePredictor
from tests.demo.racers import racers
from tests.demo.runs import answer_with, spoil_line, write_run

pytestmark = needs_browser
BOARD = "?tab=benchmark"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    root, data = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("data")
    write_run(root / "run", data)
    return Sources(root, {"scenes": data})


@pytest.fixture(scope="module")
def board(sources: Sources) -> Iterator[str]:
    with served(FakePredictor, is_embedded=True, sources=sources) as url:
        yield url


def plot(page: Any, name: str) -> list[dict[str, Any]]:
    """The traces that plotly has drawn."""
    page.wait_for_selector(f"#plot-{name} .main-svg", state="attached")
    script = """name => document.querySelector(`#plot-${name} .js-plotly-plot`)._fullData.map(
        trace => ({name: trace.name, type: trace.type, x: [...(trace.x || trace.r || [])], text: trace.text}))"""
    return list(page.evaluate(script, name))


def is_drawn(page: Any, name: str) -> bool:
    return len(plot(page, name)) > 0


def choose(page: Any, filter_name: str, value: str) -> None:
    page.click(f"#filter-{filter_name} input")
    page.click(f"#filter-{filter_name} [role=option] >> text='{value}'")


def query(page: Any) -> dict[str, list[str]]:
    return parse_qs(page.evaluate("location.search").removeprefix("?"))


def is_at(page: Any, named: dict[str, list[str]]) -> bool:
    return query(page) == named


def test_every_plot_is_drawn_with_its_sentence_and_filters_change_it(
    browser: Any, board: str, sources: Sources
) -> None:
    with opened(browser, board) as page:
        page.click("button[role=tab] >> text=Benchmark")
        before = {}
        for name, _ in CHARTS:
            eventually(partial(is_drawn, page, name))
            before[name] = plot(page, name)
            assert sum(len(trace["x"]) for trace in before[name]) > 0
            assert page.inner_text(f"#chart-{name} .takeaway")
        eventually(lambda: query(page) == {"tab": ["benchmark"], "dataset": ["scenes"], "split": ["known"]})
        choose(page, "split", "Unseen styles")
        eventually(lambda: plot(page, "glance") != before["glance"])
        eventually(lambda: query(page)["split"] == ["style"])
        choose(page, "kind", "Segment by name")
        eventually(lambda: all(plot(page, name) != before[name] for name in ("spread", "tokens")))
        page.wait_for_selector("#chart-trilemma", state="detached")  # no questions: nothing to draw
        choose(page, "methods", "Polygon text")
        eventually(lambda: {trace["name"] for trace in plot(page, "spread")} == {"Polygon text"})
        eventually(lambda: query(page).get("method") == ["polygon"])
        choose(page, "split", "All")
        page.wait_for_selector("#mixture .remark >> text=different splits")


def test_a_link_restores_the_view_and_the_csv_is_its_table(browser: Any, board: str, sources: Sources) -> None:
    link = f"{BOARD}&dataset=scenes&split=style&kind=segment&method=stamp&method=polygon"
    with opened(browser, board, link) as page:
        page.wait_for_selector("#plot-spread .main-svg", state="attached")
        assert page.input_value("#filter-split input") == "Unseen styles"
        assert page.input_value("#filter-kind input") == "Segment by name"
        asked = {"tab": ["benchmark"], "dataset": ["scenes"], "split": ["style"], "kind": ["segment"]}
        asked["method"] = ["polygon", "stamp"]  # in the order of the results
        for tab, named in (("About", {"tab": ["about"]}), ("Chat & segment", {}), ("Benchmark", asked)):
            page.click(f"button[role=tab] >> text={tab}")
            eventually(partial(is_at, page, named))
        assert page.locator("#filter-methods .token").count() == 2
        with page.expect_download() as download:
            page.click("#links a[download$=csv]")
        parsed = pd.read_csv(download.value.path())
        filters = Filters("scenes", "style", "segment", methods=("stamp", "polygon"))
        expected = rows_of(filters, read_results(sources.results))
        assert list(parsed["gIoU"]) == pytest.approx(list(expected["gIoU"]))
        shown = page.inner_text("#table")
        for value in expected["gIoU"]:
            assert f"{value:.3f}" in shown
        best = page.locator("table.ranking tbody tr").first
        assert "Polygon text" in best.inner_text()  # its share of the columns is the larger one
        page.click("table.ranking th button >> text=gIoU")
        page.wait_for_selector("table.ranking th[aria-sort=descending] >> text=gIoU")
        page.click("table.ranking th button >> text=gIoU")
        page.wait_for_selector("table.ranking th[aria-sort=ascending] >> text=gIoU")
        assert "STAMP" in best.inner_text()
        with page.expect_download() as download:
            page.click("#links a[download$=json]")
        records = json.loads(Path(download.value.path()).read_text())
        assert [record["method"] for record in records] == list(expected["method"])


def test_a_link_with_unknown_values_says_so(browser: Any, board: str) -> None:
    with opened(browser, board, f"{BOARD}&split=%3Cimg%20src%3Dx%3E") as page:
        page.wait_for_selector("#board-notice >> text=asks for a split")
        assert page.locator("#board-notice img").count() == 0


def test_samples_are_shown_side_by_side(browser: Any, board: str) -> None:
    with opened(browser, board, f"{BOARD}&dataset=scenes&split=known&kind=segment") as page:
        page.click("button[role=tab] >> text=Samples")
        page.wait_for_selector("#cards .card >> text=ground truth")
        assert page.locator("#cards .card").count() == 4
        assert page.locator("#cards svg polygon").count() == 1
        first = page.input_value("#sample input")
        asked = page.inner_text("#cards .asked")
        page.click("#next")
        eventually(lambda: page.inner_text("#cards .asked") != asked)
        page.click("#previous")
        eventually(lambda: page.inner_text("#cards .asked") == asked)
        assert page.input_value("#sample input") == first


def test_the_race_ends_with_a_mask_in_each_lane(
    browser: Any, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in_pool(monkeypatch, racers(pause_s=0.02))
    with (
        served(FakePredictor, is_embedded=True, examples=EXAMPLES, sources=sources) as url,
        opened(browser, url, BOARD) as page,
    ):
        page.click("button[role=tab] >> text=Race")
        eventually(lambda: page.locator("#race-methods input:checked").count() == 4)
        page.fill("#race-prompt textarea", "<img src=http://example.org/a.png>")
        page.click("#race-go")
        page.wait_for_selector("#race .race-summary >> text=was first")
        lanes = page.locator("#race .lane")
        assert lanes.count() == 4
        for index in range(4):
            lane = lanes.nth(index)
            assert lane.locator("svg image.landed").count() == 1
            assert float(lane.locator(".clock").inner_text().split()[0]) >= 0
        assert page.locator("#race svg polygon").count() == 1
        assert page.locator("#race svg rect").count() == 16
        in_view = "lanes => lanes.getBoundingClientRect().top < innerHeight / 2"
        eventually(lambda: page.locator("#race .lanes").evaluate(in_view))
        page.click("#race .race-bar button >> text=1/20 speed")
        page.wait_for_function("document.querySelector('#race .race-summary').textContent === ''")


def test_cancel_stops_a_live_run(browser: Any, sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(image: Any, prompt: str) -> Any:
        time.sleep(2)
        return answer_with(0.4, 10, "<|seg|>")(image, prompt)

    put_in_pool(monkeypatch, {"stamp": ScriptedMethod(slowly, "stamp")})
    with served(FakePredictor, is_embedded=True, sources=sources) as url, opened(browser, url, BOARD) as page:
        page.click("button[role=tab] >> text=Live run")
        eventually(lambda: page.locator("#live-methods input:checked").count() == 1)
        page.fill("#live-n input[type=number]", "20")
        page.keyboard.press("Tab")
        page.click("#live-go")
        page.wait_for_selector("#live table.live >> text=measured now")
        page.click("#live-halt")
        page.wait_for_selector("#live >> text=Stopped after")
        page.wait_for_selector("#live >> text=stored, a test machine")
        page.wait_for_selector("#live-halt", state="hidden")


def test_live_runs_can_be_turned_off(browser: Any, sources: Sources) -> None:
    off = Sources(sources.results, sources.data, is_live=False)
    with served(FakePredictor, is_embedded=True, sources=off) as url, opened(browser, url, BOARD) as page:
        page.click("button[role=tab] >> text=Race")
        page.wait_for_selector("#race-status >> text=turned off")
        eventually(lambda: page.is_disabled("#race-go"))


def test_published_figures_stand_by_themselves(browser: Any, board: str) -> None:
    with opened(browser, board, BOARD) as page:
        page.click("button[role=tab] >> text=Published")
        page.wait_for_selector("#plot-published .main-svg", state="attached")
        names = {trace["name"] for trace in plot(page, "published")}
        assert {"all-mask", "embedding", "patch text", "polygon text"} <= names
        assert "stamp" not in page.inner_text("#published-table")


def test_without_results_the_tab_says_how_to_make_some(browser: Any, tmp_path: Path) -> None:
    with served(FakePredictor, sources=Sources(tmp_path)) as url, opened(browser, url, BOARD) as page:
        page.wait_for_selector("#board-notice >> text=no results yet")
        ids = [chart.get_attribute("id") for chart in page.locator(".chart").all()]
        assert ids == ["chart-learning"]  # of the shipped checkpoints, not of the results


def test_a_broken_record_and_a_broken_run_are_named(browser: Any, tmp_path: Path) -> None:
    spoil_line(write_run(tmp_path / "results" / "good", tmp_path / "data"))
    bad = tmp_path / "results" / "bad"
    bad.mkdir()
    (bad / "records.jsonl").write_text("{")
    with served(FakePredictor, sources=Sources(tmp_path / "results")) as url, opened(browser, url, BOARD) as page:
        page.wait_for_selector("#board-notice >> text=bad cannot be shown")
        page.wait_for_selector("#board-notice >> text=line 2")
        assert len(plot(page, "glance")) > 0


def test_about_has_its_figure_and_nothing_is_wider_than_a_phone(browser: Any, board: str) -> None:
    for query, there in (("?tab=about", "#figure svg"), (BOARD, "#plot-tokens .main-svg")):
        with opened(browser, board, query, viewport=PHONE) as page:
            page.wait_for_selector(there, state="attached")
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def put_in_pool(monkeypatch: pytest.MonkeyPatch, methods: dict[str, Any]) -> None:
    """Let the page's pool hold scripted methods."""
    from demo.board.live import MethodPool

    monkeypatch.setattr(MethodPool, "labels", lambda pool: [] if pool.refusal() else list(methods))
    monkeypatch.setattr(MethodPool, "get", lambda _, label: methods[label])
