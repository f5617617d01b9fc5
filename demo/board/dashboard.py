"""The benchmark tab: filters, their place in the address, and the panels below them."""

from functools import partial
from typing import Any

import gradio as gr

from demo.board.compare import add_compare, compare_view, unfiltered_view
from demo.board.explorer_panel import add_explorer, explorer_view, wire_explorer
from demo.board.filters import SINGLE, Filters, checked, choices_of, chosen, default_filters, from_query
from demo.board.library import Library
from demo.board.live import MethodPool
from demo.board.live_panel import add_live_run, wire_live_run
from demo.board.names import method_name, name_of
from demo.board.published_panel import add_published
from demo.board.race_panel import Example, add_race, race_order, wire_race
from demo.board.results import ALL, Results, ResultStore
from demo.board.sources import Sources
from demo.chat.masks import Updates
from demo.html import literal, notice
from demo.naming import Parts, by_name

BOARD = "benchmark"
#: Ids of the page's tabs, as in "?tab=benchmark".
TABS = ("chat", BOARD, "about")
EMPTY = (
    "There are no results yet. Make some with: "
    "python -m benchmarks run --dataset scenes --methods all --out benchmarks/results/scenes"
)
INTRO = (
    "A language model can draw a mask in four ways: write the corners of its outline, write runs of patches, pass one "
    "token to a mask decoder, or predict every patch in one pass (STAMP). Which is accurate, which is fast, and which "
    "still answers questions well?"
)
LABELS = {
    "dataset": "Dataset", "split": "Split", "kind": "Task", "precision": "Precision", "hardware": "Hardware",
    "run": "Run",
}  # fmt: skip
METHODS = "Methods (none selected = all)"
#: The label of a filter value that excludes nothing.
EVERYTHING = "All"
#: Number of views kept per results, for repeated requests.
MAX_VIEWS = 64
#: Keeps the view in the URL, so that it can be shared and survives a reload.
REMEMBER_JS = "(query) => { history.replaceState(null, '', query ? '?' + query : location.pathname); return []; }"


#: The first tab is selected before the server has read the URL, which has to stay until then.
OPENED_JS = "() => { window.stampOpened = true; return []; }"
REMEMBER_TAB_JS = "() => {{ if (window.stampOpened) history.replaceState(null, '', location.pathname + '{}'); }}"


def remember_tabs(chat: gr.Tab, about: gr.Tab) -> None:
    """Keep the other tabs in the URL, too."""
    for tab, query in ((chat, ""), (about, "?tab=about")):
        tab.select(None, js=REMEMBER_TAB_JS.format(query), api_visibility="private")


def add_dashboard(
    demo: gr.Blocks, tabs: gr.Tabs, board: gr.Tab, sources: Sources, pool: MethodPool, examples: list[Example]
) -> None:
    """Fill the tab `board`, which is open, of the page `demo`."""
    store, library = ResultStore(sources.results), Library(sources.data)
    examples = race_order(examples)
    parts: Parts = {
        "tabs": tabs, "query": gr.Textbox(visible=False), "shown": gr.State(), "live_timer": gr.Timer(1.5)
    }  # fmt: skip
    gr.HTML(f'<p class="muted">{literal(INTRO)}</p>', elem_id="intro", padding=False)
    parts["board_notice"] = gr.HTML("", elem_id="board-notice", padding=False)
    with gr.Row(elem_id="filters"):  # the style sheet shows each only on the views that it changes
        for name in SINGLE:
            parts[name] = gr.Dropdown(
                label=LABELS[name], choices=[(EVERYTHING, ALL)], value=ALL, min_width=130, elem_id=f"filter-{name}"
            )
        parts["methods"] = gr.Dropdown(
            label=METHODS, choices=[], value=[], multiselect=True, min_width=200, elem_id="filter-methods"
        )
    parts["mixture"] = gr.HTML("", elem_id="mixture", padding=False)
    with gr.Tabs(elem_id="views", overflow_behavior="wrap"):
        with gr.Tab("Results", id="compare", elem_id="view-results"):
            add_compare(parts)
        with gr.Tab("Samples", id="samples", elem_id="view-samples"):
            add_explorer(parts)
        with gr.Tab("Race", id="race", elem_id="view-race"):
            add_race(parts, pool, examples)
        with gr.Tab("Live run", id="live", elem_id="view-live"):
            add_live_run(parts, pool)
        with gr.Tab("Published results", id="published", elem_id="view-published"):
            add_published()
    filters = [parts[name] for name in (*SINGLE, "methods")]
    _wire(demo, board, store, parts, filters)
    wire_explorer(store, library, parts, filters)
    wire_race(pool, examples, parts)
    wire_live_run(pool, store, library, parts)


# -- what is shown -------------------------------------------------------------------------------------------------


