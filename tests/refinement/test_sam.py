"""The SAM stage: the cascade and the released prompts against recorded numbers, our prompts against their rules."""

import json
import re
from functools import cache
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import SamConfig, SamModel

from stamp.pictures.resizing import enlarge_logits, fit_size
from stamp.refinement import make_refiner
from stamp.refinement.refiner import refine_masks
from stamp.refinement.sam import SamPrompt, SamRefiner, draw_points, mask_prompt

PARITY = Path(__file__).parents[1] / "parity"
MANIFEST = json.loads((PARITY / "manifest.json").read_text())["sam"]
CASES = {case["id"]: case for case in MANIFEST["cases"]}
#: Official names -> transformers' names; the patterns are tried in turn, and each is applied where it matches.
NAMES = {
    r"^image_encoder\.": "vision_encoder.",
    r"patch_embed\.proj\.": "patch_embed.projection.",
    r"\.blocks\.": ".layers.",
    r"neck\.0\.": "neck.conv1.",
    r"neck\.1\.": "neck.layer_norm1.",
    r"neck\.2\.": "neck.conv2.",
    r"neck\.3\.": "neck.layer_norm2.",
    r"\.norm(\d|_final_attn)\.": r".layer_norm\1.",
    r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix": "shared_image_embedding.positional_embedding",
    r"\.point_embeddings\.": ".point_embed.",
    r"\.mask_downscaling\.0\.": ".mask_embed.conv1.",
    r"\.mask_downscaling\.1\.": ".mask_embed.layer_norm1.",
    r"\.mask_downscaling\.3\.": ".mask_embed.conv2.",
    r"\.mask_downscaling\.4\.": ".mask_embed.layer_norm2.",
    r"\.mask_downscaling\.6\.": ".mask_embed.conv3.",
    r"\.output_upscaling\.0\.": ".upscale_conv1.",
    r"\.output_upscaling\.1\.": ".upscale_layer_norm.",
    r"\.output_upscaling\.3\.": ".upscale_conv2.",
    r"(mlps\.\d|iou_prediction_head)\.layers\.0\.": r"\1.proj_in.",
    r"(mlps\.\d|iou_prediction_head)\.layers\.2\.": r"\1.proj_out.",
    r"(mlps\.\d|iou_prediction_head)\.layers\.1\.": r"\1.layers.0.",
}


def transformers_name(official: str) -> str:
    for pattern, name in NAMES.items():
        official = re.sub(pattern, name, official)
    return official


