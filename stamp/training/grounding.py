"""Losses on the inside of the text model: where it looks (`looks`), and that it knows where image tokens are."""

from typing import Any

import torch
from torch import Tensor
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb

from stamp.modeling_stamp import StampForSegmentation
from stamp.training.data import Rows
from stamp.training.looks import Head

#: Text layer (from 0) and number of each head: first words are matched with the picture, then answers use it.
HEADS = {Head.CELLS: (1, 0), Head.EACH: (1, 1), Head.NAMED: (1, 2), Head.ASKED: (2, 0), Head.FOUND: (3, 0)}
#: The first layer adds to each image token where it is; the input of this one has it.
PLACED_LAYER = 1


class Grounding:
    """Keeps what layers were given in the last forward pass of the model, to compute attention weights again."""

    def __init__(self, model: StampForSegmentation):
        self._given: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._image_token_id: int = model.config.image_token_id
        self.placed: Tensor | None = None
        layers: Any = model.model.language_model.layers
        for number in {layer for layer, _ in HEADS.values()}:
            layers[number].self_attn.register_forward_pre_hook(self._keep, with_kwargs=True)
        layers[PLACED_LAYER].register_forward_pre_hook(self._keep_placed, with_kwargs=True)

    def _keep(self, attention: Any, arguments: Any, given: dict[str, Any]) -> None:
        self._given[attention.layer_idx] = (attention, given)

    def _keep_placed(self, layer: Any, arguments: Any, given: dict[str, Any]) -> None:
        self.placed = arguments[0] if arguments else given["hidden_states"]

    def image_states(self, rows: Rows, n_tokens: int) -> Tensor:
        """Hidden states behind the first layer: (R, P, H) of image tokens, then (R, P, H) of mask tokens, if any."""
        assert self.placed is not None
        length = rows.input_ids.shape[1]
        is_image = rows.input_ids == self._image_token_id
        image = self.placed[:, :length][is_image].view(len(rows.input_ids), n_tokens, -1)
        return torch.cat([image, self.placed[:, length:]]) if self.placed.shape[1] > length else image

    def look_loss(self, rows: Rows) -> Tensor:
        """Kullback-Leibler divergence of attention from where it should be: the mean of each head's looks, added up."""
        loss = rows.look_shares.new_zeros(())
        queries_keys = {layer: self._queries_keys(layer) for layer in self._given}
        for head, (layer, number) in HEADS.items():
            mine = rows.look_index[:, 0] == head
            _, row, query = rows.look_index[mine].unbind(1)
            if len(row):
                q, k = (part[:, number] for part in queries_keys[layer])
                attention, given = self._given[layer]
                scores = (q @ k.mT * attention.scaling)[row, query] + given["attention_mask"][row, 0, query]
                log_weights = scores.float().log_softmax(-1)
                wanted = rows.look_shares[mine][:, : log_weights.shape[1]]
                reached = log_weights.masked_fill(wanted == 0, 0.0)  # 0 * -inf would be nan
                loss = loss + (torch.special.xlogy(wanted, wanted) - wanted * reached).sum(1).mean()
        return loss

    def _queries_keys(self, layer: int) -> tuple[Tensor, Tensor]:
        """Rotated queries and keys of a layer, (B, heads, L, D) each."""
        attention, given = self._given[layer]
        hidden = given["hidden_states"]
        shape = (*hidden.shape[:2], -1, attention.head_dim)
        q, k = (project(hidden).view(shape).transpose(1, 2) for project in (attention.q_proj, attention.k_proj))
        rotated: tuple[Tensor, Tensor] = apply_rotary_pos_emb(q, k, *given["position_embeddings"])
        return rotated
