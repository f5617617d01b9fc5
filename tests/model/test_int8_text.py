"""The product of bitsandbytes' 8-bit layers on a CPU: against integers in numpy, and against bitsandbytes' own."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stamp import StampPredictor
from stamp.checkpoints import quantization
from stamp.model import int8_text
from stamp.model.int8_text import scaled_product, speed_up_bitsandbytes
from stamp.model.int8_vision import ROWS
from tests.model.test_parity import PARITY

TIED = PARITY / "models" / "tied"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Each test begins with bitsandbytes' own product."""
    speed_up_bitsandbytes.cache_clear()
    yield
    speed_up_bitsandbytes.cache_clear()


@pytest.mark.parametrize("n_rows", [1, ROWS, 2 * ROWS + 44])
@pytest.mark.parametrize("with_bias", [True, False])
def test_integers_times_both_scales(n_rows: int, with_bias: bool) -> None:
    generator = np.random.default_rng(n_rows)
    a, b = (generator.integers(-127, 128, (rows, 40), dtype=np.int8) for rows in (n_rows, 24))
    row_stats, col_stats, bias = (generator.uniform(0.1, 3, n).astype(np.float32) for n in (n_rows, 24, 24))
    expected = (a.astype(np.int64) @ b.T.astype(np.int64)) * (row_stats[:, None] / 127) * (col_stats / 127)
    if with_bias:
        expected = expected + bias

    def product(dtype: torch.dtype | None) -> Tensor:
        added = torch.from_numpy(bias) if with_bias else None
        scales = torch.from_numpy(row_stats), torch.from_numpy(col_stats)
        return scaled_product(torch.from_numpy(a), torch.from_numpy(b), *scales, added, dtype)

    np.testing.assert_allclose(product(torch.float32).numpy(), expected, rtol=1e-5, atol=1e-5)
    assert product(None).dtype == torch.float16
    assert product(torch.bfloat16).dtype == torch.bfloat16


def test_a_layer_gives_what_it_gave_before() -> None:
    """Also with outliers, whose columns bitsandbytes computes apart."""
    from bitsandbytes.nn.modules import Linear8bitLt

    torch.manual_seed(0)
    layer: Any = Linear8bitLt(64, 32, bias=True, has_fp16_weights=False, threshold=6.0)
    layer = layer.to("cpu").eval()
    hidden = torch.randn(1, ROWS + 3, 64)
    hidden[0, 5, 7] = 40
    with torch.inference_mode():
        before: Tensor = layer(hidden)
        speed_up_bitsandbytes()
        torch.testing.assert_close(layer(hidden), before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fast", [True, False])
def test_a_model_in_int8_uses_it_where_the_processor_is_fast_at_it(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: Tensor, **options: object) -> Tensor:
        calls.append(args)
        return scaled_product(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(int8_text, "scaled_product", counted)
    monkeypatch.setattr(quantization, "has_fast_int8", lambda: fast)
    stamp = StampPredictor.from_pretrained(TIED, device="cpu", dtype="float32", quantization="int8")
    stamp.predict_masks(PARITY / "images" / "sq_112.png", "Segment the boat.", "here <|seg|>")
    assert bool(calls) == fast
