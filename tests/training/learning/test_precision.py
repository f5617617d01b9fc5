"""Attention in float32 amid bfloat16 products."""

import torch
from torch import nn

from stamp.training.learning.precision import attention_in_float32


def test_it_is_exact_attention_of_bfloat16_numbers_under_autocast() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 9, 8, dtype=torch.bfloat16) for _ in range(3))
    module = nn.Module()
    module.is_causal = False  # type: ignore[assignment]
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = attention_in_float32(module, query, key, value, None, scaling=0.25, is_causal=False)
    weights = (query.double() @ key.double().transpose(-1, -2) * 0.25).softmax(-1)
    expected = (weights @ value.double()).transpose(1, 2)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, expected.to(torch.bfloat16))