def filter_view(results: Results, filters: Filters) -> Updates:
    """The filters and their current choices. Filters with a single choice in this run are hidden."""
    choices, rows = choices_of(results, filters.dataset), results.rows
    of_run = rows if filters.run == ALL else rows[rows["run"] == filters.run]
    updates: Updates = {}
    for name in SINGLE:
        values = getattr(choices, name)
        shown = [(EVERYTHING if value == ALL else name_of(name, value), value) for value in values]
        has_choice = len(values) > 2  # "all" and one value leave none
        if name in ("precision", "hardware"):
            has_choice = of_run[name].nunique() > 1 or getattr(filters, name) != ALL
        updates[name] = gr.Dropdown(choices=shown, value=getattr(filters, name), visible=has_choice)
    methods = [(method_name(label), label) for label in choices.methods]
    return updates | {"methods": gr.Dropdown(choices=methods, value=list(filters.methods), multiselect=True)}


def view(results: Results, filters: Filters) -> Updates:
    """Everything that depends on the filters, except the filters themselves. Visitors share it, so do not modify it."""
    kept: Updates | None = results.views.get(filters)
    if kept is None:
        while len(results.views) >= MAX_VIEWS:
            results.views.pop(next(iter(results.views)), None)
        about = {"query": filters.query(), "shown": (results.version, filters)}
        kept = about | compare_view(results, filters) | explorer_view(results, filters)
        results.views[filters] = kept
    return kept


def board_view(results: Results, filters: Filters, sentences: list[str]) -> Updates:
    """The whole tab, with notices about missing data."""
    messages = [*([EMPTY] if results.rows.empty else []), *results.problems, *sentences]
    shown = {"board_notice": "".join(notice(sentence) for sentence in messages)}
    return shown | unfiltered_view(results) | filter_view(results, filters) | view(results, filters)


# -- events ----------------------------------------------------------------------------------------------------------

#: What a page shows of the board: the version of the results, and the filters. None: nothing yet.
Shown = tuple[int, Filters] | None


def refilter(store: ResultStore, shown: Shown, *values: Any) -> Updates:
    """The tab after a filter changed. Filters whose value no longer exists fall back to "all".

    Changes nothing if the view is already shown: a dropdown reports each click twice.
    """
    results, before = store.get(), chosen(values)
    filters, _ = checked(before, results)
    if shown is None or shown[0] != results.version:
        return board_view(results, filters, [])
    if filters == before and shown[1] == filters:
        return {}
    was = shown[1]
    has_others = (was.dataset, was.run) != (
        filters.dataset,
        filters.run,
    )  # then splits, kinds and precisions may differ
    return view(results, filters) | (filter_view(results, filters) if has_others or filters != before else {})


def open_board(store: ResultStore, shown: Shown, *values: Any) -> Updates:
    """The tab when a visitor opens it: with its previous filters, at first with the default ones."""
    results = store.get()
    filters = default_filters(results) if shown is None else checked(chosen(values), results)[0]
    return {} if shown == (results.version, filters) else board_view(results, filters, [])


def follow_link(store: ResultStore, query: dict[str, list[str]]) -> Updates:
    """The tab as a URL describes it."""
    results = store.get()
    filters, dropped = from_query(query, results)
    sentence = f"This link asks for a {' and a '.join(dropped)} that these results do not have. All are shown instead."
    return board_view(results, filters, [sentence] if dropped else [])


def open_page(store: ResultStore, query: dict[str, list[str]]) -> Updates:
    """The tab that the URL names. If it is another tab, the board is still prepared for later."""
    tab = next(iter(query.get("tab", [])), None)
    selected = {"tabs": gr.Tabs(selected=tab)} if tab in TABS else {}
    if tab == BOARD:
        return selected | follow_link(store, query)
    results = store.get()
    view(results, default_filters(results))
    return selected


def _wire(demo: gr.Blocks, board: gr.Tab, store: ResultStore, parts: Parts, filters: list[Any]) -> None:
    quiet: dict[str, Any] = {"outputs": list(parts.values()), "show_progress": "hidden", "api_visibility": "private"}
    remember: dict[str, Any] = {"fn": None, "inputs": [parts["query"]], "js": REMEMBER_JS, "api_visibility": "private"}
    opening = by_name(parts, partial(open_page, store))

    def opened(request: gr.Request) -> Any:
        return opening({name: request.query_params.getlist(name) for name in request.query_params})

    demo.load(opened, **quiet).then(None, js=OPENED_JS, api_visibility="private")
    inputs = [parts["shown"], *filters]
    # `checked` looks at the values. Gradio would refuse them where it no longer has the session.
    quiet |= {"preprocess": False}
    board.select(by_name(parts, partial(open_board, store)), inputs, **quiet).then(**remember)
    # One at a time: if one choice is reported twice, the second report then finds nothing left to do.
    one = {"trigger_mode": "always_last", "concurrency_limit": 1}
    for component in filters:
        component.input(by_name(parts, partial(refilter, store)), inputs, **one, **quiet).then(**remember)
