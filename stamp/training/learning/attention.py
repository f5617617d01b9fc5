"""Attention in float32, while the other products are bfloat16.

On a CPU with bfloat16 matrix units, torch's fused attention with head size 32 is half as fast in bfloat16 as in
float32, forward and backward (torch 2.13), while everything around it is faster.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_float32"


def attention_in_float32(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """transformers' own "sdpa" with (B, heads, L, head_dim) in float32; the result has the dtype of `query`."""
    with torch.autocast(query.device.type, enabled=False):
        output, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **options)
    return output.to(query.dtype), None


AttentionInterface.register(NAME, attention_in_float32)
AttentionMaskInterface.register(NAME, sdpa_mask)
