"""Where the tab's data comes from is said on the command line or in the environment, never by a visitor."""

from pathlib import Path

import pytest

import app
from demo.board.results import RESULTS
from demo.board.sources import Sources, read_sources


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESULTS", "DATA", "LIVE"):
        monkeypatch.delenv(f"STAMP_{name}", raising=False)


def test_the_committed_results_are_shown_by_default() -> None:
    assert read_sources(app.parse_arguments([])) == Sources(RESULTS, {}, True)


def test_options_and_environment_name_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    given = app.parse_arguments(["--results", "runs", "--data", "scenes=a", "refcoco=b=c"])
    assert read_sources(given) == Sources(Path("runs"), {"scenes": Path("a"), "refcoco": Path("b=c")}, True)
    monkeypatch.setenv("STAMP_RESULTS", "other")
    monkeypatch.setenv("STAMP_DATA", "scenes=a reasonseg=d")
    from_environment = read_sources(app.parse_arguments([]))
    assert from_environment == Sources(Path("other"), {"scenes": Path("a"), "reasonseg": Path("d")}, True)


@pytest.mark.parametrize(("value", "is_live"), [("off", False), ("0", False), ("No", False), ("", True), ("on", True)])
def test_live_runs_have_a_switch(monkeypatch: pytest.MonkeyPatch, value: str, is_live: bool) -> None:
    monkeypatch.setenv("STAMP_LIVE", value)
    assert read_sources(app.parse_arguments([])).is_live is is_live


def test_data_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="NAME=FOLDER"):
        read_sources(app.parse_arguments(["--data", "folder"]))


@pytest.mark.parametrize(
    ("value", "folders"),
    [
        ('refcoco="/my data/refer" scenes=b', {"refcoco": "/my data/refer", "scenes": "b"}),
        ("'refcoco=/my data/refer'", {"refcoco": "/my data/refer"}),
        (r"refcoco=C:\data\new#1", {"refcoco": r"C:\data\new#1"}),
        ("", {}),
    ],
)
def test_a_folder_may_have_a_blank_in_it(monkeypatch: pytest.MonkeyPatch, value: str, folders: dict[str, str]) -> None:
    monkeypatch.setenv("STAMP_DATA", value)
    assert read_sources(app.parse_arguments([])).data == {name: Path(folder) for name, folder in folders.items()}


def test_a_quote_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMP_DATA", 'refcoco="/my data')
    with pytest.raises(ValueError, match="A quote in STAMP_DATA does not end"):
        read_sources(app.parse_arguments([]))
