"""Masks from one embedding: a `<|seg|>`'s hidden state prompts a mask decoder over the image features.

After LISA (arXiv 2308.00692): last hidden state -> two linear layers -> prompt of Segment Anything's mask decoder. Here
the decoder is transformers' `SamMaskDecoder` in a small size, and its image features are those that the language model
reads, projected; LISA has a second vision tower for them. LISA takes the state that predicts its `[SEG]`, and this the
state at `<|seg|>` itself, which has read one token more.
"""

from types import SimpleNamespace
from typing import Any, Self

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import Cache, Qwen2VLForConditionalGeneration
from transformers.conversion_mapping import get_checkpoint_conversion_mapping, register_checkpoint_conversion_mapping
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPositionalEmbedding

from stamp.configuration_stamp import StampConfig
from stamp.modeling_stamp import StampForSegmentation, StampRowsOutput, additive_mask, shared_prefix

#: Logits a cell and axis: the decoder's two transposed convolutions.
UPSCALE = 4
#: Spread of the random frequencies: that of the original code; transformers has another, which weights always replace.
POSITIONS_SCALE = 1.0


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
        """One mask, and no more of the unused guess of its IoU than the class insists on."""
        config = SamMaskDecoderConfig(
            hidden_size=self.decoder_width,
            mlp_dim=self.decoder_mlp_width,
            num_attention_heads=self.decoder_heads,
            num_hidden_layers=self.decoder_layers,
            num_multimask_outputs=0,
            iou_head_hidden_dim=1,
        )
        config._attn_implementation = "sdpa"
        return config


# Differences from StampForSegmentation:
# - masks come from `prompt`, `image_projection` and `mask_decoder` instead of mask tokens and `classifier`, which
#   stays, unused, so that checkpoints of both load alike;
# - `mask_pass` reads each `<|seg|>` once more, on top of the cache: the cache keeps no hidden states;
# - logits are four times as fine as the grid, each way.
class EmbeddingForSegmentation(StampForSegmentation):
    """Qwen2-VL with a mask decoder that one token prompts."""

    config: EmbeddingConfig
    config_class = EmbeddingConfig

    def __init__(self, config: EmbeddingConfig):
        super().__init__(config)
        hidden, width = config.text_config.hidden_size, config.decoder_width
        self.prompt = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.image_projection = nn.Linear(hidden, width)
        self.positions = SamPositionalEmbedding(SimpleNamespace(num_pos_feats=width // 2, scale=POSITIONS_SCALE))
        self.no_dense_prompt = nn.Embedding(1, width)
        self.mask_decoder = SamMaskDecoder(config.mask_decoder())
        self.post_init()

    @classmethod
    def from_backbone(cls, model: StampForSegmentation, seed: int = 0) -> Self:
        """The weights of a backbone and a fresh decoder; equal for equal seeds."""
        config = EmbeddingConfig.from_dict(model.config.to_dict())
        torch.manual_seed(seed)
        grown = cls(config)
        grown.load_state_dict(model.state_dict(), strict=False)
        grown.generation_config = model.generation_config
        return grown

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, SamPositionalEmbedding):
            nn.init.normal_(module.positional_embedding, std=module.scale)

    def mask_grid(self, grid_hw: tuple[int, int]) -> tuple[int, int]:
        """See StampForSegmentation."""
        return UPSCALE * grid_hw[0], UPSCALE * grid_hw[1]

    def decode_masks(self, seg_hidden: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """(B, H) hidden states of `<|seg|>`, (B, P, H) image features -> (B, 16 P) logits, row-major."""
        features = self.image_projection(image_embeds).mT.unflatten(2, grid_hw)
        masks, _ = self.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=self._position_features(grid_hw).expand_as(features),
            sparse_prompt_embeddings=self.prompt(seg_hidden)[:, None, None],
            dense_prompt_embeddings=self.no_dense_prompt.weight.view(1, -1, 1, 1).expand_as(features),
            multimask_output=False,
        )
        logits: Tensor = masks.flatten(1)
        return logits

    @torch.no_grad()
    def _position_features(self, grid_hw: tuple[int, int]) -> Tensor:
        """(1, width, gh, gw): SAM's fixed random Fourier features of the cells' centres, 0..1 each way."""
        rows, columns = ((torch.arange(n, device=self.device) + 0.5) / n for n in grid_hw)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        features: Tensor = self.positions(torch.stack([x, y], dim=-1))
        return features.permute(2, 0, 1)[None]

    def mask_pass(
        self, cache: Cache, seg_index: Tensor, seg_position: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]
    ) -> Tensor:
        """(S, 16 P) logits. Arguments as of StampForSegmentation; each `<|seg|>` sees what stands before it."""
        seg = torch.full((len(seg_index), 1), self.config.seg_token_id or 0, device=seg_index.device)
        before = torch.arange(cache.get_seq_length(), device=seg.device) < seg_index.view(-1, 1, 1, 1)
        allowed = torch.cat([before, before.new_ones(len(seg), 1, 1, 1)], dim=-1)
        embeds = self.embed_prompt(seg, None)
        positions = seg_position.view(1, -1, 1).expand(3, -1, 1)
        hidden = self._run_text(embeds, positions, additive_mask(allowed, embeds.dtype), shared_prefix(cache))
        return self.decode_masks(hidden[:, 0], image_embeds.expand(len(seg), -1, -1), grid_hw)

    def forward_rows(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        image_embeds: Tensor,
        grid_thw: Tensor,
        seg_index: Tensor | None = None,
    ) -> StampRowsOutput:
        """As of StampForSegmentation; `mask_logits` are (B, 16 P)."""
        output = super().forward_rows(input_ids, attention_mask, image_embeds, grid_thw)
        if seg_index is not None:
            assert output.hidden_states is not None
            row = torch.arange(len(input_ids), device=input_ids.device)
            seg_hidden = output.hidden_states[row, seg_index]
            output.mask_logits = self.decode_masks(seg_hidden, image_embeds, self.merged_grid(grid_thw[0]))
        return output


# As for the parent, whose registration goes by its own name.
_CONVERSION: Any = get_checkpoint_conversion_mapping(Qwen2VLForConditionalGeneration.__name__)
register_checkpoint_conversion_mapping(EmbeddingForSegmentation.__name__, _CONVERSION, overwrite=True)
