"""Which precision "auto" is, and whether the weights fit into memory: what is asked of a folder before it is loaded."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stamp import StampPredictor
from stamp.checkpoints import loading, quantization
from stamp.checkpoints.quantization import choose_quantization
from stamp.errors import CheckpointError
from stamp.training.learning.checkpoint import export_checkpoint

MODELS = Path(__file__).parents[1] / "parity" / "models"


def load(path: Path | None, **options: object) -> StampPredictor:
    return StampPredictor.from_pretrained(path, device="cpu", **options)


def free_memory(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    memory = type("Memory", (), {"available": bytes_, "total": 10**12})()
    monkeypatch.setattr("stamp.checkpoints.free_memory.psutil.virtual_memory", lambda: memory)


@pytest.mark.parametrize(
    ("device", "is_fast", "free", "expected"),
    [
        ("cpu", False, 2000, torch.float32),
        ("cpu", False, 1999, torch.bfloat16),
        ("cpu", True, 2000, torch.bfloat16),
        ("cuda", True, 2000, torch.bfloat16),
        ("cuda", False, 2000, torch.float32),  # a T4
        ("cuda", False, 1999, torch.bfloat16),
    ],
)
def test_auto_is_float32_on_a_device_without_matrix_units_where_it_fits_twice(
    device: str, is_fast: bool, free: int, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: is_fast)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0) if is_fast else (7, 5))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10**12))
    free_memory(monkeypatch, free if device == "cpu" else 0)
    place = torch.device(device)
    assert loading._choose_dtype("auto", place, 1000) == expected
    for name in ("float32", "bfloat16", "float16"):  # what is asked for is what one gets
        assert loading._choose_dtype(name, place, 1000) == getattr(torch, name)


@pytest.mark.parametrize(("quantization", "in_text"), [("none", 4), ("int8", 1.01), ("nf4", 0.52)])
def test_auto_counts_the_bytes_that_the_weights_would_take(
    quantization: str, in_text: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    needed = round(bytes_of_tied(in_text, 4))
    for free, dtype in ((2 * needed, torch.float32), (2 * needed - 1, torch.bfloat16)):
        free_memory(monkeypatch, free)
        assert load(MODELS / "tied", quantization=quantization).model.dtype == dtype


def bytes_of_tied(in_text: float, elsewhere: float) -> float:
    """Memory of the model "tied". in_text, elsewhere: bytes of a weight of the text layers' matrices, and of others."""
    needed = 0.0
    for name, value in load_file(MODELS / "tied" / "model.safetensors").items():
        is_matrix = value.ndim == 2 and "layers." in name and "visual" not in name
        needed += value.numel() * (in_text if is_matrix else elsewhere)
    return needed


@pytest.mark.parametrize(
    ("parameters", "device", "is_fast", "mode"),
    [
        (999_999_999, "cpu", True, "none"),
        (1_000_000_000, "cpu", True, "int8"),
        (1_000_000_000, "cpu", False, "nf4"),
        (1_000_000_000, "cuda", True, "nf4"),
    ],
)
def test_auto_quantizes_from_a_billion_parameters_on(
    parameters: int, device: str, is_fast: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: is_fast)
    place = torch.device(device)
    assert choose_quantization("auto", None, parameters, place) == mode
    assert choose_quantization("none", None, parameters, place) == "none"
    assert choose_quantization("int8", None, parameters, place) == "int8"


@pytest.mark.parametrize(
    ("options", "in_text", "elsewhere"),
    [
        ({"dtype": "float32"}, 4, 4),
        ({"dtype": "bfloat16"}, 2, 2),
        ({"dtype": "bfloat16", "quantization": "int8"}, 1.01, 2),
        ({"dtype": "bfloat16", "quantization": "nf4"}, 0.52, 2),
    ],
)
def test_a_checkpoint_is_loaded_if_its_weights_just_fit(
    options: dict[str, object], in_text: float, elsewhere: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with a byte less. in_text, elsewhere: bytes of a weight of the text layers, and of all others.

    What is needed is counted on the tensors themselves.
    """
    needed = round(bytes_of_tied(in_text, elsewhere))
    free_memory(monkeypatch, needed)
    load(MODELS / "tied", **options)
    free_memory(monkeypatch, needed - 1)
    with pytest.raises(CheckpointError, match="The weights need about") as raised:
        load(MODELS / "tied", **options)
    assert ("--quantization nf4" in str(raised.value)) == (options.get("quantization") != "nf4")


@pytest.mark.parametrize("quantization", ["none", "int8", "nf4"])
def test_the_estimate_is_what_a_loaded_model_takes(
    quantization: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nano's, by transformers' own count of parameters and buffers, constants of the blocks included."""
    nano = load(None, dtype="bfloat16")
    export_checkpoint(nano.model, nano.processor, tmp_path)
    said: list[int] = []
    monkeypatch.setattr(loading, "_refuse_without_memory", lambda needed, *_: said.append(needed))
    model = load(tmp_path, dtype="bfloat16", quantization=quantization).model
    constants = sum(
        tensor.nbytes
        for parameter in model.parameters()
        for tensor in (getattr(parameter, "SCB", None), *_block_constants(parameter))
        if tensor is not None
    )
    assert said[0] == pytest.approx(model.get_memory_footprint() + constants, rel=0.02)


def _block_constants(parameter: torch.nn.Parameter) -> list[torch.Tensor]:
    state = getattr(parameter, "quant_state", None)
    if state is None:
        return []
    return [state.absmax, *([state.state2.absmax] if state.nested else [])]
