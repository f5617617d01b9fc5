"""The text layers in 8 bits on a CPU: bitsandbytes computes them, with a faster last step for many rows.

bitsandbytes multiplies integers with torch (`torch._int_mm`), then scales the product with operations that each read
and write all of it: tens of megabytes a layer, for a prompt of a thousand tokens. Here it is scaled in blocks of rows
that stay in the processor's cache. The results differ by a constant two parts in a hundred thousand: bitsandbytes
writes 1 / 127 ** 2 with seven digits. Columns with outliers are still computed apart, by bitsandbytes itself.
"""

from functools import cache

import torch
from torch import Tensor
from torch.library import Library

from stamp.model.int8_vision import LARGEST, ROWS


def scaled_product(
    a: Tensor,
    b: Tensor,
    row_stats: Tensor,
    col_stats: Tensor,
    bias: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """int8 (n, K) and (N, K), the largest absolute value of each of their rows, (N,) bias -> (n, N) of `dtype`.

    The operator `bitsandbytes::int8_scaled_mm`, whose default dtype is float16.
    """
    result = torch.empty(len(a), len(b), dtype=dtype or torch.float16)
    of_columns = col_stats / LARGEST**2
    blocks = (one.split(ROWS) for one in (a, row_stats.view(-1, 1), result))
    for rows, of_rows, to in zip(*blocks, strict=True):
        product = torch._int_mm(rows, b.t()).float().mul_(of_columns).mul_(of_rows)
        to.copy_(product if bias is None else product.add_(bias))
    return result


@cache
def speed_up_bitsandbytes() -> Library:
    """Give all 8-bit layers on a CPU this product, until the cache of this function is cleared."""
    import bitsandbytes  # noqa: F401 (defines the operator)

    library = Library("bitsandbytes", "IMPL")
    library.impl("int8_scaled_mm", scaled_product, "CPU")
    return library
