"""The memory of each method, measured in a separate pass after the timed one, with a new process per method.

Peaks cannot be reset, and the timed process holds all methods at once. So a new process loads one method, lets it
answer a sample of each kind, and reports its peak memory: the resident set on a CPU, torch's allocations on a GPU.
"""

import gc
import json
import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from stamp.files import write_atomically

if TYPE_CHECKING:  # a report reads the file and needs no model
    from benchmarks.checkpoints import MethodOptions
    from benchmarks.datasets.sample import Sample
    from benchmarks.methods import Method

MEMORY_FILE = "memory.json"
#: Picture and prompt of a request.
Request = tuple[Path, str]


@dataclass(frozen=True)
class Memory:
    """Bytes of one method. Unknown is None; `error` says why.

    weights_bytes: the checkpoint's tensors in memory. before_bytes: in use before loading: Python and libraries,
    nothing on a GPU. load_peak_bytes: the peak until the method was loaded, mapped files included. resident_bytes: in
    use after loading. peak_bytes: the peak from start to end. answers: how many it gave.
    """

    device: str | None = None
    weights_bytes: int | None = None
    before_bytes: int | None = None
    load_peak_bytes: int | None = None
    resident_bytes: int | None = None
    peak_bytes: int | None = None
    answers: int = 0
    error: str | None = None


def one_of_each_kind(samples: "Sequence[Sample]", method: "Method") -> list[Request]:
    """The first request of each kind that a method is asked."""
    from benchmarks.running.measuring import is_asked

    usable = [sample for sample in samples if sample.problem is None and is_asked(sample, method)]
    asked = {sample.kind: sample for sample in reversed(usable)}
    return [(sample.image, method.prompt(sample)) for sample in reversed(asked.values())]


def measure_memory(
    folder: Path, requests: Mapping[str, Sequence[Request]], options: "MethodOptions", retry: bool = False
) -> None:
    """Measure the methods that are missing in a run's `memory.json` and add them. retry: measure errors again.

    requests: by the method's label. options: those that load the methods. First frees the memory
    that this process no longer uses.
    """
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    rows = read_memory(folder)
    waiting = [label for label in requests if label not in rows or (retry and rows[label]["error"] is not None)]
    with tqdm(waiting, desc="memory", unit="method", disable=not waiting) as bar:
        for label in bar:
            bar.set_postfix_str(label)
            rows[label] = asdict(_in_new_process(label, options, requests[label]))
            write_atomically(folder / MEMORY_FILE, json.dumps(rows, indent=1) + "\n")


def read_memory(folder: Path) -> dict[str, dict[str, Any]]:
    """The fields of Memory by label; empty without a file. Raises ValueError if it cannot be read."""
    path = folder / MEMORY_FILE
    if not path.exists():
        return {}
    try:
        return {label: asdict(Memory(**row)) for label, row in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read: {error}; delete it and the run will measure memory again.") from error


def _in_new_process(label: str, options: "MethodOptions", requests: Sequence[Request]) -> Memory:
    """Ctrl-C ends the new process silently; this process prints the message."""
    context = multiprocessing.get_context("spawn")
    quiet = (signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(1, mp_context=context, initializer=signal.signal, initargs=quiet) as pool:
        try:
            return pool.submit(measure_here, label, options, requests).result()
        except BrokenProcessPool:
            return Memory(error="The process ended too early; there may be too little memory.")
        except Exception as error:
            return Memory(error=f"{type(error).__name__}: {error}")


def measure_here(label: str, options: "MethodOptions", requests: Sequence[Request]) -> Memory:
    """Load a method into this process, which should hold nothing else, and let it answer the requests."""
    import torch

    from benchmarks.instruments import peak_bytes, resident_bytes
    from benchmarks.methods import load_methods
    from stamp.pictures.images import load_image

    before = resident_bytes(torch.device("cpu"))
    (method,) = load_methods([label], options)
    device = method.device
    load_peak, resident = peak_bytes(device), resident_bytes(device)
    for picture, prompt in requests:
        method.predict(load_image(picture), prompt)
    return Memory(
        device=str(device),
        weights_bytes=method.provenance().get("weights_bytes"),
        before_bytes=before if device.type == "cpu" else 0,
        load_peak_bytes=load_peak,
        resident_bytes=resident,
        peak_bytes=peak_bytes(device),
        answers=len(requests),
    )
