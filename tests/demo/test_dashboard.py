"""What the board's handlers send: everything once, nothing that is shown already."""

from pathlib import Path

import pytest

from demo import dashboard
from demo.filters import SINGLE, Filters, default_filters
from demo.results import Results, ResultStore


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
    assert sent["shown"] == (results, filters)
    assert dashboard.refilter(store, sent["shown"], *values_of(filters)) == {}
    other = Filters(dataset=filters.dataset)
    assert dashboard.refilter(store, sent["shown"], *values_of(other))["shown"] == (results, other)


def test_new_results_are_sent_to_a_page_that_shows_old_ones(store: ResultStore, results: Results) -> None:
    filters = default_filters(results)
    assert "glance_plot" in dashboard.refilter(store, (Results(), filters), *values_of(filters))
    assert "glance_plot" in dashboard.open_board(store, (Results(), filters), *values_of(filters))


def test_the_board_opens_with_the_default_filters_and_once(store: ResultStore, results: Results) -> None:
    sent = dashboard.open_board(store, None, *values_of(Filters()))
    assert sent["shown"] == (results, default_filters(results))
    assert set(SINGLE) <= sent.keys()
    assert dashboard.open_board(store, sent["shown"], *values_of(sent["shown"][1])) == {}


def test_filters_that_cannot_be_kept_are_set(store: ResultStore, results: Results) -> None:
    """A kind that is not there falls back to "all", and the page is told so."""
    wrong = Filters(dataset=default_filters(results).dataset, kind="no such kind")
    sent = dashboard.refilter(store, (results, wrong), *values_of(wrong))
    assert sent["shown"][1].kind == "all"
    assert sent["kind"].value == "all"


def test_behind_another_tab_the_board_is_made_ready(store: ResultStore, results: Results) -> None:
    dashboard.view.cache_clear()
    assert dashboard.open_page(store, {}) == {}
    assert dashboard.view.cache_info().currsize == 1
    dashboard.open_board(store, None, *values_of(Filters()))
    assert dashboard.view.cache_info().hits == 1