def tiny_config() -> SamConfig:
    sizes = MANIFEST["config"]
    width, heads = sizes["prompt_embed_dim"], sizes["decoder_heads"]
    vision = {
        "hidden_size": sizes["encoder_embed_dim"],
        "num_hidden_layers": sizes["encoder_depth"],
        "num_attention_heads": sizes["encoder_num_heads"],
        "mlp_ratio": float(sizes["encoder_mlp_ratio"]),
        "global_attn_indexes": sizes["global_attn_indexes"],
        "output_channels": sizes["out_chans"],
        "num_pos_feats": width // 2,
    }
    decoder = {
        "hidden_size": width,
        "num_attention_heads": heads,
        "mlp_dim": sizes["decoder_mlp_dim"],
        "iou_head_hidden_dim": sizes["iou_head_hidden_dim"],
    }
    prompt = {"hidden_size": width, "mask_input_channels": sizes["mask_in_chans"]}
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded weights as a SamModel folder, the way transformers writes it."""
    model = SamModel(tiny_config())
    official = load_file(PARITY / MANIFEST["weights"])
    missing, unexpected = model.load_state_dict({transformers_name(k): v for k, v in official.items()}, strict=False)
    assert missing == ["prompt_encoder.shared_embedding.positional_embedding"]  # tied
    assert unexpected == []
    path = tmp_path_factory.mktemp("sam")
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def sam(folder: Path) -> SamRefiner:
    return SamRefiner.from_pretrained(folder)


@cache
def recorded(case_id: str) -> dict[str, np.ndarray]:
    with np.load(PARITY / CASES[case_id]["file"]) as file:
        return dict(file)


@cache
def picture(case_id: str) -> Image.Image:
    return Image.open(PARITY / CASES[case_id]["image"]).convert("RGB")


def as_logits(case_id: str) -> torch.Tensor:
    return torch.from_numpy(recorded(case_id)["coarse_grid"].astype(np.float32) * 8 - 4)[None]


def recorded_masks(case_id: str) -> np.ndarray:
    height, width = picture(case_id).height, picture(case_id).width
    bits = np.unpackbits(recorded(case_id)["masks_packed"], axis=1, count=height * width)
    return bits.reshape(-1, height, width).astype(bool)


def nearest(grid: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """What the released code starts from: cell floor(pixel * cells / pixels)."""
    rows, columns = (np.arange(n) * cells // n for n, cells in zip(size_hw, grid.shape, strict=True))
    chosen: np.ndarray = grid[rows][:, columns].astype(bool)
    return chosen


every_case = pytest.mark.parametrize("case_id", sorted(CASES))


@every_case
def test_image_features(case_id: str, sam: SamRefiner) -> None:
    features = sam.encode(picture(case_id))[0].numpy()
    expected = recorded(case_id)
    np.testing.assert_allclose(features[:, ::8, ::8], expected["image_embedding_strided"], atol=2e-4)
    np.testing.assert_allclose([features.mean(), features.std()], expected["image_embedding_mean_std"], atol=2e-4)


@every_case
def test_cascade_on_recorded_prompts(case_id: str, sam: SamRefiner) -> None:
    expected = recorded(case_id)
    width, height = CASES[case_id]["image_size_wh"]
    input_hw = fit_size((height, width), 1024)
    assert list(input_hw) == expected["input_size_hw"].tolist()
    points_xy = expected["point_coords_xy"] * [input_hw[1] / width, input_hw[0] / height]
    prompt = SamPrompt(
        torch.from_numpy(points_xy).float(),
        torch.from_numpy(expected["point_labels"]).long(),
        torch.from_numpy(expected["mask_input"][0]),
    )
    passes = list(sam.passes(sam.encode(picture(case_id)), prompt))
    np.testing.assert_allclose(np.stack([p[0] for p in passes]), expected["low_res_logits"], atol=5e-4, rtol=0)
    np.testing.assert_allclose([p[1] for p in passes], expected["iou"], atol=1e-4, rtol=0)
    masks = np.stack([sam.to_image_size(p[0], (height, width)).numpy() > 0 for p in passes])
    assert ((masks != recorded_masks(case_id)).mean(axis=(1, 2)) <= 5e-4).all()


@every_case
def test_released_prompts(case_id: str) -> None:
    expected = recorded(case_id)
    coarse = nearest(expected["coarse_grid"], (picture(case_id).height, picture(case_id).width))
    points_xy, labels = draw_points(coarse, torch.Generator().manual_seed(CASES[case_id]["rng_seed"]))
    assert points_xy.tolist() == expected["point_coords_xy"].tolist()
    assert labels.tolist() == expected["point_labels"].tolist()
    ours = mask_prompt(coarse, released=True).numpy()
    # float32 arithmetic there, where the mask was not resized
    np.testing.assert_allclose(ours, expected["mask_input"][0], atol=0, rtol=1e-6 if case_id == "exact256" else 0)


@every_case
def test_released_stage_from_grid_to_mask(case_id: str, sam: SamRefiner) -> None:
    released = SamRefiner(sam.model, seed=CASES[case_id]["rng_seed"], released_prompts=True)
    masks, _ = refine_masks(as_logits(case_id), picture(case_id), released)
    assert (masks[0] != recorded_masks(case_id)[-1]).mean() <= 5e-4


def test_our_prompts_lack_the_faults() -> None:
    land = nearest(recorded("land320x200")["coarse_grid"], (200, 320))
    ours, released = mask_prompt(land).numpy(), mask_prompt(land, released=True).numpy()
    assert (ours[:160] == released[:160]).all()
    assert (ours[160:] == np.float32(np.log(0.001 / 0.999))).all()
    square = nearest(recorded("exact256")["coarse_grid"], (256, 256))
    expected = np.where(square, np.log(0.999 / 0.001), np.log(0.001 / 0.999))
    np.testing.assert_allclose(mask_prompt(square).numpy(), expected, rtol=1e-6)


def test_points_lie_where_their_labels_say() -> None:
    mask = np.zeros((40, 60), bool)
    mask[5, 7:10] = True
    points_xy, labels = draw_points(mask, torch.Generator().manual_seed(0))
    assert labels.tolist() == [1] * 3 + [0] * 10  # three pixels give three points
    assert [bool(mask[y, x]) for x, y in points_xy.tolist()] == [True] * 3 + [False] * 10
    assert len({tuple(point) for point in points_xy.tolist()}) == 13


def test_points_are_scaled_to_the_input_of_sam(sam: SamRefiner) -> None:
    mask = np.zeros((100, 300), bool)
    mask[50, 150] = True
    prompt = sam.prompt(mask)  # 300 x 100 becomes 1024 x 341
    assert prompt.points_xy[0].tolist() == pytest.approx([150 * 1024 / 300, 50 * 341 / 100])
    assert prompt.points_xy.dtype == prompt.mask_logits.dtype == torch.float32


def test_every_mask_is_refined_alike_and_the_image_is_encoded_once(
    sam: SamRefiner, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Mock(wraps=sam.model.get_image_embeddings)
    monkeypatch.setattr(sam.model, "get_image_embeddings", encode)
    image = picture("land320x200").copy()
    grid = as_logits("land320x200")
    several = torch.cat([grid, -grid, torch.full_like(grid, -4), torch.full_like(grid, 4)])
    torch.manual_seed(0)
    first = list(sam(several, image))
    torch.manual_seed(1)
    assert all(torch.equal(a, b) for a, b in zip(sam(several.flip(0), image), first[::-1], strict=True))
    assert encode.call_count == 1
    assert [(plane.shape, plane.dtype) for plane in first] == [((200, 320), torch.float32)] * 4
    assert torch.equal(torch.stack(first[2:]), enlarge_logits(several[2:], (200, 320)))
    assert not torch.equal(first[0], enlarge_logits(grid, (200, 320))[0])
    coarse = (enlarge_logits(grid, (640, 1024))[0] > 0).numpy()
    *_, (last, _) = sam.passes(sam.encode(image), sam.prompt(coarse))
    assert torch.equal(first[0], sam.to_image_size(last, (200, 320)))
    assert encode.call_count == 1
    list(sam(grid, image.copy()))
    assert encode.call_count == 2


def test_nothing_is_encoded_for_empty_and_full_masks(sam: SamRefiner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SamRefiner, "encode", None)
    logits = np.stack([np.full((3, 4), -2.0), np.full((3, 4), 2.0)])
    for released in (False, True):
        masks, scores = refine_masks(
            logits, Image.new("RGB", (41, 30)), SamRefiner(sam.model, released_prompts=released)
        )
        assert [mask.mean() for mask in masks] == [0, 1]
        assert scores == [None, pytest.approx(1 / (1 + np.exp(-2)))]


def test_weights_are_loaded_from_safetensors_alone_in_float32(folder: Path, tmp_path: Path) -> None:
    refiner = make_refiner("sam", sam_model=folder)
    assert isinstance(refiner, SamRefiner)
    assert refiner.name == "sam"
    assert refiner.model.dtype == torch.float32
    assert refiner.model.mask_decoder.transformer.layers[0].layer_norm1.eps == 1e-5
    refiner.model.config.save_pretrained(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        make_refiner("sam", sam_model=tmp_path)
    del tensors["mask_decoder.iou_token.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"not a complete SamModel; missing: \['mask_decoder.iou_token.weight'\]"):
        make_refiner("sam", sam_model=tmp_path)


def test_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="holds a model of type 'qwen2_vl'; a SamModel"):
        make_refiner("sam", sam_model=PARITY / "models" / "tied")
