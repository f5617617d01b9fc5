"""STAMP: Qwen2-VL that predicts a whole mask in one parallel forward pass (arXiv 2512.00395, section 3).

Shapes: B rows, L text and image tokens, P mask tokens (= merged patches of one image), S masks, H hidden size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Cache, DynamicCache, Qwen2VLForConditionalGeneration
from transformers.cache_utils import DynamicLayer
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.utils import ModelOutput

from stamp.model.attention import additive_mask, apart, hybrid_attention
from stamp.model.configuration_stamp import StampConfig
from stamp.model.shared_masks import SharedMaskHead, shared_attention
from stamp.model.vision_stem import StemmedVisionTower


@dataclass
class StampRowsOutput(ModelOutput):
    """Output of `StampForSegmentation.forward_rows`.

    hidden_states: (B, L, H) final-norm hidden states of the text and image tokens.
    mask_logits: (B, P) one logit per merged patch, row-major over the grid; > 0 is foreground. None without masks.
    Of a shared mask head: (B, S, P), for each `<|seg|>` of the row.
    """

    hidden_states: Tensor | None = None
    mask_logits: Tensor | None = None


class PatchProjection(nn.Conv3d):
    """The vision tower's first layer. Kernel = stride = input: one matrix product is ten times faster on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """(patches, C, T, P, P) pixels -> (patches, D)."""
        return functional.linear(input.flatten(1), self.weight.flatten(1), self.bias)


