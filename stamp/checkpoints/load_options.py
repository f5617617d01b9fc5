"""Which checkpoint to load, and how: one value that command lines, page and benchmarks hand to the loader."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stamp.checkpoints.download import Report
    from stamp.model.modeling_stamp import StampForSegmentation


@dataclass(frozen=True)
class LoadOptions:
    """What `StampPredictor.load` reads; the defaults of every command.

    model: None is the embedded nano; else "nano", "2b", "7b", a folder, or a hub id. base: the base model of an
    adapter. revision, base_revision: branch, tag or commit of their hub ids.
    device: "auto" (CUDA when there is one), "cpu", "cuda", "cuda:1" ... dtype: "float32", "bfloat16", "float16", or
    "auto": bfloat16, but float32 on a device without bfloat16 matrix units if the memory allows.
    quantization: "none", "int8", "nf4" (bitsandbytes), or "auto": from a billion parameters on int8 where a CPU is fast
    at it, otherwise nf4. vision: "none", "int8" (the vision tower, on a CPU), or "auto": int8 if a large model is.
    min_pixels, max_pixels: of a picture after resizing. sam_model, sam_revision: weights of the refinement "sam".
    decoding: "eager", or "captured" (CUDA graphs, `stamp.inference.captured_steps`).
    merge: merge an adapter into its base. report: gets a line at each step and while downloading; None shows bars in
    the terminal. model_class: the class to load; None is StampForSegmentation. drafts: guess tokens while decoding.
    read_clock: the clock of the timings, in seconds.
    """

    model: str | Path | None = None
    base: str | None = None
    base_revision: str | None = None
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantization: str = "none"
    vision: str = "auto"
    decoding: str = "eager"
    min_pixels: int | None = None
    max_pixels: int | None = None
    sam_model: str | None = None
    sam_revision: str | None = None
    merge: bool = False
    report: "Report | None" = None
    model_class: "type[StampForSegmentation] | None" = None
    drafts: bool = True
    read_clock: Callable[[], float] = time.perf_counter
