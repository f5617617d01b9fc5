"""The shared mask head: the masks of all targets of an answer from ONE set of mask tokens.

The published classifier has one logit per mask token, so each `<|seg|>` needs P mask tokens of its own. Here P tokens
see the answer up to its last `<|seg|>`. The classifier says whether a cell belongs to any of the targets, and each
`<|seg|>` claims its cells among those. A single target has the classifier's logits alone, as in the published model.

STAMPlus (arXiv 2608.02791, no public code) describes one pass over one set of mask tokens for a numbered list of
targets, with a softmax over them. This head is this project's own form of the idea. Its softmax decides between the
targets only, and each target keeps a sigmoid of its own, because targets may overlap ("the people and the man on the
left"): a cell that two claim alike belongs to both if it belongs to any. A cell that one claims more than the other
seldom does, so a rival's lead counts SHARPNESS times.

Shapes: B rows, S targets, P mask tokens, L tokens of the prefix, H hidden size.
"""

from math import sqrt

import torch
from torch import Tensor, nn

#: How much more than in the odds of a softmax a target loses where another one claims a cell more. Learned odds are
#: honest about hard cells, and 3 to 2 would leave such a cell to both.
SHARPNESS = 3.0


class SharedMaskHead(nn.Module):
    """What a target's logits have beside the classifier's, which all targets of the pass have in common.

    How much of a cell the target claims. p is a softmax over the targets of the scaled products of two projections, of
    the mask tokens' hidden states and of the `<|seg|>`'s. The target with the largest p gets log(S p), relative to an
    even share; another one has SHARPNESS times the logarithm of p over the largest p less. 0 for S = 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_cells = nn.Linear(width, width)
        self.of_targets = nn.Linear(width, width, bias=False)  # what all targets have in common changes no softmax

    def forward(self, cells: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """(B, P, H) and (B, S, H) final-norm hidden states -> (B, S, P). known: (B, S) bool, False for padding."""
        product: Tensor = self.of_targets(targets) @ self.of_cells(cells).mT / sqrt(self.of_cells.out_features)
        claims = product.masked_fill(~known.unsqueeze(-1), torch.finfo(product.dtype).min).log_softmax(1)
        largest = claims.amax(1, keepdim=True)
        return largest + known.sum(1).log().view(-1, 1, 1) + SHARPNESS * (claims - largest)

    def start_as_classifier(self) -> None:
        """Every target gets the classifier's logits at first; gradients reach the cells' projection at once."""
        nn.init.zeros_(self.of_cells.weight)
        nn.init.zeros_(self.of_cells.bias)


def shared_attention(seg_index: Tensor, n_prefix: int, n_mask_tokens: int) -> Tensor:
    """Who sees whom in a cached pass over S `<|seg|>`, read again, and P mask tokens: bool (1, 1, S + P, L + S + P).

    seg_index: (S,) ascending, their indices in the prefix of L tokens. A `<|seg|>` sees the prefix up to itself; mask
    tokens see it up to the last `<|seg|>`, and each other.
    """
    n_masks = len(seg_index)
    allowed = seg_index.new_zeros(n_masks + n_mask_tokens, n_prefix + n_masks + n_mask_tokens, dtype=torch.bool)
    last = torch.cat([seg_index, seg_index[-1:].expand(n_mask_tokens)])
    allowed[:, :n_prefix] = torch.arange(n_prefix, device=seg_index.device) <= last.unsqueeze(1)
    allowed[n_masks:, n_prefix + n_masks :] = True
    return allowed[None, None]
