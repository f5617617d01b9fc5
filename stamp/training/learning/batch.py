"""The tensors of a training batch: pictures, what their cells show, and rows of tokens about them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Rows:
    """R right-padded token rows, each about one image of the batch.

    input_ids, attention_mask, is_answer: (R, L); image_index: (R,) into the batch's images.
    attention_index: (K, 3) head, row and query of each attention target; attention_targets: (K, L + P) its weights.
    seg_index: (R,) index of the `<|seg|>` that is trained; or (R, S) of all of an answer, filled up with -1.
    target: (masks, logits of a mask) soft coverage, P logits unless the model is finer; a mask for each index, row by
    row. Both are None if only words are trained.
    dialogues: (R, L) number of each token's dialogue, from 1, or 0 for what all of a row share; None: one dialogue.
    """

    input_ids: Tensor
    attention_mask: Tensor
    is_answer: Tensor
    image_index: Tensor
    attention_index: Tensor
    attention_targets: Tensor
    seg_index: Tensor | None = None
    target: Tensor | None = None
    dialogues: Tensor | None = None

    def to(self, device: torch.device) -> "Rows":
        """The same rows on another device."""
        values: dict[str, Any] = {k: None if v is None else v.to(device) for k, v in vars(self).items()}
        return Rows(**values)


@dataclass
class Batch:
    """pixel_values (patches of all N images, patch_dim), grid_thw (N, 3), coverage (N, P, 1 + nouns), and rows.

    weights: (N, P) how much to trust the coverage of each cell, 0..1.

    pixel_values is None if a stage does not use pictures.
    features: (N, P, H) image features, if another model with the same frozen tower has computed them.
    attributes: (N, P, N_ATTRIBUTES) of each cell, see `cells.Grid`; places: (N, P, N_PLACE) the places in the picture
    that the attributes' offsets point to, where a cell's objects are; the cell's own place if it has no object.
    """

    pixel_values: Tensor | None
    grid_thw: Tensor
    coverage: Tensor
    weights: Tensor
    attributes: Tensor
    places: Tensor
    mask_rows: Rows | None
    text_rows: Rows | None
    features: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        values: dict[str, Any] = {k: None if v is None else v.to(device) for k, v in vars(self).items()}
        return Batch(**values)
