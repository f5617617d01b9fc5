"""The vision tower in 8 bits: the arithmetic against integers in numpy, attention against a softmax in float64."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from stamp.model.int8_vision import (
    ATTENTION_IN_BFLOAT16,
    ROWS,
    ByRows,
    Int8Linear,
    attention_in_bfloat16,
    is_int8_vision,
    quantize_vision,
    to_int8,
)


def tower(**options: Any) -> Any:
    """Two blocks, 32 wide, two heads; random weights with a seed."""
    torch.manual_seed(0)
    config = Qwen2VLVisionConfig(depth=2, embed_dim=32, hidden_size=48, num_heads=2, mlp_ratio=2, initializer_range=0.3)
    return Qwen2VisionTransformerPretrainedModel._from_config(config, **options).eval()


def see(model: nn.Module, side: int) -> Tensor:
    """Features of random patches, side x side of them."""
    pixels = torch.randn(side * side, 3 * 2 * 14 * 14, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features: Tensor = model(pixels, torch.tensor([[1, side, side]])).pooler_output
    return features


# -- arithmetic ----------------------------------------------------------------------------------------------------


def test_to_int8_by_hand() -> None:
    values, scale = to_int8(torch.tensor([[1.27, -0.005, 0.644], [0.0, 0.0, 0.0], [-254.0, 3.0, 127.0]]))
    assert values.tolist() == [[127, 0, 64], [0, 0, 0], [-127, 2, 64]]
    assert scale[:, 0].tolist() == pytest.approx([0.01, 0.0, 2.0])


@pytest.mark.parametrize("n_rows", [1, ROWS, ROWS + 44])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_integers_times_scales(n_rows: int, bias: bool) -> None:
    generator = np.random.default_rng(n_rows)
    linear = nn.Linear(40, 24, bias=bias)
    hidden = generator.normal(size=(n_rows, 40)).astype(np.float32)
    hidden[0, 3] = 90  # a row with an outlier leaves the others as they are

    def integers(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = np.abs(rows).max(1, keepdims=True) / np.float32(127)
        return np.rint(rows / scale).astype(np.int64), scale.astype(np.float64)

    (x, x_scale), (w, w_scale) = integers(hidden), integers(linear.weight.detach().numpy())
    expected = (x @ w.T) * x_scale * w_scale[:, 0]
    if bias:
        expected = expected + linear.bias.detach().numpy()
    result = Int8Linear(linear)(torch.from_numpy(hidden))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_layer_keeps_the_dtype() -> None:
    assert Int8Linear(nn.Linear(16, 8))(torch.randn(3, 16).bfloat16()).dtype == torch.bfloat16


def test_by_rows_is_the_module_itself() -> None:
    inner, hidden = nn.Sequential(nn.Linear(8, 8), nn.GELU()).double(), torch.randn(2 * ROWS + 1, 8).double()
    torch.testing.assert_close(ByRows(inner)(hidden), inner(hidden), rtol=1e-12, atol=1e-12)


# -- attention -----------------------------------------------------------------------------------------------------


def test_attention_in_bfloat16() -> None:
    """Its error is that of rounding the inputs, not of the scores, which a constant in all keys makes large."""
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, ROWS + 10, 16)
    key = key + 20
    result, weights = attention_in_bfloat16(nn.Identity(), query, key, value, None, scaling=0.25)
    scores = query.double() @ key.double().transpose(-1, -2) * 0.25
    expected = (scores.softmax(-1) @ value.double()).transpose(1, 2)
    assert weights is None
    assert result.dtype == torch.float32
    assert (result - expected).norm() / expected.norm() < 0.01


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation returns. A fused operation's own scratch memory is not seen."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        found = result if isinstance(result, tuple | list) else [result]
        self.elements = max([self.elements, *(one.numel() for one in found if isinstance(one, Tensor))])
        return result


@pytest.mark.parametrize("attention", ["sdpa", ATTENTION_IN_BFLOAT16])
def test_attention_never_holds_all_scores(attention: str) -> None:
    """48 x 48 patches: all scores of one head would be 5.3 million numbers; a block of rows has 0.6 million."""
    model, patches = tower(attn_implementation=attention), 48 * 48
    with Largest() as largest:
        see(model, 48)
    pixels = patches * 3 * 2 * 14 * 14
    assert largest.elements == pixels
    assert pixels < patches * patches


def test_the_check_sees_scores_that_are_held() -> None:
    with Largest() as largest:
        see(tower(attn_implementation="eager"), 48)
    assert largest.elements == 2 * 48**4


# -- the tower -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast_bfloat16", [True, False])
def test_a_tower_in_int8(fast_bfloat16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast_bfloat16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    full, small = tower(attn_implementation="sdpa"), tower(attn_implementation="sdpa")
    assert not is_int8_vision(small)
    quantize_vision(small)
    assert is_int8_vision(small)
    assert small.num_parameters() == full.num_parameters()
    assert small.config._attn_implementation == (ATTENTION_IN_BFLOAT16 if fast_bfloat16 else "sdpa")
    kinds = {name: type(one) for name, one in small.named_modules() if isinstance(one, nn.Linear | Int8Linear)}
    assert {name for name, kind in kinds.items() if kind is nn.Linear} == {"merger.mlp.0", "merger.mlp.2"}
    expected, result = see(full, 8), see(small, 8)
    assert result.dtype == torch.float32
    assert 0.001 < (result - expected).norm() / expected.norm() < 0.03


def test_a_layer_that_an_adapter_wraps_stays() -> None:
    class Wrapped(nn.Linear):
        pass

    model = tower()
    model.blocks[0].attn.qkv = Wrapped(32, 96)
    quantize_vision(model)
    assert type(model.blocks[0].attn.qkv) is Wrapped
    assert type(model.blocks[1].attn.qkv) is Int8Linear
