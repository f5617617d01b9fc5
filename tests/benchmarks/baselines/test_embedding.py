"""The model whose masks come from one embedding: shapes, gradients, cached against uncached, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import SamConfig, SamModel, SamVisionConfig
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig, SamPromptEncoderConfig

from benchmarks.baselines.embedding import EmbeddingForSegmentation
from stamp.checkpoints.load_options import LoadOptions
from stamp.checkpoints.loading import load_checkpoint
from stamp.checkpoints.sources import EMBEDDED_CHECKPOINT
from stamp.conversation import Turn
from stamp.model.processing_stamp import StampProcessor
from stamp.predictor import StampPredictor
from stamp.training.learning.checkpoint import export_checkpoint
from stamp.training.learning.nano import build_model
from tests.benchmarks.nano import make_processor
from tests.narrow import WIDTH, narrow_model

ANSWER = "Sure, here are the segmentation masks for 'crab': <|seg|> and 'boat': <|seg|>"


@pytest.fixture(scope="module")
def processor() -> StampProcessor:
    return make_processor()


@pytest.fixture(scope="module")
def model(processor: StampProcessor) -> EmbeddingForSegmentation:
    model = EmbeddingForSegmentation.from_backbone(narrow_model(processor))
    model.eval()
    return model


def test_it_keeps_the_backbone_and_adds_the_same_decoder_each_time(
    processor: StampProcessor, model: EmbeddingForSegmentation
) -> None:
    backbone = narrow_model(processor)
    again = EmbeddingForSegmentation.from_backbone(backbone).state_dict()
    kept = backbone.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, again[name], rtol=0, atol=0)
        assert name not in kept or torch.equal(value, kept[name])
    assert {name.split(".")[0] for name in set(again) - set(kept)} == {"mask_decoder"}
    assert model.generation_config.eos_token_id == backbone.generation_config.eos_token_id


def test_logits_are_four_times_as_fine_and_their_gradient_reaches_the_words(model: EmbeddingForSegmentation) -> None:
    seg = model.config.seg_token_id
    pads = [model.config.image_token_id] * 35
    ids = torch.tensor([[5, *pads, 7, 8, seg, 9], [5, *pads, 3, seg, 4, 2]])
    embeds = torch.randn(2, 35, WIDTH, requires_grad=True)
    output = model.forward_rows(
        ids, torch.ones_like(ids), embeds, torch.tensor([[1, 5, 7]] * 2), torch.tensor([38, 37])
    )
    assert output.mask_logits is not None
    assert output.mask_logits.shape == (2, 35 * 16)
    assert model.mask_grid((5, 7)) == (20, 28)
    model.zero_grad()
    output.mask_logits[0].square().sum().backward()
    words = model.get_input_embeddings().get_parameter("weight").grad
    assert words is not None
    assert embeds.grad is not None
    assert words[[5, 7, 8, seg]].abs().sum(1).min() > 0  # what stands before the token, and the token
    assert words[[9, 3, 4]].abs().sum() == 0  # what stands behind it, and in the other row
    assert model.model.language_model.layers[0].self_attn.q_proj.weight.grad.abs().sum() > 0
    assert embeds.grad[0].abs().sum() > 0
    assert embeds.grad[1].abs().sum() == 0
    assert model.mask_decoder.positions.positional_embedding.grad is None
    model.zero_grad()


def test_cached_masks_are_the_uncached_ones(model: EmbeddingForSegmentation, processor: StampProcessor) -> None:
    """On a wide picture, with two masks of which one ends the answer: its `<|seg|>` was not fed by decoding."""
    picture = Image.effect_noise((112, 80), 80).convert("RGB")
    predictor = StampPredictor(model, processor)
    result = predictor.predict_masks(picture, "segment the crab and the boat", ANSWER)
    patches, grid = processor.encode_image(picture)
    turns = [
        Turn("user", "segment the crab and the boat", picture),
        Turn("assistant", ANSWER, token_ids=tuple(processor.encode_response(ANSWER))),
    ]
    encoded = processor.encode_conversation(turns, [int(grid[0].prod())], add_generation_prompt=False)
    segs = [i for i, token in enumerate(encoded.input_ids) if token == processor.seg_token_id]
    ids = torch.tensor([encoded.input_ids] * 2)
    with torch.inference_mode():
        (embeds,) = model.encode_images(patches, grid)
        output = model.forward_rows(
            ids, torch.ones_like(ids), embeds.expand(2, -1, -1), grid.expand(2, -1), torch.tensor(segs)
        )
    assert output.mask_logits is not None
    rows, columns = 4 * int(grid[0, 1]), 4 * int(grid[0, 2])
    assert [logits.shape for logits in result.mask_logits] == [(rows, columns)] * 2
    for logits, expected in zip(result.mask_logits, output.mask_logits, strict=True):
        torch.testing.assert_close(torch.from_numpy(logits).flatten(), expected, atol=1e-4, rtol=0)
    assert not np.allclose(result.mask_logits[0], result.mask_logits[1])
    assert result.masks.shape == (2, 80, 112)


def test_positions_are_those_of_sam(model: EmbeddingForSegmentation) -> None:
    vision = SamVisionConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_pos_feats=48, output_channels=96, mlp_dim=8
    )
    small: dict[str, Any] = {"hidden_size": 96, "image_embedding_size": 6}
    prompts = SamPromptEncoderConfig(**small)
    decoder = SamMaskDecoderConfig(hidden_size=96, num_attention_heads=4)
    sam = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    sam.shared_image_embedding.positional_embedding.data = model.mask_decoder.positions.positional_embedding.data
    torch.testing.assert_close(model.mask_decoder.position_features((6, 6)), sam.get_image_wide_positional_embeddings())


def test_a_checkpoint_is_small_and_comes_back(processor: StampProcessor, tmp_path: Path) -> None:
    """Of the nano's size, so that it takes several files."""
    model = EmbeddingForSegmentation.from_backbone(build_model(processor, 0))
    export_checkpoint(model, processor, tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert 10_000_000 < sum(sizes) <= 20_000_000
    assert max(sizes) <= 10_000_000
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".jinja"}
    options = LoadOptions(device="cpu", dtype="float32", model_class=EmbeddingForSegmentation)
    loaded, _, _ = load_checkpoint(tmp_path, options)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.bfloat16().float()), name


def test_a_checkpoint_without_a_decoder_is_refused() -> None:
    options = LoadOptions(device="cpu", model_class=EmbeddingForSegmentation)
    with pytest.raises(ValueError, match="not a complete STAMP checkpoint; missing"):
        load_checkpoint(EMBEDDED_CHECKPOINT.parent / "nano-backbone", options)
