"""A mask from one embedding: Segment Anything's mask decoder over the image features that the language model reads.

After LISA (arXiv 2308.00692): a hidden state -> two linear layers -> prompt of the decoder. LISA gets its image
features from a second vision tower, SAM's ViT-H; here they are the model's own, projected.
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPositionalEmbedding

#: Logits per cell along each axis: the decoder's two transposed convolutions.
UPSCALE = 4
#: Spread of the random frequencies, as in the original code; transformers' default differs but weights replace it.
POSITIONS_SCALE = 1.0


class EmbeddingDecoder(nn.Module):
    """hidden_size: the language model's. config: SAM's decoder; its defaults are the published size."""

    def __init__(self, hidden_size: int, config: SamMaskDecoderConfig):
        super().__init__()
        config._attn_implementation = "sdpa"
        width = config.hidden_size
        self.prompt = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, width))
        self.image_projection = nn.Linear(hidden_size, width)
        self.positions = SamPositionalEmbedding(SimpleNamespace(num_pos_feats=width // 2, scale=POSITIONS_SCALE))
        self.no_dense_prompt = nn.Embedding(1, width)
        self.decoder = SamMaskDecoder(config)

    def forward(self, hidden: Tensor, image_embeds: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """(B, H) hidden states, (B, P, H) image features, row-major over the grid -> (B, 4 gh, 4 gw) mask logits."""
        features = self.image_projection(image_embeds).mT.unflatten(2, grid_hw)
        masks, _ = self.decoder(
            image_embeddings=features,
            image_positional_embeddings=self.position_features(grid_hw).expand_as(features),
            sparse_prompt_embeddings=self.prompt(hidden)[:, None, None],
            dense_prompt_embeddings=self.no_dense_prompt.weight.view(1, -1, 1, 1).expand_as(features),
            multimask_output=False,
        )
        logits: Tensor = masks[:, 0, 0]
        return logits

    @torch.no_grad()
    def position_features(self, grid_hw: tuple[int, int]) -> Tensor:
        """(1, width, gh, gw): SAM's fixed random Fourier features of the cells' centres, 0..1 each way."""
        device = self.no_dense_prompt.weight.device
        rows, columns = ((torch.arange(n, device=device) + 0.5) / n for n in grid_hw)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        features: Tensor = self.positions(torch.stack([x, y], dim=-1))
        return features.permute(2, 0, 1)[None]
