"""The methods that STAMP is compared with, on untrained weights: what becomes of their answers."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

import stamp.inference.answer
from benchmarks.__main__ import main
from benchmarks.baselines.location_tokens import ids_of
from benchmarks.baselines.patch_tokens import PatchTokens
from benchmarks.baselines.polygon_tokens import PolygonTokens
from benchmarks.checkpoints import MethodOptions, add_method_options, read_method_options
from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import MaskSample
from benchmarks.methods import MAKERS, Method, load_methods, method_labels
from benchmarks.methods.embedding import EmbeddingMethod
from benchmarks.methods.simpleseg import read_polygons
from benchmarks.methods.streaming import moments
from benchmarks.methods.written import WrittenMaskMethod
from benchmarks.scoring.records import records_of
from stamp.inference.answer import PHASES
from stamp.model.processing_stamp import StampProcessor
from tests.benchmarks import tiny
from tests.benchmarks.nano import make_processor, named_checkpoints, write_embedding, write_shared, write_writer

PICTURE = Image.effect_noise((96, 80), 60).convert("RGB")
BOX = "<x3><y3><x16><y3><x16><y19><x3><y19><close>"
TRIANGLE = "<x22><y6><x31><y31><x19><y31><close>"
CELLS = np.indices((16, 16)).sum(0) % 5 < 2


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    words = write_writer(root / "words")
    own = {"embedding": write_embedding(root / "embedding"), "stamp_shared": write_shared(root / "shared")}
    return {"polygon": words, "patch_text": words, **own}


def options(folders: dict[str, Path], *more: str) -> MethodOptions:
    parser = argparse.ArgumentParser()
    add_method_options(parser)
    return read_method_options(
        parser.parse_args([*named_checkpoints(folders), "--device=cpu", "--dtype=float32", *more])
    )


def written_ids(processor: StampProcessor, part: str) -> list[int]:
    """A part is either words or location tokens alone."""
    if (tokens := re.findall(r"<[^<>|]+>", part)) and "".join(tokens) == part:
        return ids_of(processor, tokens)
    return processor.encode_response(part)


def script(monkeypatch: pytest.MonkeyPatch, method: Method, parts: Sequence[str], *, ends: bool = True) -> list[int]:
    """Let the method write these parts, each tokenised by itself; returns the number of tokens of each."""
    assert isinstance(method, WrittenMaskMethod)
    processor = method.predictor.processor
    ids = [written_ids(processor, part) for part in parts]
    tokens = iter([*[token for part in ids for token in part], *[processor.end_token_id] * ends])
    monkeypatch.setattr(stamp.inference.generation, "choose_token", lambda *_, **__: next(tokens))
    return [len(part) for part in ids]


@pytest.fixture(scope="module")
def polygon(folders: dict[str, Path]) -> Method:
    (method,) = load_methods(["polygon"], options(folders))
    return method


def test_polygons_in_an_answer_become_masks(monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]) -> None:
    """The clock counts readings, so that a decode step takes one. A `<|seg|>` means nothing here, and is no text."""
    ticks, given = count(), options(folders)
    counting = replace(given, load=replace(given.load, read_clock=lambda: float(next(ticks))))
    (polygon,) = load_methods(["polygon"], counting)
    assert isinstance(polygon, WrittenMaskMethod)
    parts = ["Sure<|seg|>, here are the segmentation masks for 'crab': ", BOX, " and 'boat': ", BOX + TRIANGLE]
    lengths = script(monkeypatch, polygon, parts)
    found = polygon.predict(PICTURE, "segment the crab and the boat")
    assert found.raw_output == "".join(parts).replace("<|seg|>", "")
    assert found.text == "Sure, here are the segmentation masks for 'crab':  and 'boat': "
    one, other = (PolygonTokens().draw(text, PICTURE) for text in (BOX, BOX + TRIANGLE))
    np.testing.assert_array_equal(found.masks, [one, other])
    assert other.sum() > one.sum() > 0
    assert found.valid
    assert found.new_tokens == sum(lengths)
    assert found.forward_passes == 1 + sum(lengths)  # prefill gives the first token, and the last asks what follows
    in_masks = lengths[1] + lengths[3]
    assert found.phases_s["mask"] == in_masks
    assert found.phases_s["decode"] == sum(lengths) - in_masks
    assert set(found.phases_s) == set(PHASES)


@pytest.mark.parametrize(
    ("parts", "ends"),
    [
        (["Sure: ", "<x3><y3><x16><y3><x16><y19>"], True),
        (["Sure: ", BOX, " and ", "<x1><y2><x3><y4><close>"], True),
        (["Sure: ", BOX], False),
    ],
)
def test_what_cannot_be_read_or_was_cut_is_invalid(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path], polygon: Method, parts: list[str], ends: bool
) -> None:
    assert isinstance(polygon, WrittenMaskMethod)
    lengths = script(monkeypatch, polygon, parts, ends=ends)
    if not ends:
        (polygon,) = load_methods(["polygon"], options(folders, f"--max-new-tokens={sum(lengths)}"))
    found = polygon.predict(PICTURE, "segment the crab")
    assert not found.valid
    assert found.raw_output == "".join(parts)
    assert found.masks.shape[1:] == (80, 96)


def test_an_answer_in_words_alone(monkeypatch: pytest.MonkeyPatch, polygon: Method) -> None:
    script(monkeypatch, polygon, ["There is no crab in the image."])
    found = polygon.predict(PICTURE, "segment the crab")
    assert (found.text, found.valid, found.masks.shape) == ("There is no crab in the image.", True, (0, 80, 96))
    assert found.phases_s["mask"] == 0


def test_a_written_mask_streams_as_text_and_ends_as_predicted(monkeypatch: pytest.MonkeyPatch, polygon: Method) -> None:
    parts = ["Sure: ", "<x3><y3><x28><y3><x28><y20><close>", " and more words after it"]
    script(monkeypatch, polygon, parts)
    predicted = polygon.predict(PICTURE, "segment the crab")
    script(monkeypatch, polygon, parts)
    *before, last = moments(polygon, PICTURE, "segment the crab", lambda: False)
    texts = [moment.text for moment in before]
    assert texts[-1] == predicted.raw_output == "".join(parts)
    assert len(texts) > 10
    assert all(later.startswith(text) for text, later in pairwise(texts))
    assert last.prediction is not None
    np.testing.assert_array_equal(last.prediction.masks, predicted.masks)
    script(monkeypatch, polygon, parts)
    stops = iter([False, False, True, True])
    *_, cut = moments(polygon, PICTURE, "segment the crab", lambda: next(stops, True))
    assert cut.prediction is not None
    assert not cut.prediction.valid


def test_patch_labels_become_masks_with_the_chosen_refiner(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    methods = load_methods(["patch_text:none", "patch_text"], options(folders))
    assert [method.provenance()["refine"] for method in methods] == ["none", "grabcut"]
    masks = []
    for method in methods:
        script(monkeypatch, method, ["Sure, here is the mask for 'crab': ", "".join(PatchTokens().tokens(CELLS))])
        found = method.predict(PICTURE, "segment the crab")
        assert (found.valid, found.text) == (True, "Sure, here is the mask for 'crab': ")
        masks += [*found.masks]
    logits = torch.from_numpy(np.where(CELLS, 1.0, -1.0))[None, None]
    expected = functional.interpolate(logits, size=(80, 96), mode="bicubic", align_corners=False)[0, 0] > 0
    np.testing.assert_array_equal(masks[0], expected.numpy())
    assert (masks[0] != masks[1]).any()


def test_embedding_draws_edges_as_stamp_does_or_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    usual, plain, guided = load_methods(["embedding", "embedding:bilinear", "embedding:guided"], options(folders))
    assert isinstance(plain, EmbeddingMethod)
    seg = plain.predictor.processor.seg_token_id
    end = plain.predictor.processor.end_token_id
    for method in (plain, guided):
        tokens = iter([seg, end])
        monkeypatch.setattr(stamp.inference.generation, "choose_token", lambda *_, tokens=tokens, **__: next(tokens))
        found = method.predict(PICTURE, "segment the crab")
        assert (found.raw_output, found.text, found.new_tokens) == ("<|seg|>", "", 1)
        assert found.forward_passes == 3  # prefill, the token after <|seg|>, its mask
        assert found.masks.shape == (1, 80, 96)
        assert set(found.phases_s) == set(PHASES)
    assert [method.provenance()["refine"] for method in (usual, plain)] == ["grabcut", "bilinear"]
    assert guided.provenance()["refine"] == "guided"
    stored = (load_file(path) for path in folders["embedding"].glob("*.safetensors"))
    assert plain.provenance()["parameters"] == sum(weights.numel() for file in stored for weights in file.values())
    logits = torch.randn(2, 5, 6)
    for plane, full in zip(logits, plain.refiner(logits, PICTURE), strict=True):
        expected = functional.interpolate(plane[None, None], size=(80, 96), mode="bilinear")[0, 0]
        torch.testing.assert_close(full, expected)


# -- on the command line -------------------------------------------------------------------------------------------


def test_all_methods_in_one_run(folders: dict[str, Path], tmp_path: Path) -> None:
    root = tiny.write_scenes(tmp_path / "scenes", splits=("known",))
    named = named_checkpoints(folders | {"backbone": folders["polygon"]})
    chosen = ["--dataset=scenes", f"--root={root}", "--split=known", f"--model={folders['polygon']}"]
    out = tmp_path / "out"
    flags = ["--device=cpu", "--dtype=float32", "--max-new-tokens=3", "--no-memory"]
    assert main(["run", *chosen, f"--out={out}", *named, *flags]) == 0
    records, problems = records_of(out)
    assert problems == []
    assert {record.label for record in records} == set(MAKERS)
    assert {record.status for record in records} <= {"ok", "invalid"}
    assert all(set(record.phases_s) == set(PHASES) for record in records)
    about = json.loads((out / "run.json").read_text())["methods"]
    assert len({one["checkpoint_sha256"] for one in about.values()}) == 4
    assert {one["max_new_tokens"] for one in about.values()} == {3}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["LISA"], "LISA is not measured: its classes come with its own repository"),
        (["text4seg"], "llava_llama"),
        (["sa2va:8b"], "remote code"),
        (["polygon", "polygon"], "named twice"),
        (["polygons"], "no method 'polygons'"),
    ],
)
def test_names_that_are_refused(wanted: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method_labels(wanted)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("polygon:fast", "polygon has no variant 'fast', only published"),
        ("patch_text:fast", "patch_text has no variant 'fast'"),
        ("embedding:fast", "embedding has no variant 'fast'"),
        ("polygon:published", "needs weights"),
    ],
)
def test_variants_that_are_not_there(folders: dict[str, Path], label: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_methods([label], options(folders))


def test_a_missing_checkpoint_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.checkpoints.ASSETS", tmp_path)
    with pytest.raises(
        ValueError, match=r"train it with `python -m benchmarks train --methods polygon .*--polygon-model"
    ):
        load_methods(["polygon"], options({}))


# -- SimpleSeg as published ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simpleseg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the class, tiny, with the tokenizer and the files of a published checkpoint."""
    folder = tmp_path_factory.mktemp("simpleseg")
    processor = make_processor()
    tokenizer = processor.tokenizer
    special = tokenizer.get_added_vocab()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    config = Qwen2_5_VLConfig(
        text_config=sizes
        | {"vocab_size": len(tokenizer), "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": None}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}},
        vision_config={"depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 2, "intermediate_size": 48}
        | {"patch_size": 16, "spatial_merge_size": 1, "window_size": 32, "fullatt_block_indexes": [1]},
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
    )
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=special["<|im_end|>"], pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    return folder


