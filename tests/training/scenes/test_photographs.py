"""Photographs become scenes, and only what their marks prove is said of them."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from stamp.training.scenes.photographs import (
    DOUBTFUL_WEIGHT,
    Photograph,
    PhotographError,
    PhotoLibrary,
    photograph_scene,
    read_photographs,
)
from stamp.training.talk import facts, questions, requests
from stamp.training.talk.makers import MASK_MAKERS, TEXT_MAKERS, draw
from stamp.training.talk.situation import Situation
from tests.training.conftest import LEXICON, NOUN, NOUNS
from tests.training.photographs import HEIGHT, LABELS, WIDTH, write_coco, write_jsonl

CAT, CAR, TAXI, COW, BUS, APPLE, GUITAR = (NOUN[n] for n in ("cat", "car", "taxi", "cow", "bus", "apple", "guitar"))


def by_name(photographs: list[Photograph]) -> dict[str, Photograph]:
    return {photo.path.stem: photo for photo in photographs if photo.has_masks}


@pytest.mark.parametrize("write", [write_jsonl, write_coco])
def test_both_layouts_give_the_marked_objects(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    photographs = by_name(read_photographs(write(tmp_path), NOUNS))
    assert set(photographs) == {"one", "two"}
    for name, photo in photographs.items():
        assert [item.noun.name for item in photo.objects] == {"one": ["cat"], "two": ["cat", "car", "car"]}[name]
        for value, item in enumerate(photo.objects, 1):
            assert item.read_mask is not None
            assert np.array_equal(item.read_mask(), LABELS[name] == value)
    assert set(by_name(read_photographs(tmp_path, NOUNS, held_out=True))) == {"three"}


def test_a_folder_of_folders_is_read_and_one_without_annotations_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_jsonl(tmp_path / "a")
    assert len(read_photographs(tmp_path, NOUNS)) == 3
    (tmp_path / "b").mkdir()
    with pytest.raises(PhotographError, match=r"neither annotations.jsonl nor instances.json"):
        read_photographs(tmp_path / "b", NOUNS)
    (tmp_path / "b" / "annotations.jsonl").write_text('{"image": "a.jpg"}\n')
    with pytest.raises(PhotographError, match="objects"):
        read_photographs(tmp_path / "b", NOUNS)


def test_what_may_be_there_without_a_mark(tmp_path: Path) -> None:
    """Striking things are marked; so is what the folder says it marks, with all that is of that kind."""
    (photo, *_) = read_photographs(write_jsonl(tmp_path), NOUNS)
    assert {CAR, TAXI, BUS, APPLE} < photo.unmarked
    assert photo.unmarked.isdisjoint({CAT, COW, GUITAR})
    assert photo.weight == DOUBTFUL_WEIGHT
    (photo, *_) = read_photographs(write_jsonl(tmp_path, marks="cat\ncar\n"), NOUNS)
    assert photo.unmarked.isdisjoint({CAR, TAXI, CAT})
    assert {BUS, APPLE} < photo.unmarked
    assert photo.weight == 1.0
    assert photo.origin == "example.org, CC0"


def test_the_whole_picture_as_a_scene(tmp_path: Path) -> None:
    photo = by_name(read_photographs(write_jsonl(tmp_path, marks="cat\ncar\n"), NOUNS))["two"]
    scene = photograph_scene(photo, 0, WIDTH, HEIGHT, crop=False)
    assert scene is not None
    assert [(item.noun, item.box_xyxy) for item in scene.objects] == [(CAT, (8, 8, 40, 56)), (CAR, (60, 8, 92, 40))]
    assert np.array_equal(scene.labels, np.where(LABELS["two"] == 3, 0, LABELS["two"]))
    assert CAR in scene.unmarked  # one of the two cars is too small to see


def test_a_whole_or_its_parts(tmp_path: Path) -> None:
    """What is covered by smaller things of other nouns is shown without them, or they without it."""
    photo = by_name(read_photographs(write_jsonl(tmp_path, marks="cat\ncar\n"), NOUNS))["one"]
    whole, part = LABELS["one"] == 1, np.zeros((HEIGHT, WIDTH), bool)
    part[8:50, 8:40] = True
    both = Photograph(photo.path, (photo.objects[0], type(photo.objects[0])(CAR, lambda: part)), frozenset(), 1.0)
    seen = set()
    for seed in range(12):
        scene = photograph_scene(both, seed, WIDTH, HEIGHT, crop=False)
        assert scene is not None
        (item,) = scene.objects
        assert np.array_equal(scene.mask(1), whole if item.noun is CAT else part)
        assert scene.unmarked == {CAR if item.noun is CAT else CAT}
        seen.add(item.noun.name)
    assert seen == {"cat", "car"}


def test_crops_keep_picture_and_marks_together(tmp_path: Path) -> None:
    """The pictures are bright where they are marked, so any window of both must agree."""
    photo = by_name(read_photographs(write_jsonl(tmp_path), NOUNS))["one"]
    scenes = [photograph_scene(photo, seed, 64, 64) for seed in range(20)]
    boxes = set()
    for scene in filter(None, scenes):
        bright = scene.image.mean(-1) > 50
        assert (bright == (scene.labels == 1)).mean() > 0.93
        boxes.add(scene.objects[0].box_xyxy)
    assert len(boxes) > 10


def test_only_what_is_known_is_said(tmp_path: Path) -> None:
    photo = by_name(read_photographs(write_jsonl(tmp_path), NOUNS))["two"]
    scene = photograph_scene(photo, 0, WIDTH, HEIGHT, crop=False)
    assert scene is not None
    situation = Situation(scene, Random(0), LEXICON)
    assert facts.everything(scene) == ()
    assert set(situation.counted()) == {CAT}
    assert {situation.absent_noun() for _ in range(300)}.isdisjoint(scene.unmarked | {CAT, CAR})
    assert requests.segment_everything(situation) is None
    for _ in range(400):
        exchange = draw((*MASK_MAKERS, *TEXT_MAKERS), situation)
        assert exchange.kind not in ("segment_size", "what_beside", "segment_everything")
        if exchange.kind == "count":
            assert "car" not in exchange.question
            assert "object" not in exchange.question
    assert questions.ask_describe(situation).answer == "I see a cat and a car."


def test_the_library_draws_each_seed_once(tmp_path: Path) -> None:
    library = PhotoLibrary(read_photographs(write_jsonl(tmp_path), NOUNS))
    first, again, other = library.scene(5, 64, 48), library.scene(5, 64, 48), library.scene(6, 64, 48)
    assert first.image.shape == (48, 64, 3)
    assert first.seed == 5
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    with pytest.raises(PhotographError, match="none of the photographs"):
        PhotoLibrary([])


@pytest.mark.parametrize("name", ["../../secret/s.png", "/secret/s.png", "images/../../s.png"])
@pytest.mark.parametrize(
    ("write", "own"),
    [
        (write_jsonl, '"image": "images/one.jpg"'),
        (write_jsonl, '"mask": "masks/one.png"'),
        (write_coco, '"file_name": "one.jpg"'),
    ],
)
def test_no_file_outside_the_folder_is_read(tmp_path: Path, write, own: str, name: str) -> None:  # type: ignore[no-untyped-def]
    (path,) = write(tmp_path).glob("*.json*")
    path.write_text(path.read_text().replace(own, f'{own.partition(":")[0]}: "{name}"'))
    with pytest.raises(PhotographError, match=f"{path.name}: ValueError: the file '{name}' leads out of the folder"):
        read_photographs(tmp_path, NOUNS)
