"""The precision of a training step: bfloat16 where it is faster, float32 where it is not.

On a CPU with bfloat16 matrix units most products are faster in bfloat16, but torch's fused attention with head size 32
is half as fast, forward and backward (torch 2.13). On a CPU without them, everything in bfloat16 is slower, and torch's
Muon always orthogonalises in it: 4.6 s of a step of the nano's 7.2 s.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION_IN_FLOAT32 = "sdpa_float32"


def fast_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for products in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


class MuonInFloat32(TorchFunctionMode):
    """While active, `tensor.bfloat16()`, which Muon calls before it orthogonalises, gives a float32 copy."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """All other calls stay as they are."""
        if func is Tensor.bfloat16:
            return args[0].to(torch.float32, copy=True)
        return func(*args, **(kwargs or {}))


def attention_in_float32(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """transformers' own "sdpa" with (B, heads, L, head_dim) in float32; the result has the dtype of `query`."""
    with torch.autocast(query.device.type, enabled=False):
        output, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **options)
    return output.to(query.dtype), None


AttentionInterface.register(ATTENTION_IN_FLOAT32, attention_in_float32)
AttentionMaskInterface.register(ATTENTION_IN_FLOAT32, sdpa_mask)
