"""The scenes and ReasonSeg in their exact formats: which samples, which masks, what is said when something is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from benchmarks.datasets import READERS, open_dataset
from benchmarks.datasets.reasonseg import read_reasonseg
from benchmarks.datasets.sample import DatasetError, MaskSample, QuestionSample
from stamp.pictures.masks import decode_rle
from tests.benchmarks import tiny
from tests.benchmarks.tiny import truth

OFFICIAL = Path(__file__).parents[1] / "official"


# -- the project's own scenes ----------------------------------------------------------------------------------------


def test_scenes(tmp_path: Path) -> None:
    dataset = open_dataset("scenes", ["all"], tiny.write_scenes(tmp_path, per_split=2))
    assert dataset.splits == tiny.SPLITS
    assert [sample.id for sample in dataset.samples[:8]] == [
        f"known-000{scene}-{part}" for scene in (0, 1) for part in ("e0", "e1", "q0", "q1")
    ]
    assert [sample.split for sample in dataset.samples[::8]] == list(tiny.SPLITS)
    disc, absent, count, exists = dataset.samples[4:8]
    assert isinstance(disc, MaskSample)
    assert (disc.kind, disc.prompt, disc.phrase, disc.no_target) == ("segment", "segment the circle", "circle", False)
    upright = tiny.draw_picture(tmp_path / "again.png", 1, tiny.SIZE_HW[::-1])
    np.testing.assert_array_equal(truth(disc), upright)
    assert disc.load_image().size == upright.shape[::-1]
    assert isinstance(absent, MaskSample)
    assert (absent.no_target, absent.phrase, bool(truth(absent).any()), truth(absent).shape) == (
        True,
        None,
        False,
        upright.shape,
    )
    assert isinstance(count, QuestionSample)
    assert count.accepted == ("one", "1")
    assert ("two", "2") in count.rivals
    assert ("apple", "apples") in count.rivals
    assert isinstance(exists, QuestionSample)
    assert ("yes",) in exists.rivals
    assert {path.name for path in dataset.files} == {
        "scenes.jsonl",
        "rivals.json",
        *(f"{split}-000{number}.png" for split in tiny.SPLITS for number in (0, 1)),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scene: scene.pop("width"), "line 2: 'width' must be int, found None"),
        (lambda scene: scene.update(image="../../secret.png"), "leads out of the folder"),
        (lambda scene: scene["questions"][0].update(rivals=["colours"]), "has no list 'colours'"),
        (lambda scene: scene["questions"][0].update(accepted=[]), "expected a list of texts"),
        (lambda scene: scene["expressions"][0].update(rle=[1]), "'rle' must be dict or NoneType"),
        (lambda scene: scene.update(licences=[]), "expected a list of texts"),
        (lambda scene: scene["objects"][0].pop("noun"), "'noun' must be str"),
        (lambda scene: scene.update(id="known-0000"), "same id"),
        (lambda scene: scene.update(image="images/gone.png"), "1 of 2 pictures are missing"),
        (lambda scene: scene.update(image="images/\0.png"), r"the file name 'images/\\x00\.png' contains characters"),
        (lambda scene: scene.update(width=2_000_000, height=2_000_000), "2,000,000 x 2,000,000 pixels"),
        (lambda scene: scene.update(width=-5), "from 1 x 1 to 40 million"),
        (lambda scene: scene.update(width=2**70), "'width' must be int"),
    ],
)
def test_damaged_scenes_are_named(tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    tiny.write_scenes(tmp_path, per_split=2, splits=("known",))
    lines = [json.loads(line) for line in (tmp_path / "scenes.jsonl").read_text().splitlines()]
    change(lines[1])
    (tmp_path / "scenes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DatasetError, match=message):
        open_dataset("scenes", ["known"], tmp_path)


def test_damaged_files_of_scenes(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no scenes\.jsonl.*\n.*scenes\.jsonl"):
        open_dataset("scenes", ["known"], tmp_path)
    tiny.write_scenes(tmp_path, splits=("known",))
    with pytest.raises(DatasetError, match="no scene of the split 'style'"):
        open_dataset("scenes", ["known", "style"], tmp_path)
    with (tmp_path / "scenes.jsonl").open("a") as file:
        file.write('{"id": ')
    with pytest.raises(DatasetError, match="line 2: not a JSON object"):
        open_dataset("scenes", ["known"], tmp_path)


def test_a_code_of_another_size_is_an_error_of_its_sample(tmp_path: Path) -> None:
    tiny.write_scenes(tmp_path, splits=("known",))
    line = json.loads((tmp_path / "scenes.jsonl").read_text())
    line["expressions"][0]["rle"] = tiny.box_rle(0, 0, 2, 2, (9, 9))
    (tmp_path / "scenes.jsonl").write_text(json.dumps(line))
    sample = open_dataset("scenes", ["known"], tmp_path).samples[0]
    with pytest.raises(DatasetError, match=r"for \[9, 9\], the picture has \[48, 64\]"):
        truth(sample)


# -- ReasonSeg -------------------------------------------------------------------------------------------------------


def test_reasonseg(tmp_path: Path) -> None:
    dataset = open_dataset("reasonseg", ["val"], tiny.write_reasonseg(tmp_path))
    question, phrase = dataset.samples
    assert (question.id, question.kind, question.prompt) == (
        "1_a",
        "sentence",
        "What keeps the rain off? Please output segmentation mask.",
    )
    assert (phrase.id, phrase.kind, phrase.prompt) == (
        "2_b",
        "phrase",
        "What is the señor’s hat in this image? Please output segmentation mask.",
    )
    assert isinstance(question, MaskSample)
    assert isinstance(phrase, MaskSample)
    assert (question.phrase, phrase.phrase) == (None, "the señor’s hat")
    both = question.truth()
    assert both.ignore is not None
    assert both.ignore[20, 58]
    assert both.mask[10, 25]
    assert not (both.mask & both.ignore).any()
    again = open_dataset("reasonseg", ["train"], tmp_path / "reason_seg" / "ReasonSeg")
    assert [(sample.split, sample.id) for sample in again.samples] == [("train", "3_c")]


@pytest.mark.parametrize(
    "case", json.loads((OFFICIAL / "reasonseg_masks.json").read_text())["cases"], ids=lambda c: c["name"]
)
def test_reasonseg_paints_as_the_official_code(tmp_path: Path, case: dict[str, Any]) -> None:
    folder = tmp_path / "val"
    folder.mkdir()
    Image.new("RGB", (case["width"], case["height"])).save(folder / "x.jpg")
    content = {"text": ["x"], "is_sentence": False, "shapes": case["shapes"]}
    (folder / "x.json").write_text(json.dumps(content))
    (sample,) = read_reasonseg("reasonseg", tmp_path, ["val"]).samples
    assert isinstance(sample, MaskSample)
    ours = sample.truth()
    assert ours.ignore is not None
    for mask, code in ((ours.mask, case["target"]), (ours.ignore, case["ignore"])):
        theirs = decode_rle(code)
        edge = binary_dilation(theirs) & ~binary_erosion(theirs)
        assert not ((mask != theirs) & ~edge).any()
        assert np.count_nonzero(mask != theirs) <= 0.01 * np.count_nonzero(theirs)


def test_reasonseg_of_a_turned_photograph(tmp_path: Path) -> None:
    """The polygons are in the upright frame, in which OpenCV reads a JPEG too."""
    picture = tiny.write_reasonseg(tmp_path) / "reason_seg/ReasonSeg/val/2_b.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(picture, exif=exif)
    (_, sample) = open_dataset("reasonseg", ["val"], tmp_path).samples
    assert truth(sample).shape == (64, 48)
    assert sample.load_image().size == (48, 64)


def with_annotation(tmp_path: Path, content: bytes) -> list[MaskSample]:
    """The samples of `val` when the first annotation is this."""
    tiny.write_reasonseg(tmp_path)
    (tmp_path / "reason_seg/ReasonSeg/val/1_a.json").write_bytes(content)
    samples = open_dataset("reasonseg", ["val"], tmp_path).samples
    return [sample for sample in samples if isinstance(sample, MaskSample)]


GOOD_SHAPE = {"label": "target", "points": [[5, 5], [30, 5], [30, 30]]}
GOOD = {"text": ["What rolls?"], "is_sentence": True, "shapes": [GOOD_SHAPE]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": []}, "'text' must begin with the question"),
        ({"text": None}, "'text' must be list"),
        ({"is_sentence": 2}, "'is_sentence' must be true or false, found 2"),
        ({"is_sentence": "yes"}, "'is_sentence' must be true or false, found 'yes'"),
        ({"is_sentence": None}, "'is_sentence' must be true or false"),
        ({"shapes": None}, "'shapes' must be list"),
        ({"shapes": []}, "no target polygon"),
        ({"shapes": [GOOD_SHAPE | {"label": "flag"}]}, "no target polygon"),
        ({"shapes": [GOOD_SHAPE | {"label": "ignore"}]}, "no target polygon"),
        ({"shapes": [{"label": "target", "points": []}]}, "is empty"),
        ({"shapes": [{"label": "target", "points": [[1, None]]}]}, "pairs of numbers"),
        ({"shapes": [{"label": "target", "points": [[1, 1e300]]}]}, "far outside"),
        ({"shapes": [{"label": 3, "points": []}]}, "'label' must be str, found 3"),
        ({"shapes": [{"label": "target", "points": ["12", "34"]}]}, "pairs of numbers"),
        ({"shapes": [{"label": "target", "points": {"12": 1}}]}, "'points' must be list"),
    ],
)
def test_an_odd_annotation_is_an_error_of_its_sample(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    odd, good = with_annotation(tmp_path, json.dumps(GOOD | change).encode())
    for attempt in (odd.load_image, odd.truth):
        with pytest.raises(DatasetError, match=rf"1_a\.json: .*{message}"):
            attempt()
    assert (odd.id, odd.no_target) == ("1_a", False)
    assert good.load_image().size == tiny.SIZE_HW[::-1]
    assert truth(good).any()


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe\x81\x8d"])
def test_a_file_that_is_no_annotation_is_an_error_of_its_sample(tmp_path: Path, content: bytes) -> None:
    odd, good = with_annotation(tmp_path, content)
    with pytest.raises(DatasetError, match=r"1_a\.json"):
        odd.load_image()
    assert truth(good).any()


def test_a_byte_order_mark_and_a_number_for_true_are_read(tmp_path: Path) -> None:
    for is_sentence, kind in ((1, "sentence"), (0, "phrase")):
        content = b"\xef\xbb\xbf" + json.dumps(GOOD | {"is_sentence": is_sentence}).encode()
        sample, _ = with_annotation(tmp_path, content)
        assert (sample.kind, sample.prompt.startswith("What rolls?")) == (kind, kind == "sentence")
        assert truth(sample).any()


def test_a_corrupt_picture_of_reasonseg(tmp_path: Path) -> None:
    sample = open_dataset("reasonseg", ["val"], tiny.write_reasonseg(tmp_path)).samples[0]
    sample.image.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"^1_a\.jpg: This file is not an image"):
        truth(sample)


def test_missing_parts_of_reasonseg(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no ReasonSeg test in (.|\n)*reason_seg/ReasonSeg/test"):
        open_dataset("reasonseg", ["test"], tiny.write_reasonseg(tmp_path))
    folder = tmp_path / "reason_seg/ReasonSeg/val"
    (folder / "1_a.json").unlink()
    with pytest.raises(DatasetError, match=r"1 pictures in .* have no annotation, for example 1_a\.jpg"):
        open_dataset("reasonseg", ["val"], tmp_path)
    for picture in folder.glob("*.jpg"):
        picture.unlink()
    with pytest.raises(DatasetError, match=r"holds no \.jpg picture"):
        open_dataset("reasonseg", ["val"], tmp_path)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "splits", "root", "message"),
    [
        ("coco", ["val"], Path(), "no dataset 'coco'; choose one of scenes, cutouts, photos, refcoco"),
        ("refcoco", ["val"], None, "Name the folder that holds refcoco with --root"),
        ("refcoco", ["known"], Path(), "no split 'known'; choose from val, testA, testB, train, or all"),
    ],
)
def test_unknown_names(name: str, splits: list[str], root: Path | None, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(name, splits, root)


def test_every_dataset_has_a_split_to_measure() -> None:
    assert all(set(reader.splits) - {"train"} for reader in READERS.values())
