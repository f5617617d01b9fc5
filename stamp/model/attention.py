"""Which tokens see which, as attention masks, where that differs from the causal text model.

Shapes: B rows, L text and image tokens, P mask tokens.
"""

import torch
from torch import Tensor


def hybrid_attention(attention_mask: Tensor, seg_index: Tensor | None, n_mask_tokens: int) -> Tensor:
    """The attention mask, bool (B, 1, L+P, L+P) [query, key].

    attention_mask: (B, L), 1 for real tokens, right-padded. Text is causal; mask tokens see the text up to and
    including `seg_index` (B,) and each other. Padding sees only itself, so that no softmax is empty.
    """
    n_rows, length = attention_mask.shape
    index = torch.arange(length, device=attention_mask.device)
    real = attention_mask.bool()
    text = (index <= index.view(-1, 1)) & real.unsqueeze(1)
    text = text | torch.eye(length, dtype=torch.bool, device=index.device)
    if seg_index is None:
        return text.unsqueeze(1)
    allowed = text.new_zeros(n_rows, length + n_mask_tokens, length + n_mask_tokens)
    allowed[:, :length, :length] = text
    allowed[:, length:, :length] = (index <= seg_index.view(-1, 1)).unsqueeze(1)
    allowed[:, length:, length:] = True
    return allowed.unsqueeze(1)


def apart(dialogues: Tensor) -> tuple[Tensor, Tensor]:
    """Dialogues that follow the same tokens in one row, but do not see each other: (attention, shift of positions).

    dialogues: (B, L) number of each token's dialogue, from 1, or 0 for what all share, which comes first.
    Bool (B, L, L) [query, key], and (B, L) to subtract from rotary positions: each dialogue follows the shared tokens.
    """
    same = dialogues.unsqueeze(2) == dialogues.unsqueeze(1)
    start, n_shared = same.int().argmax(2), (dialogues > 0).int().argmax(1, keepdim=True)
    return same | (dialogues == 0).unsqueeze(1), (start - n_shared) * (dialogues > 0)


def additive_mask(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """bool -> 0 / -inf: eager attention adds its mask, so a boolean mask would be silently wrong."""
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, float("-inf"))
