"""`python -m benchmarks gpu`: what it finds about a device, here the CPU, and its arithmetic."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.studies.gpu import RECORD_FILE, gpu_table, parity
from benchmarks.studies.limits import Machine, Work, least_seconds
from benchmarks.studies.speed import SpeedConfig, measure, measure_speed, picture, speed_cases
from stamp.inference.captured_steps import CapturedSteps
from stamp.predictor import StampPredictor

FIXTURES = Path(__file__).parents[2] / "parity"
OPTIONS = [
    "--device",
    "cpu",
    "--dtype",
    "float32",
    "--side-px",
    "112",
    "--masks",
    "2",
    "--repeats",
    "1",
    "--warmups",
    "1",
]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("gpu") / "new"
    assert main(["gpu", "--fixtures", str(FIXTURES), "--out", str(out), *OPTIONS]) == 0
    read: dict[str, Any] = json.loads((out / RECORD_FILE).read_text())
    return read


@pytest.fixture(scope="module")
def tied() -> StampPredictor:
    return StampPredictor.from_pretrained(FIXTURES / "models" / "tied", device="cpu", dtype="float32")


def test_every_known_answer_is_compared_in_both_dtypes(record: dict[str, Any]) -> None:
    rows = record["parity"]
    cases = {path.stem for path in (FIXTURES / "cases").glob("*.npz")}
    for dtype in ("float32", "bfloat16"):
        assert {row["case"] for row in rows if row["dtype"] == dtype} == cases - {
            "tied__seg_in_prompt",
            "tied__cut_on_seg",
        }
    full = [row for row in rows if row["dtype"] == "float32"]
    assert max(row["text_difference"] for row in full) < 5e-4
    assert max(row["mask_difference"] for row in full if row["mask_difference"] is not None) < 1e-4
    assert {row["cells"] for row in full} == {1.0, None}


def test_another_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that computes nonsense must not pass."""
    right = StampPredictor.text_logits
    monkeypatch.setattr(StampPredictor, "text_logits", lambda *given: np.roll(right(*given), 1, axis=1))
    first = next(iter(parity(FIXTURES, "cpu")))
    assert first.text_difference > 0.1


def test_phases_are_compared_with_their_limits(record: dict[str, Any]) -> None:
    limits, measured = record["limits"], record["cases"]["one_mask"]["median_s"]["ours"]
    assert set(limits["least_s"]) == {"vision", "prefill", "decode", "mask", "total"}
    for phase, times in limits["measured_over_least"].items():
        assert times == pytest.approx(measured[phase] / limits["least_s"][phase])
    # 112 pixels are shown to the nano as they are: 8 x 8 patches of 14; 11 words before the one mask
    assert limits["work"]["masks"] == 1
    assert limits["work"]["passes"] == record["cases"]["one_mask"]["forward_passes"]["ours"] - 2
    assert "captured" not in record["cases"]
    assert "| total |" in gpu_table(record)


def test_the_least_seconds_of_an_answer_by_hand(tied: StampPredictor) -> None:
    """On a machine of a million operations and a thousand bytes a second."""
    model, config = tied.model, tied.model.config
    text, vision = config.text_config, config.vision_config

    def size(part: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in part.parameters())

    layers, head, width = size(model.model.language_model.layers), size(model.lm_head), text.hidden_size
    least = least_seconds(model, Work(patches=64, prompt=30, passes=5, masks=2), Machine(1e6, 1e3))
    tower = 2 * 64 * size(model.model.visual.blocks) + 2 * 16 * size(model.model.visual.merger)
    assert least["vision"] == pytest.approx((tower + vision.depth * 2 * 2 * 64 * 64 * vision.embed_dim) / 1e6)
    assert least["prefill"] == pytest.approx(
        (2 * 30 * layers + text.num_hidden_layers * 2 * 2 * 30 * 30 / 2 * width + 2 * head) / 1e6
    )
    assert least["decode"] == pytest.approx(5 * 4 * (layers + head) / 1e3)
    assert least["mask"] == pytest.approx(
        2 * (2 * 16 * layers + text.num_hidden_layers * 2 * 2 * 16 * 46 * width) / 1e6
    )
    assert least["total"] == pytest.approx(sum(least[phase] for phase in ("vision", "prefill", "decode", "mask")))


def test_captured_passes_are_a_case_of_their_own(tied: StampPredictor, tmp_path: Path) -> None:
    """No other method uses them, and afterwards the model has none."""
    used: list[str] = []

    class Counted(CapturedSteps):
        def logits(self, *given: Any) -> torch.Tensor:
            used.append("captured")
            return super().logits(*given)

    steps = Counted(tied.model, capture=False)
    config = SpeedConfig(masks=1, repeats=1, side_px=112)
    cases = speed_cases(tied.processor, config, steps)
    for case in cases:
        for method in case.methods:
            used.clear()
            measure(tied, picture(112), case, method)
            assert bool(used) == (method == "captured")
    assert tied.captured is None
    stamp = StampPredictor(tied.model, tied.processor, captured=steps)
    assert "captured" in measure_speed(stamp, None, tmp_path, config)["cases"]
