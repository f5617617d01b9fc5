"""Every dataset in its exact format: which samples, which masks, and what is said when something is wrong."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from scipy.ndimage import binary_dilation, binary_erosion

from benchmarks.datasets import READERS, open_dataset
from benchmarks.datasets.coco import segmentation_mask
from benchmarks.datasets.reasonseg import read_reasonseg
from benchmarks.datasets.sample import DatasetError, MaskSample, QuestionSample, Sample
from stamp.masks import decode_rle
from tests.benchmarks import tiny

OFFICIAL = Path(__file__).parent / "official"


def truth(sample: Sample) -> np.ndarray:
    assert isinstance(sample, MaskSample)
    return sample.truth().mask


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
    assert (absent.no_target, absent.phrase, truth(absent).any(), truth(absent).shape) == (
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
    ],
)
def test_damaged_scenes_are_named(tmp_path: Path, change: Callable[[dict], object], message: str) -> None:
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


# -- RefCOCO and its kin ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["refcoco", "refcoco+", "refcocog"])
@pytest.mark.parametrize(
    ("base", "images"),
    [
        ("refer_seg", "images/mscoco/images/train2014"),
        (".", "images/coco_2014/train2014"),
        ("data", "images/train2014"),
    ],
)
def test_refcoco_in_the_layouts_of_its_users(tmp_path: Path, name: str, base: str, images: str) -> None:
    dataset = open_dataset(name, ["val"], tiny.write_refer(tmp_path, name, base, images))
    assert [sample.id for sample in dataset.samples] == ["1-10", "1-11", "3-30"]
    assert [sample.prompt for sample in dataset.samples] == [
        f"Please segment only the {phrase} in the image." for phrase in ("the left box", "left", "the crowd")
    ]
    assert [sample.image.name for sample in dataset.samples] == [
        tiny.file_name(7),
        tiny.file_name(7),
        tiny.file_name(8),
    ]
    assert {(sample.dataset, sample.split, sample.kind) for sample in dataset.samples} == {(name, "val", "one object")}
    box = np.zeros(tiny.SIZE_HW, dtype=bool)
    box[5:25, 10:30] = True
    np.testing.assert_array_equal(truth(dataset.samples[0]), box)
    crowd = np.zeros(tiny.SIZE_HW, dtype=bool)
    crowd[10:15, 0:2] = True
    np.testing.assert_array_equal(truth(dataset.samples[2]), crowd)
    assert [path.name for path in dataset.files][1] == "instances.json"


def test_overlapping_polygons_are_joined(tmp_path: Path) -> None:
    (sample,) = open_dataset("refcoco", ["testA"], tiny.write_refer(tmp_path)).samples
    parts = [coco.decode(part) for part in coco.frPyObjects(tiny.ANNOTATIONS[1]["segmentation"], *tiny.SIZE_HW)]
    assert (parts[0] & parts[1]).any()
    np.testing.assert_array_equal(truth(sample), (parts[0] | parts[1]).astype(bool))


def test_all_leaves_out_what_is_trained_on(tmp_path: Path) -> None:
    dataset = open_dataset("refcoco", ["all"], tiny.write_refer(tmp_path))
    assert dataset.splits == ("val", "testA", "testB")
    assert [sample.id for sample in dataset.samples] == ["1-10", "1-11", "3-30", "2-20", "4-40"]
    assert [sample.id for sample in open_dataset("refcoco", ["train"], tmp_path).samples] == ["5-50"]


def test_grefcoco(tmp_path: Path) -> None:
    dataset = open_dataset("grefcoco", ["val", "testA"], tiny.write_refer(tmp_path, "grefcoco"))
    assert [sample.kind for sample in dataset.samples] == [
        "several objects",
        "no object",
        "one object",
        "several objects",
    ]
    samples = [sample for sample in dataset.samples if isinstance(sample, MaskSample)]
    assert [sample.no_target for sample in samples] == [False, True, False, False]
    one, two = (segmentation_mask(tiny.ANNOTATIONS[k]["segmentation"], tiny.SIZE_HW) for k in (0, 1))
    np.testing.assert_array_equal(truth(samples[0]), one | two)
    assert not truth(samples[1]).any()
    np.testing.assert_array_equal(truth(samples[2]), decode_rle(tiny.box_rle(3, 4, 10, 12)))
    assert truth(samples[3]).sum() == 10 + 120


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_any_protocol_is_read(tmp_path: Path, protocol: int) -> None:
    tiny.write_refer(tmp_path)
    path = tmp_path / "refer_seg/refcoco/refs(unc).p"
    path.write_bytes(pickle.dumps(tiny.REFERENCES, protocol=protocol))
    assert len(open_dataset("refcoco", ["val"], tmp_path).samples) == 3


def test_strings_of_python_2(tmp_path: Path) -> None:
    tiny.write_refer(tmp_path)
    path = tmp_path / "refer_seg/refcoco/refs(unc).p"
    path.write_bytes(
        b"(lp0\n(dp1\nS'ref_id'\np2\nI9\nsS'ann_id'\np3\nI100\nsS'image_id'\np4\nI7\nsS'split'\np5\nS'val'\np6\n"
        b"sS'sentences'\np7\n(lp8\n(dp9\nS'sent'\np10\nS'the caf\\xc3\\xa9'\np11\nsS'sent_id'\np12\nL4L\nsasa."
    )
    (sample,) = open_dataset("refcoco", ["val"], tmp_path).samples
    assert (sample.id, sample.prompt) == ("9-4", "Please segment only the the café in the image.")


class Malicious:
    """Would write a file when unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


