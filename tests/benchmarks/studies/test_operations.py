"""The measurement of the page under load: a page with a stand-in for the model, used over HTTP. No time is asserted."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from benchmarks.__main__ import build_parser, main
from benchmarks.studies import operations
from benchmarks.studies.operations import OperationsConfig, crowd, full_house, operations_page, soak, spread
from benchmarks.studies.visitors import Server, Visitor, watching
from demo.security.limits import BUSY, Limits
from tests.demo.attacks.stranger import strangers_page
from tests.demo.fake import FakePredictor

CONFIG = OperationsConfig(requests=2, visits=2, visitors=2, questions=2)
TRUSTED = Limits(questions=None, events=None, streams=None, has_rates=False, pause_s=0.0)


class Here(Server):
    """A page of this process, in place of one that is started."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def resident_bytes(self) -> int:
        return 7_000_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setattr(operations, "SETTLE_S", 0.0)
    with strangers_page(limits=TRUSTED) as stranger:
        yield Here(str(stranger.http.base_url))


def test_a_crowd_sees_words_and_masks(server: Here) -> None:
    found = crowd(server, 2, 2)
    assert (found["visitors"], found["questions"], found["failures"], found["problems"]) == (2, 4, 0, [])
    assert found["answers_per_s"] > 0
    assert [found[key]["n"] for key in ("first_word_s", "first_mask_s", "total_s")] == [4, 4, 4]
    assert found["most_resident_bytes"] == 7_000_000


def test_words_come_before_masks_and_masks_before_the_end() -> None:
    slow = FakePredictor(["Hat", ": ", 0, "."], pause_s=0.3)
    with strangers_page(slow, limits=TRUSTED) as page, Visitor(Here(str(page.http.base_url))) as visitor:
        visitor.show(operations.picture())
        asked = visitor.ask("the hat")
    assert asked.problem is None
    assert asked.first_word_s is not None
    assert asked.first_mask_s is not None
    assert asked.first_word_s < asked.first_mask_s < asked.total_s


def test_a_question_without_an_answer_is_a_problem(server: Here) -> None:
    with Visitor(server) as visitor:
        asked = visitor.ask("the hat")
    assert asked.problem is not None
    assert "Choose a picture first" in asked.problem
    assert (asked.first_word_s, asked.first_mask_s) == (None, None)


def test_a_soak_counts_what_failed(server: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    found = soak(server, CONFIG)
    assert (found["failures"], found["request_s"]["n"]) == (0, 2)
    assert found["resident_bytes"] == {"before": 7_000_000, "most": 7_000_000, "after": 7_000_000}
    monkeypatch.setattr(operations, "PROMPTS", (" ",))
    assert soak(server, replace(CONFIG, visits=1))["failures"] == 2


def test_a_full_house_is_told_kindly_and_empties() -> None:
    limits = replace(TRUSTED, waiting=3)
    with (
        pytest.MonkeyPatch.context() as patch,
        strangers_page(FakePredictor(["a "] * 500, 0.02), limits=limits) as page,
    ):
        patch.setattr(operations, "SETTLE_S", 0.0)
        patch.setattr(operations, "PLACES", 3)
        patch.setattr("demo.security.presence.READER_GRACE_S", 1.0)
        found = full_house(Here(str(page.http.base_url)), more=2)
    assert (found["asked"], found["let_in"], found["refused"], found["sentences"]) == (5, 3, 2, [BUSY])


def test_memory_is_read_at_least_once(server: Here) -> None:
    with watching(server, every_s=60) as seen:
        pass
    assert seen == [7_000_000]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], {"n": 0, "p50": None, "p95": None}),
        ([None, 2.0], {"n": 1, "p50": 2.0, "p95": 2.0}),
        ([float(value) for value in range(101)], {"n": 101, "p50": 50.0, "p95": 95.0}),
    ],
)
def test_spread(values: list[float | None], found: dict[str, Any]) -> None:
    assert spread(values) == found


@pytest.mark.parametrize(
    ("share", "words"), [(0.02, "otherwise idle (2% in use"), (0.97, "beside a busy process: 97%")]
)
def test_the_document_says_what_was_measured_where(share: float, words: str) -> None:
    seconds = {"n": 4, "p50": 1.25, "p95": None}
    times = dict.fromkeys(("first_word_s", "first_mask_s", "total_s"), seconds | {"p95": 3.0})
    few = {"visitors": 1, "answers_per_s": 1.25, **times}
    record = {
        "config": {"requests": 2, "visits": 3, "visitors": 4, "questions": 5},
        "provenance": {
            "hardware": "2 CPU cores (X)",
            "date": "2026-01-02",
            "commit": "abc",
            "uncommitted_changes": True,
        },
        "busy_before": share,
        "soak": {
            "failures": 1,
            "request_s": seconds,
            "resident_bytes": {"before": 900_000_000, "most": 1_000_000_000, "after": 920_000_000},
        },
        "few": [few],
        "crowd": {
            "visitors": 4,
            "answers_per_s": 2.5,
            "questions": 20,
            "failures": 0,
            "problems": [],
            **dict.fromkeys(("first_word_s", "first_mask_s", "total_s"), seconds),
            "most_resident_bytes": 1_100_000_000,
        },
        "full_house": {"asked": 67, "let_in": 64, "refused": 3, "sentences": [BUSY], "free_after_s": 25.2},
    }
    text = operations_page(record)
    for part in (
        words,
        "2 CPU cores (X), 2026-01-02, commit abc, with uncommitted changes.",
        "--requests 2 --visits 3 --visitors 4 --questions 5",
        "900 MB before, 1000 MB at most,\n  920 MB afterwards (+20 MB)",
        "| 1 | 4 | 1.2 | 1.25 / 3.00 | 1.25 / 3.00 | 1.25 / 3.00 |",
        "| 4 | 4 | 2.5 | 1.25 / unknown | 1.25 / unknown | 1.25 / unknown |",
        "takes 1.25 / unknown s (n 4)",
        "of 67 questions at once 64 were let in and 3 refused",
        BUSY,
    ):
        assert part in text


def test_sizes_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    assert build_parser().parse_args(["operations"]).visitors == 50
    assert main(["operations", "--visits", "0"]) == 2
    assert "visits must be at least 1, got 0" in capsys.readouterr().err


def test_an_app_that_does_not_start_is_said() -> None:
    with (
        pytest.raises(RuntimeError, match="ended with status 2 before it was ready"),
        Server(["--per-address", "none"]),
    ):
        pass


def test_health_is_asked(server: Here) -> None:
    assert server.open_questions() == 0
    assert httpx.get(f"{server.url}/health").json()["status"] == "ready"
