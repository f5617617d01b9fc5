"""The one model of the process, loaded in a background thread while the page is already up."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from demo.background import acquire
from stamp.errors import CheckpointError
from stamp.options import MAX_SECONDS

if TYPE_CHECKING:
    from stamp import StampPredictor
    from stamp.checkpoints.load_options import LoadOptions

log = logging.getLogger(__name__)

EMBEDDED_NAME = "stamp-nano"
LOADING = "Loading the model…"
LOAD_FAILED = (
    "The model could not be loaded; the server's log says why. "
    "Check the model, device and precision, then restart the server."
)


class ModelUnavailableError(RuntimeError):
    """The model did not load. The message is written for a visitor."""


@dataclass(frozen=True)
class ModelInfo:
    """The model as the page shows it. name: hub id or folder name, never a whole path of this machine."""

    name: str
    is_embedded: bool
    parameters: int
    device: str
    dtype: str
    quantization: str = "none"


class ModelSlot:
    """Holds the predictor, and exists before it is loaded.

    load: makes the predictor; runs once, in a thread, after `start()`. has_sam: it can refine masks with SAM.
    max_seconds: of an answer, as of `StampPredictor.stream`.
    """

    def __init__(
        self,
        load: "Callable[[], StampPredictor]",
        name: str = EMBEDDED_NAME,
        *,
        is_embedded: bool = False,
        has_sam: bool = False,
        max_seconds: float | None = MAX_SECONDS,
    ):
        self.name = name
        self.is_embedded = is_embedded
        self.has_sam = has_sam
        self.max_seconds = max_seconds
        self._questions_waiting = 0
        self._counting = threading.Lock()
        self._load = load
        self._finished = threading.Event()
        self._predictor: StampPredictor | None = None
        self._info: ModelInfo | None = None
        self._progress = LOADING

    @classmethod
    def from_options(cls, options: "LoadOptions", max_seconds: float | None = MAX_SECONDS) -> "ModelSlot":
        """A slot for what the options name. Does not import the model's code yet."""
        slot: ModelSlot

        def load() -> "StampPredictor":
            from stamp.predictor import StampPredictor

            return StampPredictor.load(replace(options, report=slot.report))

        model = str(options.model or "nano")
        is_embedded = model.lower() == "nano"
        name = EMBEDDED_NAME if is_embedded else _public_name(model)
        has_sam = options.sam_model is not None
        slot = cls(load, name, is_embedded=is_embedded, has_sam=has_sam, max_seconds=max_seconds)
        return slot

    def report(self, message: str) -> None:
        """Record the progress of loading, which the page shows."""
        log.info(message)
        self._progress = message

    def start(self) -> "ModelSlot":
        """Start loading; returns at once. Call it only once."""
        threading.Thread(target=self._run, name="model-loader", daemon=True).start()
        return self

    def _run(self) -> None:
        try:
            predictor = self._load()
            self._info = describe(predictor, self.name, self.is_embedded)
            self._predictor = predictor
        except CheckpointError as error:
            log.error("the model could not be loaded: %s", error)
        except Exception:
            log.exception("the model could not be loaded")
        finally:
            self._finished.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until loading has succeeded or failed; False after the timeout."""
        return self._finished.wait(timeout_s)

    def get(self) -> "StampPredictor":
        """The predictor; waits for it. Raises ModelUnavailableError when loading failed."""
        self._finished.wait()
        if self._predictor is None:
            raise ModelUnavailableError(LOAD_FAILED)
        return self._predictor

    def acquire(self, should_stop: Callable[[], bool]) -> bool:
        """Acquire the model's lock for a visitor's question; questions take precedence over live runs.

        True with the lock held, which this thread must release; False if stopped first.
        """
        lock = self.get().lock
        with self._counting:
            self._questions_waiting += 1
        try:
            return acquire(lock, should_stop)
        finally:
            with self._counting:
                self._questions_waiting -= 1

    @property
    def has_questions(self) -> bool:
        """Whether visitors wait for answers."""
        return self._questions_waiting > 0

    @property
    def is_ready(self) -> bool:
        """The predictor can be used without waiting."""
        return self._predictor is not None

    @property
    def has_failed(self) -> bool:
        """Loading has ended without a predictor."""
        return self._finished.is_set() and self._predictor is None

    @property
    def is_slow(self) -> bool:
        """Whether a large model answers without a GPU: an answer then takes a minute or more."""
        if self.info is None or self.info.device != "cpu":
            return False
        from stamp.checkpoints.quantization import AUTO_PARAMETERS

        return self.info.parameters >= AUTO_PARAMETERS

    @property
    def info(self) -> ModelInfo | None:
        """What was loaded; None until then."""
        return self._info if self.is_ready else None

    def status(self) -> str:
        """One plain sentence: loading, failed, or what is loaded, where and in which precision."""
        info = self.info
        if info is None:
            return LOAD_FAILED if self.has_failed else self._progress
        size = f"{info.parameters / 1e9:.1f} B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.1f} M"
        precision = info.dtype if info.quantization == "none" else f"{info.quantization} ({info.dtype})"
        return f"{info.name} · {size} parameters · {info.device} · {precision}"


def describe(predictor: "StampPredictor", name: str, is_embedded: bool) -> ModelInfo:
    """The facts about a loaded predictor that the page shows."""
    device = str(predictor.device)
    if predictor.device.type == "cuda":
        import torch

        device = f"{device} ({torch.cuda.get_device_name(predictor.device)})"
    return ModelInfo(
        name=name,
        is_embedded=is_embedded,
        parameters=predictor.model.num_parameters(),
        device=device,
        dtype=predictor.versions()["dtype"],
        quantization=predictor.quantization,
    )


def _public_name(model: str) -> str:
    """What visitors may read of `--model`: a hub id, or a folder's own name, never where it lies."""
    from stamp.checkpoints.sources import may_be_hub_id

    path = Path(model).expanduser()
    return model if may_be_hub_id(model) and not path.exists() else path.resolve().name