MALICIOUS = {
    "reduce": lambda target: pickle.dumps([Malicious(target)]),
    "global": lambda target: b"cos\nsystem\n(S'touch " + str(target).encode() + b"'\ntR.",
    "inst": lambda target: b"(S'touch " + str(target).encode() + b"'\nios\nsystem\n.",
    "obj": lambda target: b"(cos\nsystem\nS'touch " + str(target).encode() + b"'\no.",
    "stack global": lambda target: b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
    "a harmless class": lambda target: pickle.dumps([Path("x")]),
}


@pytest.mark.parametrize("content", MALICIOUS.values(), ids=MALICIOUS.keys())
def test_a_pickle_that_could_run_code_is_refused(tmp_path: Path, content: Callable[[Path], bytes]) -> None:
    tiny.write_refer(tmp_path)
    target = tmp_path / "proof"
    (tmp_path / "refer_seg/refcoco/refs(unc).p").write_bytes(content(target))
    with pytest.raises(DatasetError, match=r"refs\(unc\)\.p was refused: it asks for .* which could run code"):
        open_dataset("refcoco", ["val"], tmp_path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a complete pickle"),
        (pickle.dumps(tiny.REFERENCES)[:-40], "not a complete pickle"),
        (b"<html>404</html>", "not a complete pickle"),
        (b"\x80\x02(lK\x01\x85R.", "not a complete pickle"),
        (pickle.dumps({"refs": []}), "must hold a list of references, not a dict"),
        (pickle.dumps([{"split": 3}]), "reference 0: 'split' must be str, found 3"),
        (pickle.dumps([tiny.REFERENCES[0] | {"ann_id": 999}]), "no annotation 999"),
        (pickle.dumps([tiny.REFERENCES[0] | {"image_id": 999}]), "no image 999"),
        (pickle.dumps([tiny.REFERENCES[0] | {"sentences": [{"sent": "x"}]}]), "'sent_id' must be int, found None"),
        (pickle.dumps([]), "has no split 'val'"),
    ],
)
def test_damaged_references(tmp_path: Path, content: bytes, message: str) -> None:
    tiny.write_refer(tmp_path)
    (tmp_path / "refer_seg/refcoco/refs(unc).p").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        open_dataset("refcoco", ["val"], tmp_path)


def test_missing_files_say_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as error:
        open_dataset("refcocog", ["val"], tmp_path)
    assert [line.strip() for line in str(error.value).splitlines()[1:]] == [
        str(tmp_path / base / "refcocog/refs(umd).p") for base in ("refer_seg", ".", "data")
    ]
    tiny.write_refer(tmp_path)
    (tmp_path / "refer_seg/images").rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"folder of COCO's train2014 pictures(.|\n)*mscoco/images/train2014"):
        open_dataset("refcoco", ["val"], tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "refer_seg/images")
    (tmp_path / "refer_seg/images/mscoco/images/train2014" / tiny.file_name(8)).unlink()
    with pytest.raises(DatasetError, match=f"1 of 2 pictures are missing in .*, for example {tiny.file_name(8)}"):
        open_dataset("refcoco", ["val"], tmp_path)
    (tmp_path / "refer_seg/refcoco/instances.json").write_text('{"images": [')
    with pytest.raises(DatasetError, match=r"instances\.json cannot be read as JSON"):
        open_dataset("refcoco", ["val"], tmp_path)


