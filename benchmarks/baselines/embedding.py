"""Masks from one embedding: a `<|seg|>`'s hidden state prompts a small mask decoder over the image features.

LISA takes the state that predicts its `[SEG]`. We take the state at `<|seg|>` itself, which has read one more token.
"""

from typing import Any, Self

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import Cache, Qwen2VLForConditionalGeneration
from transformers.conversion_mapping import get_checkpoint_conversion_mapping, register_checkpoint_conversion_mapping
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamPositionalEmbedding

from benchmarks.baselines.embedding_decoder import UPSCALE, EmbeddingDecoder
from stamp.model.attention import additive_mask
from stamp.model.configuration_stamp import StampConfig
from stamp.model.modeling_stamp import StampForSegmentation, StampRowsOutput, shared_prefix


@strict
class EmbeddingConfig(StampConfig):
    """STAMP's configuration and the size of the mask decoder.

    Differences from the parent: `decoder_width`, `decoder_mlp_width`, `decoder_heads`, `decoder_layers`.
    """

    decoder_width: int = 96
    decoder_mlp_width: int = 384
    decoder_heads: int = 4
    decoder_layers: int = 2

    def mask_decoder(self) -> SamMaskDecoderConfig:
        """One mask. The IoU head is not used, so it is as small as the class allows."""
        return SamMaskDecoderConfig(
            hidden_size=self.decoder_width,
            mlp_dim=self.decoder_mlp_width,
            num_attention_heads=self.decoder_heads,
            num_hidden_layers=self.decoder_layers,
            num_multimask_outputs=0,
            iou_head_hidden_dim=1,
        )


# Differences from StampForSegmentation:
# - masks come from `mask_decoder` instead of mask tokens and `classifier`; the unused `classifier` stays, so that
#   checkpoints of both classes load the same way;
# - `mask_pass` reads each `<|seg|>` again on top of the cache, because the cache keeps no hidden states;
# - logits are four times as fine as the grid in each direction.
class EmbeddingForSegmentation(StampForSegmentation):
    """Qwen2-VL with a mask decoder that one token prompts."""

    config: EmbeddingConfig
    config_class = EmbeddingConfig

    def __init__(self, config: EmbeddingConfig):
        super().__init__(config)
        self.mask_decoder = EmbeddingDecoder(config.text_config.hidden_size, config.mask_decoder())
        self.post_init()

    @classmethod
    def from_backbone(cls, model: StampForSegmentation, seed: int = 0) -> Self:
        """The weights of a backbone and a new decoder; the same seed gives the same weights."""
        config = EmbeddingConfig.from_dict(model.config.to_dict())
        torch.manual_seed(seed)
        grown = cls(config)
        grown.load_state_dict(model.state_dict(), strict=False)
        grown.generation_config = model.generation_config
        return grown

    def _init_weights(self, module: nn.Module) -> None:
        parent: Any = super()  # whose method has no annotations
        parent._init_weights(module)
        if isinstance(module, SamPositionalEmbedding):
            nn.init.normal_(module.positional_embedding, std=module.scale)

    def mask_grid(self, grid_hw: tuple[int, int]) -> tuple[int, int]:
        """See StampForSegmentation."""
        return UPSCALE * grid_hw[0], UPSCALE * grid_hw[1]

    def mask_pass(self, cache: Cache, seg_slots: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """(S, 16 P) logits. Arguments as in StampForSegmentation; each `<|seg|>` sees everything before it."""
        seg_index, seg_position, _ = seg_slots.unbind(1)
        seg = torch.full((len(seg_slots), 1), self.config.seg_token_id or 0, device=seg_index.device)
        before = torch.arange(cache.get_seq_length(), device=seg.device) < seg_index.view(-1, 1, 1, 1)
        allowed = torch.cat([before, before.new_ones(len(seg), 1, 1, 1)], dim=-1)
        embeds = self.embed_prompt(seg, None)
        positions = seg_position.view(1, -1, 1).expand(3, -1, 1)
        hidden = self._run_text(embeds, positions, additive_mask(allowed, embeds.dtype), shared_prefix(cache))
        logits: Tensor = self.mask_decoder(hidden[:, 0], image_embeds.expand(len(seg), -1, -1), grid_hw)
        return logits.flatten(1)

    def forward_rows(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        image_embeds: Tensor,
        grid_thw: Tensor,
        seg_index: Tensor | None = None,
        dialogues: Tensor | None = None,
    ) -> StampRowsOutput:
        """As in StampForSegmentation; `mask_logits` are (B, 16 P)."""
        output = super().forward_rows(input_ids, attention_mask, image_embeds, grid_thw, None, dialogues)
        if seg_index is not None:
            assert output.hidden_states is not None
            row = torch.arange(len(input_ids), device=input_ids.device)
            seg_hidden, grid_hw = output.hidden_states[row, seg_index], self.merged_grid(grid_thw[0])
            output.mask_logits = self.mask_decoder(seg_hidden, image_embeds, grid_hw).flatten(1)
        return output


# The parent's registration is by class name, so this class needs its own.
_CONVERSION: Any = get_checkpoint_conversion_mapping(Qwen2VLForConditionalGeneration.__name__)
register_checkpoint_conversion_mapping(EmbeddingForSegmentation.__name__, _CONVERSION, overwrite=True)
