"""What a run that was stopped has not measured, as far as its records and settings show."""

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.scoring.records import Record

#: Samples of a method in a split, each with whether it is a question.
Asked = set[tuple[str, bool]]


def gaps(records: Iterable[Record], about: Mapping[str, Any]) -> list[str]:
    """What is missing, such as "25 of 120 samples of style"; empty if nothing is known to be. about: the `run.json`.

    Where a limit is larger than some splits, only a run of all samples is known to be complete.
    """
    by_method: dict[str, dict[str, Asked]] = {}
    for one in records:
        by_method.setdefault(one.label, {}).setdefault(one.split, set()).add((one.sample, one.correct is not None))
    asked = {
        split: set().union(*(own.get(split, set()) for own in by_method.values()))
        for split in about["config"]["splits"]
    }
    found = _of_splits({split: len(samples) for split, samples in asked.items()}, about)
    for label, own in by_method.items():
        talks_only = all(is_question for samples in own.values() for _, is_question in samples)
        for split, samples in asked.items():
            due = {sample for sample in samples if sample[1] or not talks_only}
            if (has := len(due & own.get(split, set()))) < len(due):
                found.append(f"{has} of {len(due)} samples of {split} by {label}")
    silent = [label for label in about["config"]["methods"] if label not in by_method]
    return [*found, *([f"no record of {', '.join(silent)}"] if silent else [])]


def _of_splits(counts: Mapping[str, int], about: Mapping[str, Any]) -> list[str]:
    """Splits with fewer samples than the run's limit, or all samples if it has none and not all are there."""
    config, there = about["config"], about["dataset"].get("samples")
    limit, measured = config.get("limit"), sum(counts.values())
    if there is not None and measured >= there:
        return []
    if limit is not None and config.get("kinds") is None:
        most = limit if there is None or len(counts) > 1 else min(limit, there)
        return [f"{n} of {most} samples of {split}" for split, n in counts.items() if n < most]
    if there is not None and config.get("kinds") is None:
        return [f"{measured} of {there} samples"]
    return [f"no sample of {split}" for split, n in counts.items() if n == 0]