# Differences from Qwen2VLForConditionalGeneration:
# - `classifier`, one logit per mask token; with `mask_head="shared"` also `shared_masks`, for all masks of an answer;
# - `mask_pass` (inference, on top of the KV cache) and `forward_rows` (training, uncached): P tokens
#   embed(<|mask|>) + image feature that see the prefix up to their `<|seg|>` and each other, both directions;
# - image features and rotary positions are arguments, never model state, so calls do not affect each other.
class StampForSegmentation(Qwen2VLForConditionalGeneration):
    """Qwen2-VL with all-mask prediction. Attention must be "sdpa" or "eager" (explicit 4-D masks)."""

    config: StampConfig
    config_class = StampConfig

    def __init__(self, config: StampConfig):
        super().__init__(config)
        if config.vision_stem == "patches":
            conv = self.model.visual.patch_embed.proj
            self.model.visual.patch_embed.proj = PatchProjection(
                conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, bias=conv.bias is not None
            )
        else:
            self.model.visual = StemmedVisionTower._from_config(config.vision_config)
        self.classifier = nn.Linear(config.text_config.hidden_size, 1)
        if config.mask_head == "shared":
            self.shared_masks = SharedMaskHead(config.text_config.hidden_size)
        self.post_init()

    def merged_grid(self, grid_thw: Tensor) -> tuple[int, int]:
        """(rows, columns) of the mask grid of one image; `grid_thw` is its (3,) patch grid."""
        merge = self.config.vision_config.spatial_merge_size
        return int(grid_thw[1]) // merge, int(grid_thw[2]) // merge

    @property
    def shares_mask_tokens(self) -> bool:
        """Whether one set of mask tokens gives all masks of an answer, so that they are predicted when it ends."""
        return self.config.mask_head == "shared"

    def share_mask_tokens(self, seed: int = 0) -> None:
        """Give the model a shared mask head, if it has none. Its masks are the classifier's until it is trained."""
        if not self.shares_mask_tokens:
            torch.manual_seed(seed)
            self.config.mask_head = "shared"
            self.shared_masks = SharedMaskHead(self.config.text_config.hidden_size).to(self.classifier.weight)
            self.shared_masks.start_as_classifier()

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer, as its generation configuration says."""
        ids: Any = getattr(self.generation_config, "eos_token_id", None)
        return () if ids is None else (ids,) if isinstance(ids, int) else tuple(ids)

    def mask_grid(self, grid_hw: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of a mask's logits: one per merged patch. Subclasses may give more."""
        return grid_hw

    def encode_images(self, pixel_values: Tensor, grid_thw: Tensor) -> tuple[Tensor, ...]:
        """Vision features: (patches, patch_dim), (N, 3) -> N tensors (P_i, H), row-major over the merged grid."""
        features: Any = self.get_image_features(pixel_values, grid_thw, return_dict=True)
        return tuple(features.pooler_output)

    def embed_prompt(self, input_ids: Tensor, image_embeds: Tensor | None) -> Tensor:
        """Token embeddings (B, L, H), each `<|image_pad|>` replaced in order by a row of `image_embeds` (n, H)."""
        embeds: Tensor = self.get_input_embeddings()(input_ids)
        if image_embeds is None:
            return embeds
        is_image = input_ids == self.config.image_token_id
        if (n_pads := int(is_image.sum())) != len(image_embeds):
            raise ValueError(f"{n_pads} image tokens in the prompt, but {len(image_embeds)} image features")
        return embeds.masked_scatter(is_image.unsqueeze(-1), image_embeds.to(embeds.dtype))

    def rope_positions(
        self, input_ids: Tensor, grid_thw: Tensor | None, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Multimodal rotary positions (3, B, L): time, height, width axes."""
        is_image = (input_ids == self.config.image_token_id).int()
        positions: Tensor
        positions, _ = self.model.get_rope_index(input_ids, is_image, grid_thw, attention_mask=attention_mask)
        return positions

    def mask_positions(self, seg_position: Tensor, image_position: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Rotary positions of the mask tokens, (3, S, P).

        seg_position, image_position: (S,) rotary positions of each `<|seg|>` and of the first token of its image.
        """
        rows, columns = grid_hw
        mode = self.config.mask_position_mode
        k = torch.arange(rows * columns, device=seg_position.device)
        offsets = k.expand(3, -1)
        if mode != "sequential":
            offsets = torch.stack([torch.zeros_like(k), k // columns, k % columns])
        first = image_position if mode == "image" else seg_position + 1
        return first.view(1, -1, 1) + offsets.unsqueeze(1)

    def mask_queries(self, image_embeds: Tensor) -> Tensor:
        """Inputs of the mask tokens: embed(<|mask|>) + image feature. (..., P, H) -> (..., P, H)."""
        mask_id = torch.tensor(self.config.mask_token_id, device=image_embeds.device)
        embeds: Tensor = self.get_input_embeddings()(mask_id)
        return embeds + image_embeds.to(embeds.dtype)

    def mask_pass(self, cache: Cache, seg_slots: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """All-mask prediction on top of a KV cache: ONE forward pass, (S, P) mask logits.

        cache: of one conversation; must already hold every requested `<|seg|>`. It is not changed.
        seg_slots: (S, 3) each `<|seg|>`'s index in the cache, its rotary position, and that of the first token of the
        image to segment.
        image_embeds: (P, H) features of the image to segment.

        The released code misses the key and value of a `<|seg|>` on which generation stopped, and encodes the image
        again for each mask; here the caller feeds every `<|seg|>` first and passes the features as an argument.
        Several masks share the pass as a batch: each sees its own part of the shared prefix and its own P tokens.
        With a shared mask head, they share the P tokens.
        """
        if self.shares_mask_tokens:
            return self._shared_mask_pass(cache, seg_slots, image_embeds, grid_hw)
        seg_index, seg_position, image_position = seg_slots.unbind(1)
        n_masks, n_tokens = len(seg_slots), image_embeds.shape[0]
        queries = self.mask_queries(image_embeds).expand(n_masks, -1, -1)
        positions = self.mask_positions(seg_position, image_position, grid_hw)
        sees_prefix = torch.arange(cache.get_seq_length(), device=queries.device) <= seg_index.view(-1, 1, 1, 1)
        sees_prefix = sees_prefix.expand(-1, -1, n_tokens, -1)
        allowed = torch.cat([sees_prefix, sees_prefix.new_ones(n_masks, 1, n_tokens, n_tokens)], dim=-1)
        hidden = self._run_text(queries, positions, additive_mask(allowed, queries.dtype), shared_prefix(cache))
        logits: Tensor = self.classifier(hidden).squeeze(-1)
        return logits

    def _shared_mask_pass(
        self, cache: Cache, seg_slots: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]
    ) -> Tensor:
        """`mask_pass` over all `<|seg|>` of an answer, in their order, and one set of mask tokens.

        The cache keeps no hidden states, so the pass reads each `<|seg|>` again, beside the mask tokens.
        """
        seg_index, seg_position, image_position = seg_slots.unbind(1)
        n_masks, n_tokens = len(seg_slots), image_embeds.shape[0]
        segs = torch.full((n_masks,), self.config.seg_token_id or 0, device=seg_slots.device)
        inputs = torch.cat([self.embed_prompt(segs, None), self.mask_queries(image_embeds)]).unsqueeze(0)
        of_masks = self.mask_positions(seg_position[-1:], image_position[-1:], grid_hw)
        positions = torch.cat([seg_position.expand(3, 1, -1), of_masks], dim=2)
        allowed = shared_attention(seg_index, cache.get_seq_length(), n_tokens)
        hidden = self._run_text(inputs, positions, additive_mask(allowed, inputs.dtype), shared_prefix(cache))
        return self._shared_logits(hidden[:, n_masks:], hidden[:, :n_masks], seg_index.unsqueeze(0) >= 0)[0]

    def _shared_logits(self, cells: Tensor, targets: Tensor, known: Tensor) -> Tensor:
        """Hidden states of mask tokens (B, P, H) and of `<|seg|>` (B, S, H), which ones count -> (B, S, P) logits."""
        logits: Tensor = self.classifier(cells).mT + self.shared_masks(cells, targets, known)
        return logits

    def text_pass(
        self, inputs_embeds: Tensor, positions: Tensor, cache: Cache, allowed: Tensor | None = None
    ) -> Tensor:
        """Pass that extends the cache: (1, n, H), (3, 1, n) -> final-norm hidden states (1, n, H).

        allowed: bool (1, 1, n, keys that the cache gives); None is causal.
        """
        mask = None if allowed is None else additive_mask(allowed, inputs_embeds.dtype)
        return self._run_text(inputs_embeds, positions, mask, cache)

    def forward_rows(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        image_embeds: Tensor,
        grid_thw: Tensor,
        seg_index: Tensor | None = None,
        dialogues: Tensor | None = None,
    ) -> StampRowsOutput:
        """Uncached forward for training: text, followed in each row by the mask tokens of one `<|seg|>`, or of several.

        input_ids, attention_mask: (B, L) right-padded; each row holds one image and all rows one grid size.
        image_embeds: (B, P, H); grid_thw: (B, 3) patches.
        seg_index: (B,) index of the `<|seg|>` to predict in each row, or None for text only. The mask tokens do not
        see text after that `<|seg|>`, so one row trains answer and mask together. For a shared mask head also (B, S):
        all of an answer in their order, filled up with -1; mask tokens see the text up to the last one.
        dialogues: (B, L) without `seg_index`; see `apart`.
        """
        n_rows, length = input_ids.shape
        embeds = self.embed_prompt(input_ids, image_embeds.flatten(0, 1))
        positions = self.rope_positions(input_ids, grid_thw, attention_mask)
        if seg_index is None:
            allowed = hybrid_attention(attention_mask, None, 0)
            if dialogues is not None:
                sees, shift = apart(dialogues)
                allowed, positions = allowed & sees.unsqueeze(1), positions - shift
            hidden = self._run_text(embeds, positions, additive_mask(allowed, embeds.dtype))
            return StampRowsOutput(hidden_states=hidden)
        row = torch.arange(n_rows, device=input_ids.device)
        image_index = (input_ids == self.config.image_token_id).int().argmax(1)
        segs = seg_index.view(n_rows, -1)
        last_seg = segs.amax(1)
        seg_position, image_position = positions[0, row, last_seg], positions[0, row, image_index]
        n_tokens = image_embeds.shape[1]
        allowed = self.row_attention(attention_mask, last_seg, n_tokens)
        of_masks = self.mask_positions(seg_position, image_position, self.merged_grid(grid_thw[0]))
        hidden = self._run_text(
            torch.cat([embeds, self.mask_queries(image_embeds)], dim=1),
            torch.cat([positions, of_masks], dim=2),
            additive_mask(allowed, embeds.dtype),
        )
        text, cells = hidden[:, :length], hidden[:, length:]
        if self.shares_mask_tokens:
            logits = self._shared_logits(cells, text[row.unsqueeze(1), segs], segs >= 0)
        else:
            logits = self.classifier(cells).squeeze(-1)
        return StampRowsOutput(hidden_states=text, mask_logits=logits)

    def row_attention(self, attention_mask: Tensor, seg_index: Tensor | None, n_mask_tokens: int) -> Tensor:
        """The attention mask of training rows, see `hybrid_attention`."""
        return hybrid_attention(attention_mask, seg_index, n_mask_tokens)

    def _run_text(
        self, embeds: Tensor, positions: Tensor, additive_mask: Tensor | None, cache: Cache | None = None
    ) -> Tensor:
        mask = None if additive_mask is None else {"full_attention": additive_mask}
        output = self.model.language_model(
            inputs_embeds=embeds,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden


class _PrefixLayer(DynamicLayer):
    """Keys and values of one prefix, shared by a batch of continuations that are not kept."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """(B, heads, n, D) new keys and values -> the prefix's and theirs, (B, heads, L + n, D)."""
        assert self.keys is not None
        assert self.values is not None
        batch = len(key_states)
        keys = torch.cat([self.keys.expand(batch, -1, -1, -1), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(batch, -1, -1, -1), value_states], dim=-2)


def shared_prefix(cache: Cache) -> DynamicCache:
    """The same keys and values, not copied, for several continuations to read at once."""
    shared = DynamicCache()
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        view = _PrefixLayer()
        view.keys, view.values, view.is_initialized = layer.keys, layer.values, True
        shared.layers.append(view)
    return shared


# Published files use the older key layout (`visual.*`, `model.layers.*`). The conversion is registered by class
# name and not inherited; without it the language model would silently keep random values.
register_checkpoint_conversion_mapping(
    StampForSegmentation.__name__,
    get_checkpoint_conversion_mapping(Qwen2VLForConditionalGeneration.__name__),
    overwrite=True,
)