def published(folder: Path, *more: str) -> Method:
    (method,) = load_methods(
        ["polygon:published"], options({}, f"--published-polygon-model={folder}", "--max-new-tokens=5", *more)
    )
    return method


def test_the_published_class_is_loaded_and_answers(simpleseg: Path) -> None:
    method = published(simpleseg)
    found = method.predict(PICTURE, "Output the polygon coordinates of crab in the image.")
    again = published(simpleseg).predict(PICTURE, "Output the polygon coordinates of crab in the image.")
    assert found.raw_output == again.raw_output
    assert 0 < found.new_tokens <= 5
    assert found.forward_passes >= found.new_tokens
    assert found.masks.shape == (0, 80, 96)
    assert not found.valid  # random weights never end
    assert found.phases_s == {}
    assert (method.name, method.variant, method.precision) == ("polygon", "published", "float32")
    about = method.provenance()
    assert {"parameters", "commit", "hardware", "checkpoint_sha256", "transformers"} <= set(about)
    assert (about["trained_from"], about["pictures_seen"]) == (None, None)


def test_the_published_prompt_is_made_around_the_phrase(simpleseg: Path, tmp_path: Path) -> None:
    method = published(simpleseg)
    samples = open_dataset("scenes", ["known"], tiny.write_scenes(tmp_path, splits=("known",))).samples
    prompts = {sample.kind: method.prompt(sample) for sample in samples}
    assert any(isinstance(sample, MaskSample) and sample.phrase == "circle" for sample in samples)
    assert prompts["segment"] == "Output the polygon coordinates of circle in the image."
    assert prompts["count"] == "How many circles are there?"


def test_another_model_is_not_taken_for_the_published_one(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="is a 'qwen2_vl'"):
        published(folders["polygon"])


def test_published_answers_are_read_as_the_readme_says() -> None:
    """[x, y] from 0 to 1, any nesting, several polygons joined."""
    answer = (
        "[[[0.25, 0.5], [0.75, 0.5], [0.75, 1.0], [0.25, 1.0]], [[0.0, 0.0], [0.5, 0.0], [0.5, 0.25], [0.0, 0.25]]]"
    )
    expected = np.zeros((40, 80), dtype=bool)
    expected[20:40, 20:60] = True
    expected[0:10, 0:40] = True
    np.testing.assert_array_equal(read_polygons(answer, (40, 80)), expected)
    assert read_polygons("I see no such thing.", (40, 80)) is None
    assert read_polygons("[[0.1, 0.2], [0.3, 0.4]]", (40, 80)) is None  # two corners
    assert read_polygons("[[12.0, 0.2], [0.3, 40.4], [900, 1]]", (40, 80)) is None  # pixels, not shares
