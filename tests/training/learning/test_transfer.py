"""A new nano with another vocabulary takes over text layers, shared words and eyes."""

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.checkpoint import export_checkpoint
from stamp.training.learning.nano import build_model, build_processor, image_processor
from stamp.training.learning.transfer import adopt_text, adopt_text_layers, adopt_vision_tower
from stamp.training.scenes.groups import Lexicon
from tests.benchmarks.nano import write_embedding
from tests.narrow import narrow_model
from tests.training.conftest import LEXICON, NOUN


def test_text_and_eyes_are_taken_over(processor: StampProcessor, tmp_path: Path) -> None:
    old = build_model(processor, seed=1, vision_stem="patches")
    export_checkpoint(old, processor, tmp_path / "old")
    wider = build_processor(Lexicon.of((*LEXICON.nouns, NOUN["hedgehog"], NOUN["kangaroo"])))
    model = build_model(wider, seed=2, vision_stem="patches")
    before = model.get_input_embeddings().get_parameter("weight").clone()
    copied = adopt_text(model, wider, tmp_path / "old")

    ours, theirs = wider.tokenizer.get_vocab(), processor.tokenizer.get_vocab()
    rows = model.get_input_embeddings().get_parameter("weight")
    stored = old.get_input_embeddings().get_parameter("weight").bfloat16().float()
    assert copied == len(ours.keys() & theirs.keys()) > 500
    for token, row in ours.items():
        expected = stored[theirs[token]] if token in theirs else before[row]
        assert torch.equal(rows[row], expected), token
    for name, value in old.model.language_model.layers.state_dict().items():
        assert torch.equal(model.model.language_model.layers.state_dict()[name], value.bfloat16().float())

    adopt_vision_tower(model, wider, tmp_path / "old")
    for name, value in old.model.visual.state_dict().items():
        assert torch.equal(model.model.visual.state_dict()[name], value.bfloat16().float())


def test_text_layers_alone_leave_the_words_as_they_are(processor: StampProcessor, tmp_path: Path) -> None:
    old = build_model(processor, seed=1, vision_stem="patches")
    export_checkpoint(old, processor, tmp_path)
    model = build_model(processor, seed=2, vision_stem="patches")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adopt_text_layers(model, tmp_path)
    theirs = old.state_dict()
    for name, value in model.state_dict().items():
        is_text = name.startswith(("model.language_model.layers", "model.language_model.norm", "classifier"))
        assert torch.equal(value, theirs[name].bfloat16().float() if is_text else before[name]), name


def test_a_tower_without_a_stem_sees_the_same_behind_one(processor: StampProcessor, tmp_path: Path) -> None:
    """The stem adds nothing at first, and other pixel values are made up for."""
    old = build_model(processor, seed=1, vision_stem="patches")
    theirs = StampProcessor(processor.tokenizer, image_processor(4))
    theirs.image_processor.image_mean, theirs.image_processor.image_std = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
    export_checkpoint(old, theirs, tmp_path)
    ours = StampProcessor(processor.tokenizer, image_processor(4))
    model = build_model(ours, seed=2)
    adopt_vision_tower(model, ours, tmp_path)

    picture = Image.linear_gradient("L").convert("RGB").rotate(30)
    old = StampForSegmentation.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        features = [
            one.eval().encode_images(pixels, grid.view(1, 3))[0]
            for one, (pixels, grid) in ((old, theirs.encode_image(picture)), (model, ours.encode_image(picture)))
        ]
    first, second = features
    assert torch.allclose(first, second, atol=1e-4)


def test_what_a_checkpoint_lacks_is_not_made_up(processor: StampProcessor, narrow: Path, tmp_path: Path) -> None:
    """What it has besides is of no concern: another head does not change the layers."""
    model = narrow_model(processor, seed=1)
    adopt_text_layers(model, write_embedding(tmp_path / "embedding"))
    bare = shutil.copytree(narrow, tmp_path / "bare")
    weights = load_file(bare / "model.safetensors")
    del weights["classifier.bias"], weights["classifier.weight"]
    save_file(weights, bare / "model.safetensors", {"format": "pt"})
    for adopt in (adopt_text, adopt_vision_tower):
        with pytest.raises(ValueError, match="bare is no checkpoint of StampForSegmentation: 2 weights, as classifier"):
            adopt(model, processor, bare)
