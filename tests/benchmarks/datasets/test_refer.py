"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO in their exact formats; pickles that must not run; COCO's segmentations."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from benchmarks.datasets import open_dataset
from benchmarks.datasets.coco import segmentation_mask
from benchmarks.datasets.sample import DatasetError, MaskSample
from stamp.pictures.masks import decode_rle
from tests.benchmarks import tiny
from tests.benchmarks.tiny import truth


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


def test_what_no_reference_needs_is_not_checked(tmp_path: Path) -> None:
    """Other splits' pictures and annotations may be odd."""
    tiny.write_refer(tmp_path)
    content = tiny.instances()
    content["images"] += [{"id": 9}, {"file_name": "x.jpg"}, 5, {"id": 10, "file_name": "../x.jpg"}]
    content["annotations"] += [{"id": 104}, {"id": None}, "x", {"id": 105, "segmentation": 7}]
    (tmp_path / "refer_seg/refcoco/instances.json").write_text(json.dumps(content))
    assert len(open_dataset("refcoco", ["all"], tmp_path).samples) == 5
    references = [*tiny.REFERENCES, tiny.reference(6, 7, 105, "testA", ["the odd one"])]
    (tmp_path / "refer_seg/refcoco/refs(unc).p").write_bytes(pickle.dumps(references))
    assert len(open_dataset("refcoco", ["val"], tmp_path).samples) == 3
    with pytest.raises(DatasetError, match=r"annotation 7: 'segmentation' must be list or dict, found 7"):
        open_dataset("refcoco", ["testA"], tmp_path)


def test_a_whole_number_with_a_point_is_a_size(tmp_path: Path) -> None:
    tiny.write_refer(tmp_path)
    content = tiny.instances()
    content["images"][0] |= {"width": 64.0, "height": 48.0}
    (tmp_path / "refer_seg/refcoco/instances.json").write_text(json.dumps(content))
    assert truth(open_dataset("refcoco", ["val"], tmp_path).samples[0]).shape == tiny.SIZE_HW


@pytest.mark.parametrize(("ids", "flag"), [([-1], None), (-1, True), ([-1], True), ([], True), ([], None)])
def test_no_target_in_every_form(tmp_path: Path, ids: object, flag: bool | None) -> None:
    tiny.write_refer(tmp_path, "grefcoco")
    reference = tiny.reference(1, 7, ids, "val", ["a zebra"]) | ({} if flag is None else {"no_target": flag})
    (tmp_path / "refer_seg/grefcoco/grefs(unc).json").write_text(json.dumps([reference]))
    (sample,) = open_dataset("grefcoco", ["val"], tmp_path).samples
    assert isinstance(sample, MaskSample)
    assert (sample.no_target, sample.kind, bool(truth(sample).any())) == (True, "no object", False)


def test_no_target_beside_a_target_is_refused(tmp_path: Path) -> None:
    tiny.write_refer(tmp_path, "grefcoco")
    reference = tiny.reference(1, 7, [100], "val", ["a box"]) | {"no_target": True}
    (tmp_path / "refer_seg/grefcoco/grefs(unc).json").write_text(json.dumps([reference]))
    with pytest.raises(DatasetError, match="reference 0: 'no_target' contradicts 'ann_id'"):
        open_dataset("grefcoco", ["val"], tmp_path)


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

    def __reduce__(self) -> tuple[Any, ...]:
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


def laughs(depth: int) -> list[object]:
    """A list of `depth` lines that is written out in 2 ** depth."""
    content: list[object] = ["ha"]
    for _ in range(depth):
        content = [content, content]
    return content


LAUGHS = laughs(60)
LAUGHS_IN_A_FRAME = b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f."


def test_seven_bytes_take_no_gigabytes(tmp_path: Path) -> None:
    """A memo index that lies: C's unpickler makes a table of that length. Here it may take 200 MB more than it has."""
    path = tmp_path / "refs.p"
    path.write_bytes(b"Nr\xff\xff\xff\x0f.")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from benchmarks.datasets.plain_pickle import read_plain_pickle\n"
        "in_use = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (in_use + 200_000_000,) * 2)\n"
        "print(read_plain_pickle(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("None\n", 0), done.stderr[-500:]


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
        (pickle.dumps([tiny.REFERENCES[0] | {"ref_id": 1 << 100_000}]), "'ref_id' must be int, found a huge int"),
        (pickle.dumps([{"split": LAUGHS}]), "'split' must be str, found "),
        (LAUGHS_IN_A_FRAME, "not a complete pickle"),
        (b"\x80\x05\x96\xff\xff\xff\xff\x7f\x00\x00\x00.", "not a complete pickle"),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_name": "a\0b.jpg"}, r"the file name 'a\\x00b\.jpg' contains characters"),
        ({"file_name": ".."}, "leads out of the folder"),
        ({"file_name": 7}, "'file_name' must be str, found 7"),
        ({"height": 2_000_000, "width": 2_000_000}, "2,000,000 x 2,000,000 pixels"),
        ({"height": 0}, "from 1 x 1 to 40 million"),
        ({"id": [7]}, "has no image 7"),
        ({"width": 64.5}, "'width' must be int"),
    ],
)
def test_a_picture_that_lies(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    tiny.write_refer(tmp_path)
    content = tiny.instances()
    content["images"][0] |= change
    (tmp_path / "refer_seg/refcoco/instances.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        open_dataset("refcoco", ["val"], tmp_path)


def test_a_code_of_a_picture_too_large_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="2,000,000 x 2,000,000 pixels"):
        decode_rle({"size": [2_000_000, 2_000_000], "counts": "0"})


def test_whatever_breaks_in_reading_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("Unable to allocate 3.64 TiB")

    monkeypatch.setattr("benchmarks.datasets.refer.read_instances", broken)
    with pytest.raises(DatasetError, match=r"refcoco in .* cannot be read \(MemoryError: .* 3.64 TiB\)"):
        open_dataset("refcoco", ["val"], tiny.write_refer(tmp_path))


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


@pytest.mark.parametrize("degenerate", [[5, 5, 6, 6], [5, 5], []])
def test_a_part_of_less_than_three_points_is_skipped(degenerate: list[float]) -> None:
    box = [10, 5, 30, 5, 30, 25, 10, 25]
    expected = coco.decode(coco.frPyObjects([box], *tiny.SIZE_HW))[..., 0].astype(bool)
    for segmentation in ([box, degenerate], [degenerate, box]):
        np.testing.assert_array_equal(segmentation_mask(segmentation, tiny.SIZE_HW), expected)


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
