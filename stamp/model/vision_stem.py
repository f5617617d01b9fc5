"""A convolutional stem beside the vision tower's patch projection: EfficientNet-lite0, optional in the configuration.

The published checkpoints project each patch by itself (`vision_stem="patches"`). A tower as small as the nano's cannot
learn to see from thousands of pictures; this stem brings what a classifier learned from 1.3 million (ImageNet). Its
features of stride 16 and of stride 32 together become one vector per patch, which is added to the patch's projection;
Qwen2-VL's blocks follow.

Architecture: EfficientNet (arXiv 1905.11946), "lite0": no squeeze-and-excitation, ReLU6; without the last two
blocks and the classifier. Batch normalisation is folded into the convolutions, so they have biases. N images of H x W
pixels, D the tower's width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

#: (blocks, kernel, stride of the first, expansion, channels) of each stage.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
STAGES_OF_STRIDE_32 = ((3, 5, 2, 6, 192),)
FIRST_CHANNELS, STRIDE = 32, 16
#: Values per patch: channels, two equal frames, rows and columns.
PATCH_VALUES = 3 * 2 * STRIDE * STRIDE
#: The stem's pixel normalisation, (x - 127) / 128 for x in 0..255, as image processor settings.
IMAGE_MEAN, IMAGE_STD = 127 / 255, 128 / 255


class SameConv(nn.Conv2d):
    """Padding as in TensorFlow: uneven padding goes to the right and to the bottom."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, ceil(H / stride), ceil(W / stride), C')."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        wanted = [max(0, (-(-size // stride) - 1) * stride + kernel - size) for size in input.shape[1:3]]
        top, left = (pad // 2 for pad in wanted)
        padded = functional.pad(input, (0, 0, left, wanted[1] - left, top, wanted[0] - top))
        return super().forward(padded.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class InvertedBottleneck(nn.Module):
    """Expand, convolve each channel separately, project; the input is added if the shape allows it.

    Channels come last, so that expanding and projecting are matrix products.
    """

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = channels * expansion
        self.expand = nn.Linear(channels, inside) if expansion > 1 else None
        self.depthwise = SameConv(inside, inside, kernel, stride, groups=inside)
        self.project = nn.Linear(inside, out_channels)
        self.adds_input = stride == 1 and channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H / stride, W / stride, C')."""
        hidden: Tensor = input if self.expand is None else functional.relu6(self.expand(input))
        with torch.autocast(hidden.device.type, enabled=False):  # in bfloat16 its backward is slow on a CPU
            hidden = self.depthwise(hidden.to(self.depthwise.weight.dtype))
        hidden = self.project(functional.relu6(hidden))
        return hidden + input if self.adds_input else hidden


class ConvStem(nn.Module):
    """Turns pictures into one vector per 16 px patch."""

    #: Blocks up to stride 8 detect edges and textures, which need no more training.
    GENERAL_BLOCKS = 5

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = SameConv(3, FIRST_CHANNELS, 3, 2)
        self.fine = _stages(FIRST_CHANNELS, STAGES)
        self.coarse = _stages(STAGES[-1][-1], STAGES_OF_STRIDE_32)
        channels = STAGES[-1][-1] + STAGES_OF_STRIDE_32[-1][-1]
        self.norm = nn.LayerNorm(channels)  # features of length 20 would drown the projected patches
        self.project = nn.Linear(channels, width)

    def pretrained_parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters with ImageNet's weights: the first layers, which training does not change, and the others."""
        general = [*self.first.parameters(), *self.fine[: self.GENERAL_BLOCKS].parameters()]
        return general, [*self.fine[self.GENERAL_BLOCKS :].parameters(), *self.coarse.parameters()]

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) -> (N, H / 16, W / 16, D)."""
        fine = self.fine(functional.relu6(self.first(images)))
        coarse = self.coarse(fine).permute(0, 3, 1, 2)
        coarse = functional.interpolate(coarse, size=fine.shape[1:3], mode="bilinear").permute(0, 2, 3, 1)
        projected: Tensor = self.project(self.norm(torch.cat([fine, coarse], dim=-1)))
        return projected


def _stages(channels: int, stages: tuple[tuple[int, int, int, int, int], ...]) -> nn.Sequential:
    blocks = []
    for count, kernel, stride, expansion, out_channels in stages:
        for index in range(count):
            blocks.append(InvertedBottleneck(channels, out_channels, kernel, 1 if index else stride, expansion))
            channels = out_channels
    return nn.Sequential(*blocks)


# Differences from Qwen2VisionTransformerPretrainedModel: `patch_projection` and `stem` replace `patch_embed`; they are
# added before the parent's forward, because the stem needs the grid, which `patch_embed` does not get.
class StemmedVisionTower(Qwen2VisionTransformerPretrainedModel):
    """Qwen2-VL's tower with a convolutional stem. Takes the same patches, with 16 px."""

    def __init__(self, config: Qwen2VLVisionConfig) -> None:
        super().__init__(config)
        if config.patch_size != STRIDE:
            raise ValueError(
                f"the convolutional stem needs patches of {STRIDE} px, the configuration has {config.patch_size}"
            )
        self.patch_embed: nn.Module = nn.Identity()  # type: ignore[assignment]
        self.patch_projection = nn.Linear(PATCH_VALUES, config.embed_dim, bias=False)
        self.stem = ConvStem(config.embed_dim)

    def forward(self, hidden_states: Tensor, grid_thw: Tensor, **options: object) -> object:
        """(patches, C * T * 16 * 16), (N, 3) patches: see the parent. Images of the same size form one batch."""
        merge = self.spatial_merge_size
        grids = [tuple(grid) for grid in grid_thw.tolist()]
        pixels = hidden_states.to(self.stem.project.weight.dtype).split([t * h * w for t, h, w in grids])
        images = [_unpatch(part, grid, merge) for part, grid in zip(pixels, grids, strict=True)]
        if len(set(grids)) == 1:
            patches = _patch_order(self.stem(torch.cat(images)), merge)
        else:
            patches = torch.cat([_patch_order(self.stem(image), merge) for image in images])
        patches = patches + self.patch_projection(torch.cat(pixels))
        return super().forward(patches, grid_thw, **options)


def _unpatch(pixels: Tensor, grid: tuple[int, ...], merge: int) -> Tensor:
    """(t * h * w, C * T * P * P) patches, grouped for merging -> (t, h * P, w * P, C): the first frames."""
    t, h, w = grid
    patches = pixels.view(t, h // merge, w // merge, merge, merge, 3, -1, STRIDE, STRIDE)[..., 0, :, :]
    return patches.permute(0, 1, 3, 6, 2, 4, 7, 5).reshape(t, h * STRIDE, w * STRIDE, 3)


def _patch_order(features: Tensor, merge: int) -> Tensor:
    """(t, h, w, D) -> (t * h * w, D), grouped for merging."""
    t, h, w, width = features.shape
    grouped = features.view(t, h // merge, merge, w // merge, merge, width).transpose(2, 3)
    return grouped.reshape(-1, width)
