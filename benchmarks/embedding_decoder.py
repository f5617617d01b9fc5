"""The embedding paradigm's mask decoder at its published size, on the features of our vision tower.

As LISA has it (arXiv 2308.00692): the hidden state that predicted the mask's token becomes a prompt, and SAM's decoder
turns prompt and picture into a mask. What LISA has besides is left out: a picture encoder of SAM's own (ViT-H).
"""

import torch
from torch import Tensor, nn
from transformers import SamMaskDecoderConfig, SamVisionConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPositionalEmbedding


class EmbeddingDecoder(nn.Module):
    """Random weights, SAM's sizes: 256 wide, two layers, eight heads."""

    def __init__(self, hidden_size: int):
        super().__init__()
        config = SamMaskDecoderConfig()
        self.prompt = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, config.hidden_size)
        )
        self.features = nn.Linear(hidden_size, config.hidden_size)
        self.positions = SamPositionalEmbedding(SamVisionConfig(num_pos_feats=config.hidden_size // 2))
        self.no_mask = nn.Parameter(torch.zeros(1, config.hidden_size, 1, 1))
        self.decoder = SamMaskDecoder(config)

    def forward(self, hidden: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """(D,) hidden state, (P, D) features row-major over the grid -> (4 gh, 4 gw) mask logits."""
        rows, columns = grid_hw
        features = self.features(image_embeds).T.reshape(1, -1, rows, columns)
        masks, _ = self.decoder(
            image_embeddings=features,
            image_positional_embeddings=self._grid_positions(grid_hw, features),
            sparse_prompt_embeddings=self.prompt(hidden).view(1, 1, 1, -1),
            dense_prompt_embeddings=self.no_mask.expand(-1, -1, rows, columns),
            multimask_output=False,
        )
        logits: Tensor = masks[0, 0, 0]
        return logits

    def _grid_positions(self, grid_hw: tuple[int, int], like: Tensor) -> Tensor:
        """Position encodings of the cells' middles, (1, 256, gh, gw)."""
        y, x = ((torch.arange(size, device=like.device) + 0.5) / size for size in grid_hw)
        middles = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).to(like.dtype)
        encoded: Tensor = self.positions(middles)
        return encoded.permute(2, 0, 1).unsqueeze(0)