def test_a_picture_name_stays_in_its_folder(tmp_path: Path) -> None:
    tiny.write_refer(tmp_path)
    content = tiny.instances()
    content["images"][0]["file_name"] = "../../../secret.jpg"
    (tmp_path / "refer_seg/refcoco/instances.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="leads out of the folder"):
        open_dataset("refcoco", ["val"], tmp_path)


def test_a_corrupt_picture_is_named(tmp_path: Path) -> None:
    sample = open_dataset("refcoco", ["val"], tiny.write_refer(tmp_path)).samples[0]
    sample.image.write_bytes(sample.image.read_bytes()[:200])
    with pytest.raises(DatasetError, match=rf"^{tiny.file_name(7)}: The image is damaged"):
        sample.load_image()


# -- segmentations ---------------------------------------------------------------------------------------------------


def test_segmentations_in_every_form() -> None:
    box = decode_rle(tiny.box_rle(10, 5, 20, 20))
    runs = coco.frPyObjects([[10, 5, 30, 5, 30, 25, 10, 25]], *tiny.SIZE_HW)[0]
    compressed = {"size": list(tiny.SIZE_HW), "counts": runs["counts"].decode()}
    flat = box.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    plain = {"size": list(tiny.SIZE_HW), "counts": np.diff([0, *edges, flat.size]).tolist()}
    for form in ([[10, 5, 30, 5, 30, 25, 10, 25]], compressed, plain, [compressed], [plain, compressed]):
        np.testing.assert_array_equal(segmentation_mask(form, tiny.SIZE_HW), box)
    assert not segmentation_mask([], tiny.SIZE_HW).any()


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([[1, 2, 3, 4]], "at least 3 points, found 4 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "found 7 numbers"),
        ([[1, 2, 3, 4, 5, 1e9]], "far outside"),
        ([[1, 2, 3, 4, 5, float("nan")]], "far outside"),
        ([["a", 2, 3, 4, 5, 6]], "cannot be drawn"),
        ([3], "cannot be drawn"),
        ({"size": [48, 64]}, "cannot be drawn: 'counts'"),
        ({"size": [48, 64], "counts": [1, 2]}, "do not fill"),
        ({"size": [48, 64], "counts": [-1, 48 * 64 + 1]}, "do not fill"),
        ({"size": [48, 64], "counts": "11"}, "cannot be drawn"),
        ({"size": [64, 48], "counts": [48 * 64]}, "the picture has"),
    ],
)
def test_a_damaged_segmentation_is_refused(segmentation: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        segmentation_mask(segmentation, tiny.SIZE_HW)


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
def test_reasonseg_paints_as_the_official_code(tmp_path: Path, case: dict) -> None:
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": []}, "'text' must begin with what is asked"),
        ({"is_sentence": 1}, "'is_sentence' must be bool"),
        ({"shapes": [{"label": "target", "points": []}]}, "is empty"),
        ({"shapes": [{"label": "target", "points": [[1, None]]}]}, "pairs of numbers"),
        ({"shapes": [{"label": "target", "points": [[1, 1e300]]}]}, "far outside"),
        ({"shapes": [{"label": 3, "points": []}]}, "'label' must be str, found 3"),
    ],
)
def test_damaged_reasonseg(tmp_path: Path, change: dict, message: str) -> None:
    tiny.write_reasonseg(tmp_path)
    path = tmp_path / "reason_seg/ReasonSeg/val/1_a.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DatasetError, match=message):
        open_dataset("reasonseg", ["val"], tmp_path)


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
        ("coco", ["val"], Path(), "no dataset 'coco'; choose one of scenes, refcoco"),
        ("refcoco", ["val"], None, "Name the folder that holds refcoco with --root"),
        ("refcoco", ["known"], Path(), "no split 'known'; choose from val, testA, testB, train, or all"),
    ],
)
def test_unknown_names(name: str, splits: list[str], root: Path | None, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset(name, splits, root)


def test_every_dataset_has_a_split_to_measure() -> None:
    assert all(set(reader.splits) - {"train"} for reader in READERS.values())
