"""A whole run: which samples, which process measures them, where the records go."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.datasets.sample import Dataset, Sample
from benchmarks.methods import Method
from benchmarks.running.measuring import is_due, run_samples
from benchmarks.running.processes import Process
from benchmarks.running.run_file import RunConfig, begin_run
from benchmarks.scoring.metrics import CONVENTIONS
from benchmarks.scoring.records import RECORDS_FILE, Record, RecordLog, read_records, record_files
from benchmarks.scoring.scores import overlaps_of
from stamp.files import write_atomically


def choose_samples(
    samples: Sequence[Sample], limit: int | None, seed: int, kinds: Collection[str] | None = None
) -> list[Sample]:
    """`limit` samples per split, drawn with `seed`, in order; a larger limit keeps the samples of a smaller one.

    kinds: of the samples to draw from. Raises ValueError for a kind that none has.
    """
    if kinds is not None:
        there = dict.fromkeys(sample.kind for sample in samples)
        if unknown := [kind for kind in kinds if kind not in there]:
            raise ValueError(f"no sample is of the kind {unknown[0]!r}; there are {', '.join(there)}")
        samples = [sample for sample in samples if sample.kind in kinds]
    if limit is None:
        return list(samples)
    chosen: list[Sample] = []
    for split in dict.fromkeys(sample.split for sample in samples):
        own = [sample for sample in samples if sample.split == split]
        drawn = np.random.default_rng(seed).permutation(len(own))[:limit]
        chosen += [own[index] for index in sorted(drawn)]
    return chosen


def run_benchmark(
    dataset: Dataset, methods: Sequence[Method], config: RunConfig, out: Path, process: Process, retry: bool = False
) -> None:
    """Measure everything without a record in the folder, and merge the records of all processes.

    retry: repeat measurements that ended in an error. KeyboardInterrupt leaves every finished record in the folder.
    Raises ValueError when the folder holds a different run.
    """
    if process.rank == 0:
        begin_run(out, config, dataset, methods)
    process.wait_for_all()
    samples = choose_samples(dataset.samples, config.limit, config.seed, config.kinds)
    own = process.share(samples)
    with RecordLog(out / shard_name(process)) as log:  # before reading, because it drops an unfinished last line
        records, _ = read_records(record_files(out))
        done = {record.key for record in records if not (retry and record.status == "error")}
        waiting = sum(is_due(sample, method, done) for sample in own for method in methods)
        with Progress(waiting, quiet=process.rank > 0) as progress:
            for record in run_samples(methods, own, done, config.warmups):
                log.append(record)
                progress.add(record)
    process.wait_for_all()
    if process.rank == 0:
        merge_records(out, samples)


def shard_name(process: Process) -> str:
    """The file that a process writes; a single process writes the final one."""
    return RECORDS_FILE if process.world == 1 else f"records-{process.rank}-of-{process.world}.jsonl"


def merge_records(folder: Path, samples: Sequence[Sample]) -> None:
    """Merge all records into one file, in the order of the samples, and remove the shards."""
    files = record_files(folder)
    place = {(sample.dataset, sample.split, sample.id): number for number, sample in enumerate(samples)}
    records, _ = read_records(files)
    records.sort(key=lambda record: (place.get(record.key[:3], len(place)), record.label))
    write_atomically(folder / RECORDS_FILE, "".join(record.to_line() for record in records))
    for shard in files:
        if shard.name != RECORDS_FILE:
            shard.unlink()


class Progress:
    """A bar with the remaining time and each method's scores so far. Use in a `with`."""

    def __init__(self, total: int, *, quiet: bool = False):
        self._bar = tqdm(total=total, desc="benchmark", unit="answer", disable=quiet)
        self._ious: dict[str, list[float]] = {}
        self._answers: dict[str, list[bool]] = {}

    def add(self, record: Record) -> None:
        """Count a record."""
        if record.union is not None:
            iou = float(overlaps_of([record]).ious(CONVENTIONS["ours"])[0])
            self._ious.setdefault(record.label, []).append(iou)
        if record.correct is not None:
            self._answers.setdefault(record.label, []).append(record.correct)
        self._bar.set_postfix_str(self.scores(), refresh=False)
        self._bar.update()

    def scores(self) -> str:
        """ "stamp gIoU 0.772, dialogue 0.71"."""
        parts: dict[str, list[str]] = {}
        for name, lists in (("gIoU", self._ious), ("dialogue", self._answers)):
            for label, values in lists.items():
                parts.setdefault(label, []).append(f"{name} {np.mean(values):.3f}")
        return "; ".join(f"{label} {', '.join(shown)}" for label, shown in parts.items())

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
