"""What the board's handlers send: everything once, nothing that is shown already."""

from pathlib import Path
from typing import Any

import pytest

from demo.board import dashboard
from demo.board.compare import CHARTS
from demo.board.filters import SINGLE, Filters, default_filters
from demo.board.results import Results, ResultStore


@pytest.fixture
def store(results: Results, monkeypatch: pytest.MonkeyPatch) -> ResultStore:
    store = ResultStore(Path("none"))
    monkeypatch.setattr(store, "get", lambda: results)
    return store


def values_of(filters: Filters) -> list[object]:
    return [*(getattr(filters, name) for name in SINGLE), list(filters.methods)]


def test_a_choice_that_is_shown_is_not_sent_again(store: ResultStore, results: Results) -> None:
    filters = default_filters(results)
    sent = dashboard.refilter(store, None, *values_of(filters))
    assert {"glance_plot", "table", "sample", "query"} <= sent.keys()
    assert sent["shown"] == (results.version, filters)
    assert dashboard.refilter(store, sent["shown"], *values_of(filters)) == {}
    other = Filters(dataset=filters.dataset)
    assert dashboard.refilter(store, sent["shown"], *values_of(other))["shown"] == (results.version, other)


@pytest.mark.parametrize("handler", [dashboard.refilter, dashboard.open_board])
def test_new_results_are_sent_to_a_page_that_shows_old_ones(store: ResultStore, results: Results, handler: Any) -> None:
    """With the filters, which may have more to choose from, and what could not be read."""
    filters = default_filters(results)
    sent = handler(store, (Results().version, filters), *values_of(filters))
    assert {"glance_plot", "board_notice", *SINGLE} <= sent.keys()
    assert sent["shown"] == (results.version, filters)


def test_all_of_everything_is_remembered(store: ResultStore, results: Results) -> None:
    assert dashboard.open_board(store, (results.version, Filters()), *values_of(Filters())) == {}


def test_the_board_opens_with_the_default_filters_and_once(store: ResultStore, results: Results) -> None:
    sent = dashboard.open_board(store, None, *values_of(Filters()))
    assert sent["shown"] == (results.version, default_filters(results))
    assert set(SINGLE) <= sent.keys()
    assert dashboard.open_board(store, sent["shown"], *values_of(sent["shown"][1])) == {}


def test_filters_that_cannot_be_kept_are_set(store: ResultStore, results: Results) -> None:
    """A kind that is not there falls back to "all", and the page is told so."""
    wrong = Filters(dataset=default_filters(results).dataset, kind="no such kind")
    sent = dashboard.refilter(store, (results.version, wrong), *values_of(wrong))
    assert sent["shown"][1].kind == "all"
    assert sent["kind"].value == "all"


def test_filters_have_peoples_names_and_those_without_a_choice_are_hidden(results: Results) -> None:
    sent = dashboard.filter_view(results, default_filters(results))
    assert sent["split"].choices == [
        ("All", "all"), ("Familiar drawings", "known"), ("Unseen styles", "style"),
        ("Unseen backgrounds", "background"),
    ]  # fmt: skip
    assert ("Polygon text", "polygon") in sent["methods"].choices
    assert {name: sent[name].visible for name in SINGLE} == {
        "dataset": False, "split": True, "kind": True, "precision": False, "hardware": False, "run": False,
    }  # fmt: skip


def test_plots_with_nothing_to_show_are_hidden(results: Results) -> None:
    def hidden(kind: str) -> set[str]:
        view = dashboard.view(results, Filters("scenes", "known", kind))
        return {name for name, _ in CHARTS if not view[f"{name}_card"].visible}

    assert hidden("segment") == {"trilemma"}  # no question was asked
    assert hidden("count") == {"trilemma", "spread", "tokens"}


def test_behind_another_tab_the_board_is_made_ready(store: ResultStore, results: Results) -> None:
    results.views.clear()
    assert dashboard.open_page(store, {}) == {}
    made = dict(results.views)
    assert list(made) == [default_filters(results)]
    assert dashboard.view(results, default_filters(results)) is made[default_filters(results)]


def test_views_that_are_kept_are_bounded(results: Results) -> None:
    results.views.clear()
    for index in range(dashboard.MAX_VIEWS + 5):
        results.views[Filters(split=str(index))] = {}
    dashboard.view(results, Filters())
    assert len(results.views) == dashboard.MAX_VIEWS
    assert Filters() in results.views
