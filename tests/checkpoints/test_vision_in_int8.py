"""`--vision`: when the vision tower is converted to int8, what it then sees, and where it is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stamp import StampPredictor
from stamp.__main__ import main
from stamp.checkpoints import quantization
from stamp.checkpoints.loading import export_checkpoint
from stamp.checkpoints.quantization import AUTO_PARAMETERS, check_vision, choose_int8_vision
from stamp.errors import CheckpointError
from stamp.model.int8_vision import is_int8_vision
from tests.model.test_parity import CASES, FOLDERS, PARITY, TYPED_SEG, arrays, open_image, response

CPU, GPU = torch.device("cpu"), torch.device("cuda")
TIED = PARITY / "models" / "tied"


def load(**options: object) -> StampPredictor:
    return StampPredictor.from_pretrained(TIED, device="cpu", dtype="float32", **options)


@pytest.fixture(autouse=True)
def fast_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any CPU: without the instructions the product is slow, but the same."""
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: True)


@pytest.mark.parametrize(
    ("wanted", "in_effect", "parameters", "device", "converted"),
    [
        ("auto", "int8", AUTO_PARAMETERS, CPU, True),
        ("auto", "int8", AUTO_PARAMETERS - 1, CPU, False),
        ("auto", "nf4", AUTO_PARAMETERS, CPU, False),
        ("auto", "none", AUTO_PARAMETERS, CPU, False),
        ("auto", "int8", AUTO_PARAMETERS, GPU, False),
        ("none", "int8", AUTO_PARAMETERS, CPU, False),
        ("int8", "none", 1, CPU, True),
    ],
)
def test_when_it_is_converted(
    wanted: str, in_effect: str, parameters: int, device: torch.device, converted: bool
) -> None:
    assert choose_int8_vision(wanted, in_effect, parameters, device) == converted


def test_not_where_it_would_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: False)
    assert not choose_int8_vision("auto", "int8", AUTO_PARAMETERS, CPU)
    with pytest.raises(CheckpointError, match="no instructions for int8"):
        load(vision="int8")


def test_refusals() -> None:
    with pytest.raises(CheckpointError, match="Unknown precision of the vision tower 'int4'; choose one of none"):
        load(vision="int4")
    with pytest.raises(CheckpointError, match="on a CPU only, not on cuda"):
        check_vision("int8", GPU)
    check_vision("auto", GPU)


def test_a_small_model_stays_as_it_is() -> None:
    stamp = load(quantization="int8")
    assert stamp.quantization == "int8"
    assert not is_int8_vision(stamp.model.model.visual)
    assert "vision" not in stamp.versions()


@pytest.mark.parametrize("variant", sorted({case["variant"] for case in CASES.values()}))
def test_it_sees_nearly_what_the_official_code_sees(variant: str) -> None:
    folder = PARITY / "models" / FOLDERS.get(variant, variant)
    stamp = StampPredictor.from_pretrained(folder, device="cpu", dtype="float32", vision="int8")
    assert stamp.versions()["vision"] == "int8"

    def error(actual: object, expected: np.ndarray) -> float:
        return float(np.linalg.norm(np.asarray(actual) - expected) / np.linalg.norm(expected))

    for case_id, case in CASES.items():
        if case["variant"] != variant or case_id == TYPED_SEG:
            continue
        expected = arrays(case_id)
        image = stamp.encode_image(open_image(case_id))
        assert error(image.embeds, expected["image_embeds"]) < 0.03
        if len(expected["mask_logits_uncached"]):
            masks = stamp.predict_masks(image, case["prompt"], response(case_id)).mask_logits
            assert error(np.stack(masks).reshape(len(masks), -1), expected["mask_logits_uncached"]) < 0.12


def test_an_export_keeps_the_tower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", "--model", str(TIED), "--device", "cpu", "--vision", "int8", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "--vision none" in capsys.readouterr().err
    stamp = load(vision="int8")
    with pytest.raises(CheckpointError, match="converted to int8 when it is loaded"):
        export_checkpoint(stamp.model, stamp.processor, stamp.quantization, PARITY / "nowhere")
    assert not (PARITY / "nowhere").exists()
