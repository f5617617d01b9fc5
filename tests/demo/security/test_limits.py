"""The limits as a host sets them: on the command line or in the environment."""

import pytest

import app
from demo.security.limits import Limits, read_limits


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PER_ADDRESS", "TRUSTED", "MAX_SECONDS"):
        monkeypatch.delenv(f"STAMP_{name}", raising=False)


def limits(*arguments: str) -> Limits:
    return read_limits(app.parse_arguments(list(arguments)))


TRUSTED = Limits(questions=None, events=None, pictures=None, streams=None, has_rates=False, pause_s=0.0)


def test_there_are_limits_unless_the_host_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits() == Limits()
    assert limits("--per-address", "30") == Limits(questions=30)
    assert limits("--trusted") == limits("--trusted", "--per-address", "2") == TRUSTED
    monkeypatch.setenv("STAMP_PER_ADDRESS", "7")
    assert limits() == Limits(questions=7)
    monkeypatch.setenv("STAMP_TRUSTED", "on")
    assert limits() == TRUSTED
    monkeypatch.setenv("STAMP_TRUSTED", "off")
    assert limits() == Limits(questions=7)


def test_all_together_stay_limited_among_the_trusted() -> None:
    assert (TRUSTED.waiting, TRUSTED.visit_bytes, TRUSTED.disk_bytes) == (64, 500_000_000, 2_000_000_000)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_limit_is_a_number_above_zero(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        limits("--per-address", value)
    assert "at least 1 question" in capsys.readouterr().err


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="waiting must be at least 1"):
        Limits(waiting=0)


def test_an_answer_has_a_limit_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.parse_arguments([]).max_seconds == 300.0
    monkeypatch.setenv("STAMP_MAX_SECONDS", "20")
    assert app.parse_arguments([]).max_seconds == 20.0
