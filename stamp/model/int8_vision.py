"""The vision tower in 8 bits on a CPU: weights and activations, with the integer product that torch brings along.

Each row of an activation and each row of a weight has its own scale: the largest absolute value becomes 127. The rows
are multiplied as int8 with int32 sums (`torch._int_mm`, oneDNN), then scaled back. Only the four linear layers of each
block are converted, which are all but a few percent of the tower's weights; the first projection, the norms, the
residual stream and the merger keep their precision.

Where the CPU multiplies bfloat16 (AVX512_BF16), attention does so, too. After the linear layers it is most of what is
left, and without matrix units (AMX) torch's own kernel is no faster in bfloat16 than in float32.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

#: Rows computed at once: what belongs to them stays in the processor's cache between two operations.
ROWS = 256
LARGEST = 127
#: Keeps the scale of a row of zeros above zero.
SMALLEST = 1e-30
ATTENTION_IN_BFLOAT16 = "rows_bfloat16"


class Int8Linear(nn.Module):
    """A linear layer in 8 bits, for inference. `weight` is int8 (N, K), `scale` (N,) and `bias` (N,) are float32."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        weight, scale = to_int8(linear.weight.detach().float())
        bias = torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().float().clone()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.scale = nn.Buffer(scale.squeeze(1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, K) -> (n, N) of the same dtype."""
        result = hidden.new_empty(len(hidden), len(self.weight))
        for rows, of_rows in zip(hidden.split(ROWS), result.split(ROWS), strict=True):
            values, scale = to_int8(rows.float())
            product = torch._int_mm(values, self.weight.t()).float().mul_(self.scale)
            of_rows.copy_(torch.addcmul(self.bias, product, scale))
        return result


class ByRows(nn.Module):
    """Runs a module that treats each row by itself on `ROWS` rows at a time."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, hidden: Tensor) -> Tensor:
        """(n, K) -> (n, N)."""
        return torch.cat([self.inner(rows) for rows in hidden.split(ROWS)])


def to_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """float32 (n, K) -> int8 (n, K) and the scale of each row, float32 (n, 1): values * scale is the row, rounded."""
    scale = rows.abs().amax(1, keepdim=True).clamp_min_(SMALLEST).div_(LARGEST)
    return (rows / scale).round_().to(torch.int8), scale


def has_fast_int8() -> bool:
    """Whether this CPU has VNNI instructions. Without them torch multiplies int8 in a loop, far slower than float32."""
    return bool(torch.cpu._is_vnni_supported())


def is_int8_vision(tower: nn.Module) -> bool:
    """Whether `quantize_vision` has converted the tower."""
    return any(isinstance(module, Int8Linear) for module in tower.modules())


def quantize_vision(tower: Any) -> None:
    """Convert the tower of a Qwen2-VL in place. Layers that another library has wrapped (an adapter's) stay."""
    for block in tower.blocks:
        for parent, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2")):
            if type(linear := getattr(parent, name)) is nn.Linear:
                setattr(parent, name, Int8Linear(linear))
        block.mlp = ByRows(block.mlp)
    if torch.cpu._is_avx512_bf16_supported() and not torch.cpu._is_amx_tile_supported():
        tower.set_attn_implementation(ATTENTION_IN_BFLOAT16)


def attention_in_bfloat16(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    """Every patch attends to every patch: (1, heads, L, D) -> (1, L, heads, D) of the query's dtype.

    The scores of `ROWS` patches of one head are in memory at a time. The mean of the keys is subtracted first: it adds
    the same to all scores of a patch, so the softmax stays the same, and smaller scores lose less in bfloat16.
    """
    key = key - key.mean(2, keepdim=True)
    by_head = ((query * scaling)[0].bfloat16(), key[0].bfloat16(), value[0].bfloat16())
    heads = [
        torch.cat([torch.softmax(rows @ keys.t(), -1) @ values for rows in queries.split(ROWS)])
        for queries, keys, values in zip(*by_head, strict=True)
    ]
    return torch.stack(heads, 1)[None].to(query.dtype), None


AttentionInterface.register(ATTENTION_IN_BFLOAT16, attention_in_bfloat16)
AttentionMaskInterface.register(ATTENTION_IN_BFLOAT16, sdpa_mask)
