"""Losses inside the text model: attention against its targets (`attention_targets`), and probes of hidden states.

The layers' outputs soon outweigh the image features, which say what is where, and later layers would have to find that
in the noise. So probe losses read it from the hidden states wherever it is needed.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.training.learning.attention_targets import HEADS, Head
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.cells import N_PLACE
from stamp.training.learning.objectives import NounFeatures, dense_loss

#: The layers whose inputs are probed. The first layer adds its place to each image token; the inputs of these layers
#: have it, and they match words with places.
PLACE_PROBE_LAYERS = (1, 3)
#: At this layer's input, image tokens still say which noun they show; answers read it from there,
CELL_PROBE_LAYER = 3
#: and at the input of this one, an answer's tokens say what was found.
FOUND_PROBE_LAYER = 4
#: At the first one's input, each noun knows where its objects are, how large and how many. At the second's, answers
#: know this about the noun in the question, so "where", "how many" and "is there" only need the right words.
NOUN_FACT_LAYER, ANSWER_FACT_LAYER = 2, 3
#: Numbers to distinguish: at least one, two, three and four.
MAX_COUNT = 4
#: Weights of the probes relative to the attention loss: where image tokens are, what they show, what answers have
#: found, and what is known about the nouns in questions.
PLACE_PROBE_WEIGHT, CELL_PROBE_WEIGHT, FOUND_PROBE_WEIGHT, FACT_PROBE_WEIGHT = 10.0, 1.0, 3.0, 60.0


class Grounding:
    """Keeps the layers' inputs of the model's last forward pass, to compute attention weights again."""

    def __init__(self, model: StampForSegmentation):
        self._given: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._image_token_id: int = model.config.image_token_id
        self._inputs: dict[int, Tensor] = {}
        layers: Any = model.model.language_model.layers
        for number in {layer for layer, _ in HEADS.values()}:
            layers[number].self_attn.register_forward_pre_hook(self._keep, with_kwargs=True)
        for number in {*PLACE_PROBE_LAYERS, CELL_PROBE_LAYER, FOUND_PROBE_LAYER, NOUN_FACT_LAYER, ANSWER_FACT_LAYER}:
            layers[number].register_forward_pre_hook(partial(self._keep_input, number), with_kwargs=True)

    def _keep(self, attention: Any, arguments: Any, given: dict[str, Any]) -> None:
        self._given[attention.layer_idx] = (attention, given)

    def _keep_input(self, number: int, layer: Any, arguments: Any, given: dict[str, Any]) -> None:
        hidden = arguments[0] if arguments else given["hidden_states"]
        self._inputs[number] = functional.rms_norm(hidden, hidden.shape[-1:])

    def loss(self, rows: Rows, batch: Batch, nouns: NounFeatures, embeddings: Tensor) -> Tensor:
        """Attention and probe losses of rows of the last forward pass, weighted. embeddings: (V, H) of words."""
        vectors = nouns.vectors(embeddings).detach()
        n_cells = batch.places.shape[1]
        states = {layer: self.image_states(rows, n_cells, layer) for layer in {*PLACE_PROBE_LAYERS, CELL_PROBE_LAYER}}
        image = rows.image_index.repeat(len(states[CELL_PROBE_LAYER]) // len(rows.image_index))  # image and mask tokens
        loss = self.attention_loss(rows)
        for layer in PLACE_PROBE_LAYERS:
            loss = loss + PLACE_PROBE_WEIGHT * nouns.marks_loss(states[layer], batch.places[image])
        kept = states[CELL_PROBE_LAYER] @ vectors.T
        loss = loss + CELL_PROBE_WEIGHT * dense_loss(kept, batch.coverage[image], batch.weights[image])
        marks = torch.cat([batch.places, batch.attributes[..., N_PLACE:]], dim=-1)
        loss = loss + FACT_PROBE_WEIGHT * nouns.marks_loss(*self.fact_probe_states(rows, marks))
        return loss + FOUND_PROBE_WEIGHT * self.found_probe_loss(rows, batch.coverage, vectors)

    def image_states(self, rows: Rows, n_tokens: int, layer: int) -> Tensor:
        """A layer's normed input: (R, P, H) of image tokens, then (R, P, H) of mask tokens, if any."""
        states = self._inputs[layer]
        length = rows.input_ids.shape[1]
        is_image = rows.input_ids == self._image_token_id
        image = states[:, :length][is_image].view(len(rows.input_ids), n_tokens, -1)
        return torch.cat([image, states[:, length:]]) if states.shape[1] > length else image

    def found_probe_loss(self, rows: Rows, coverage: Tensor, vectors: Tensor) -> Tensor:
        """Cross-entropy of the nouns that the FOUND targets point to, read from the tokens that attend.

        coverage: (N, P, 1 + nouns) of the batch's images; vectors: (1 + nouns, H).
        """
        mine = rows.attention_index[:, 0] == Head.FOUND
        _, row, query = rows.attention_index[mine].unbind(1)
        wanted = self._attended_means(rows, mine, coverage)[:, 1:]
        wanted = wanted / wanted.sum(1, keepdim=True).clamp(min=1e-9)
        logits = self._inputs[FOUND_PROBE_LAYER][row, query] @ vectors[1:].T
        return -(wanted * logits.float().log_softmax(-1)).sum() / max(1, len(row))

    def fact_probe_states(self, rows: Rows, marks: Tensor) -> tuple[Tensor, Tensor]:
        """States (K, H) that should know about a noun's objects, and the facts they should know (K, M + MAX_COUNT).

        marks: (N, P, M) of the batch's images. The facts are the means of the marks over the noun's objects, 0 without
        any, then 1 for each of "at least one", "at least two", ... that is true.
        """
        head, row, query = rows.attention_index.unbind(1)
        names, answers = head == Head.CELLS, (head == Head.ASKED) & (rows.attention_targets.max(1).values == 1)
        where = self._attended_means(rows, names, marks)
        count = 1 / rows.attention_targets[head == Head.EACH][:, :1] - 1
        known = torch.cat([where, (count > torch.arange(MAX_COUNT, device=count.device) + 0.5).to(where)], dim=1)
        of_token = known.new_zeros(*rows.input_ids.shape, known.shape[1])
        of_token[row[names], query[names]] = known
        noun = rows.attention_targets[answers].argmax(1)
        states = [self._inputs[NOUN_FACT_LAYER][row[names], query[names]]]
        states.append(self._inputs[ANSWER_FACT_LAYER][row[answers], query[answers]])
        return torch.cat(states), torch.cat([known, of_token[row[answers], noun]])

    def _attended_means(self, rows: Rows, which: Tensor, cells: Tensor) -> Tensor:
        """Means (K, C) of the images' cells (N, P, C), weighted by some attention targets. which: bool."""
        row = rows.attention_index[which, 1]
        is_image = (rows.input_ids == self._image_token_id)[row]
        weights = rows.attention_targets[which][:, : is_image.shape[1]][is_image].view(len(row), cells.shape[1])
        return torch.einsum("kp,kpc->kc", weights, cells[rows.image_index[row]])

    def attention_loss(self, rows: Rows) -> Tensor:
        """Kullback-Leibler divergence of attention from its target: the mean per kind of target, summed over kinds."""
        loss = rows.attention_targets.new_zeros(())
        queries_keys = {layer: self._queries_keys(layer) for layer in self._given}
        for head, (layer, numbers) in HEADS.items():
            mine = rows.attention_index[:, 0] == head
            _, row, query = rows.attention_index[mine].unbind(1)
            if len(row):
                wanted = rows.attention_targets[mine].unsqueeze(1)
                q, k = (part[:, numbers] for part in queries_keys[layer])
                attention, given = self._given[layer]
                scores = (q @ k.mT * attention.scaling)[row, :, query] + given["attention_mask"][row, :, query]
                log_weights = scores.float().log_softmax(-1)
                wanted = wanted[..., : log_weights.shape[-1]]
                reached = log_weights.masked_fill(wanted == 0, 0.0)  # 0 * -inf would be nan
                loss = loss + (torch.special.xlogy(wanted, wanted) - wanted * reached).sum(-1).mean()
        return loss

    def _queries_keys(self, layer: int) -> tuple[Tensor, Tensor]:
        """Rotated queries and keys of a layer, (B, heads, L, D) each."""
        attention, given = self._given[layer]
        hidden = given["hidden_states"]
        shape = (*hidden.shape[:2], -1, attention.head_dim)
        q, k = (project(hidden).view(shape).transpose(1, 2) for project in (attention.q_proj, attention.k_proj))
        rotated: tuple[Tensor, Tensor] = apply_rotary_pos_emb(q, k, *given["position_embeddings"])
        return rotated
