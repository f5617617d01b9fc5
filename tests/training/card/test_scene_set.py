"""The evaluation set, read back by the benchmark's reader and compared with the scenes it was made from."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from benchmarks.datasets import open_dataset
from benchmarks.datasets.sample import Dataset, MaskSample, QuestionSample
from benchmarks.datasets.scenes import read_scenes
from stamp.training.card.scene_set import TEST_SEEDS, Split, scene_entry, write_cutout_set, write_scene_set
from stamp.training.learning.recipes import RECIPES
from stamp.training.scenes.art import HELD_OUT_PANORAMAS, STYLE_SOURCES, ArtLibrary
from stamp.training.scenes.rasterise import ArtError
from stamp.training.scenes.scenes import TRAIN_SEEDS, SceneConfig, compose_scene
from stamp.training.talk.answers import is_right
from stamp.training.talk.phrases import SEGMENT
from tests.training.conftest import LEXICON, STYLES
from tests.training.photographs import write_jsonl


@pytest.fixture(autouse=True)
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for style in STYLES:
        monkeypatch.setitem(STYLE_SOURCES, style, STYLE_SOURCES["noto"])


@pytest.fixture
def written(library: ArtLibrary, tmp_path: Path) -> Path:
    write_scene_set([Split("known", library), Split("background", library, 1.0)], 4, tmp_path)
    return tmp_path


def read(folder: Path) -> Dataset:
    return read_scenes("scenes", folder, ("known", "background"))


def test_the_benchmark_reads_what_was_written(written: Path) -> None:
    dataset = read(written)
    scenes = [json.loads(line) for line in (written / "scenes.jsonl").read_text().splitlines()]
    assert [scene["id"] for scene in scenes] == [
        f"{split}-{n:04}" for split in ("known", "background") for n in range(4)
    ]
    assert {scene["licences"][0] for scene in scenes} == {"@iconify-json/noto@1.2.9, Apache-2.0"}
    masks = [sample for sample in dataset.samples if isinstance(sample, MaskSample)]
    questions = [sample for sample in dataset.samples if isinstance(sample, QuestionSample)]
    assert len(masks) == sum(len(scene["expressions"]) for scene in scenes)
    assert sum(sample.no_target for sample in masks) == len(scenes)
    assert all(sample.phrase and sample.phrase in sample.prompt for sample in masks)
    for sample in masks:
        picture = sample.load_image()
        assert sample.truth().mask.shape == (picture.height, picture.width)
        assert sample.truth().mask.any() != sample.no_target
    assert len(questions) == 3 * len(scenes)
    for question in questions:
        assert is_right(question.accepted[0], question.prompt, question.accepted, question.rivals)


def test_masks_are_those_of_the_scene(library: ArtLibrary) -> None:
    scene = compose_scene(TEST_SEEDS.start, library, SceneConfig(STYLES, width=96, height=96))
    entry = scene_entry("known-0000", "known", scene, LEXICON)
    for item, written in zip(scene.objects, entry["objects"], strict=True):
        rle = {**written["rle"], "counts": written["rle"]["counts"].encode()}
        assert np.array_equal(coco.decode(rle).astype(bool), scene.labels == item.mask_id)
        assert written["noun"] == item.noun.name


def test_it_is_the_same_each_time(library: ArtLibrary, written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_scene_set([Split("known", library), Split("background", library, 1.0)], 4, again)
    names = [path.relative_to(again) for path in sorted(again.rglob("*")) if path.is_file()]
    assert len(names) == 11
    assert Path("LICENCES.md") in names
    assert all((again / name).read_bytes() == (written / name).read_bytes() for name in names)


def test_no_training_scene_is_in_the_set_nor_in_two_stages() -> None:
    assert TEST_SEEDS.start > TRAIN_SEEDS.stop
    seeds = [
        range(stage.plan.seed_offset, stage.plan.seed_offset + stage.steps * stage.plan.images)
        for recipe in RECIPES.values()
        for stage in recipe().stages
    ]
    seeds.sort(key=lambda some: some.start)
    assert len(seeds) == 11
    assert seeds[0].start >= TRAIN_SEEDS.start
    assert seeds[-1].stop <= TRAIN_SEEDS.stop
    assert all(some.stop <= more.start for some, more in pairwise(seeds))


def test_an_answer_may_use_any_word_for_a_noun(written: Path) -> None:
    lists = json.loads((written / "rivals.json").read_text())
    assert ["bee", "bees", "honeybee", "bumblebee", "honeybees", "bumblebees"] in lists["nouns"]
    assert len(lists["nouns"]) == len(LEXICON.nouns)


def test_things_cut_out_of_held_out_photographs_make_a_set(tmp_path: Path) -> None:
    photos, art = write_jsonl(tmp_path / "photos"), tmp_path / "art"
    nouns = ("apple", "bee", "bread", "cow", "duck", "guitar")
    objects = [{"mask": "masks/three.png", "mask_ids": [1], "noun": noun} for noun in nouns]
    with (photos / "annotations.jsonl").open("a") as file:
        file.write(json.dumps({"image": "images/three.jpg", "objects": objects}) + "\n")
    with pytest.raises(ArtError, match="has no panoramas: run `python -m stamp.training art"):
        write_cutout_set(art, photos, 3, tmp_path / "set")
    (art / "panoramas").mkdir(parents=True)
    for name, grey in ((HELD_OUT_PANORAMAS[0], 200), ("of-the-training", 20)):
        Image.new("L", (512, 256), grey).save(art / "panoramas" / f"{name}.png")
    write_cutout_set(art, photos, 3, tmp_path / "set")
    cut_out = {path.parent.name for path in (art / "cutouts").rglob("*.png")}
    assert cut_out == set(nouns)  # no cat, which other photographs show
    dataset = open_dataset("cutouts", ["all"], tmp_path / "set")
    scenes = [json.loads(line) for line in (tmp_path / "set" / "scenes.jsonl").read_text().splitlines()]
    assert {item["noun"] for scene in scenes for item in scene["objects"]} <= set(nouns)
    assert {scene["licences"][-1] for scene in scenes} == {"Things cut out of photographs"}
    assert "Things cut out of photographs: their folder" in (tmp_path / "set" / "LICENCES.md").read_text()
    for sample in dataset.samples:
        corner = np.asarray(sample.load_image())[0, 0]
        assert 100 < corner.mean() < 250  # the held-out panorama


def test_kinds_differ_within_a_scene(written: Path) -> None:
    for line in (written / "scenes.jsonl").read_text().splitlines():
        scene = json.loads(line)
        for part in ("expressions", "questions"):
            kinds = [entry["kind"] for entry in scene[part]]
            assert len(set(kinds)) == len(kinds)


def test_half_of_the_sentences_are_put_as_training_never_hears_them(library: ArtLibrary) -> None:
    """Of the requests by name alone, whose phrasings are known: the last of the list, and all the others."""
    held_out, heard = (
        {re.escape(phrase).replace(r"\{the\}", ".+") for phrase in phrases} for phrases in (SEGMENT[-1:], SEGMENT[:-1])
    )
    config = SceneConfig(STYLES, width=96, height=96)
    entries = [
        scene_entry("x", "known", compose_scene(TEST_SEEDS.start + seed, library, config), LEXICON)
        for seed in range(150)
    ]
    texts = [one["text"] for entry in entries for one in entry["expressions"] if one["kind"] == "segment_absent"]
    assert len(texts) == 150
    new = [text for text in texts if any(re.fullmatch(one, text) for one in held_out)]
    old = [text for text in texts if any(re.fullmatch(one, text) for one in heard)]
    assert len(new) + len(old) == 150
    assert 55 <= len(new) <= 95  # 3.3 standard deviations


def test_a_scene_gets_three_requests_one_for_what_is_absent_and_three_questions(library: ArtLibrary) -> None:
    scene = compose_scene(TEST_SEEDS.start + 1, library, SceneConfig(STYLES, width=96, height=96))
    entry = scene_entry("x", "known", scene, LEXICON)
    kinds = [one["kind"] for one in entry["expressions"]]
    assert (len(kinds), kinds[3], len(entry["questions"])) == (4, "segment_absent", 3)
    assert all((one["rle"] is None) == (one["kind"] == "segment_absent") for one in entry["expressions"])


def test_pictures_are_square_wide_and_tall_in_turn(written: Path) -> None:
    scenes = [json.loads(line) for line in (written / "scenes.jsonl").read_text().splitlines()]
    assert [(scene["width"], scene["height"]) for scene in scenes[:4]] == [
        *((384, 384), (448, 320), (320, 448), (384, 384))
    ]
