"""Checks a run's report when it is read, so that the tab can rely on its content."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, FiniteFloat, ValidationError

from benchmarks.scoring.scores import SCORES


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True)


class _Score(_Shape):
    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: int


class _Cost(_Shape):
    median_s: FiniteFloat | None
    p90_s: FiniteFloat | None
    median_tokens: FiniteFloat | None
    median_passes: FiniteFloat | None
    median_phases_s: dict[str, FiniteFloat]


class _Change(_Shape):
    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None


class _Before(_Shape):
    dialogue: _Change | None
    change: _Change | None


class _Against(_Shape):
    times_s: _Change | None = None


class _Memory(_Shape):
    weights_bytes: int | None = None
    before_bytes: int | None = None
    peak_bytes: int | None = None


def _all_scores(scores: dict[str, _Score | None]) -> dict[str, _Score | None]:
    if missing := [name for name in SCORES if name not in scores]:
        raise ValueError(f"{', '.join(missing)} not there")
    return scores


class _Kind(_Shape):
    scores: Annotated[dict[str, _Score | None], AfterValidator(_all_scores)]
    cost: _Cost


class _Row(_Kind):
    dataset: str
    split: str
    method: str
    precision: str
    requests_for_masks: int
    questions: int
    errors: int
    against_reference: _Against | None
    note: str | None
    before: _Before | None
    memory: _Memory | None
    kinds: dict[str, _Kind]


class _Config(_Shape):
    splits: list[str]
    methods: list[str]
    seed: int | None
    limit: int | None = None
    kinds: list[str] | None = None
    seconds: bool = True


class _Dataset(_Shape):
    sha256: str
    samples: int | None = None


class _Method(_Shape):
    """Facts that are shown as they are."""

    hardware: str | None = None
    dtype: str | None = None
    threads: int | None = None
    model: str | None = None
    trained_from: str | None = None
    pictures_seen: int | None = None
    memory: _Memory | None = None


class _Session(_Shape):
    date: str | None = None
    commit: str | None = None
    uncommitted_changes: bool | None = None


class _About(_Shape):
    config: _Config
    dataset: _Dataset
    methods: dict[str, _Method]
    sessions: list[_Session]


class _Report(_Shape):
    run: _About | None
    problems: list[str]
    rows: list[_Row]


def check_report(report: dict[str, Any]) -> None:
    """Raise ValueError with a sentence unless everything that the tab reads is there and of its type."""
    try:
        _Report.model_validate(report)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where[:100]}: {first['msg'][:100]}.") from error
