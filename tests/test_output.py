"""What `--out` may touch: files of an earlier run, which its own result.json lists, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stamp.conversation import Segmentation
from stamp.files import StorageError
from stamp.output import OutputError, check_output, write_result
from tests.disks import TOO_LARGE, full_after

IMAGE = Image.new("RGB", (6, 4), "teal")


def answer(n_masks: int, response: str = "") -> Segmentation:
    masks = np.zeros((n_masks, 4, 6), dtype=bool)
    return Segmentation(
        "Sure", response or n_masks * "<|seg|>", (1,), masks, [], [None] * n_masks, {"total": 0.0}, 1, 1, "end"
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_lists_its_files_and_the_next_removes_them(tmp_path: Path) -> None:
    write_result(answer(3), IMAGE, tmp_path)
    assert names(tmp_path) == {"result.json", "overlay.png", "mask_1.png", "mask_2.png", "mask_3.png"}
    listed = json.loads((tmp_path / "result.json").read_text())["files"]
    assert listed == ["mask_1.png", "mask_2.png", "mask_3.png", "overlay.png"]
    check_output(tmp_path)
    write_result(answer(1), IMAGE, tmp_path)
    assert names(tmp_path) == {"result.json", "overlay.png", "mask_1.png"}


def test_files_of_the_user_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "mask_ground_truth.png").write_text("mine")
    (tmp_path / "mask_old.png").mkdir()
    for n_masks in (2, 1):
        check_output(tmp_path)
        write_result(answer(n_masks), IMAGE, tmp_path)
    assert (tmp_path / "mask_ground_truth.png").read_text() == "mine"
    assert (tmp_path / "mask_old.png").is_dir()
    assert names(tmp_path) == {"mask_ground_truth.png", "mask_old.png", "result.json", "overlay.png", "mask_1.png"}


@pytest.mark.parametrize("name", ["overlay.png", "result.json"])
@pytest.mark.parametrize("beside_a_run", [False, True])
def test_a_file_that_is_not_ours_is_never_overwritten(tmp_path: Path, name: str, beside_a_run: bool) -> None:
    if beside_a_run:
        write_result(answer(1), IMAGE, tmp_path)
        record = json.loads((tmp_path / "result.json").read_text())
        record["files"] = [one for one in record["files"] if one != name]
        (tmp_path / "result.json").write_text(json.dumps(record))
        (tmp_path / "mask_1.png").unlink()
    (tmp_path / name).write_text('{"mine": 1}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    attempts: list[Callable[[], object]] = [
        lambda: check_output(tmp_path),
        lambda: write_result(answer(13), IMAGE, tmp_path),
    ]
    for attempt in attempts:
        with pytest.raises(OutputError, match=rf"\w+\.\w+ in .*{tmp_path.name} was not written by an earlier run"):
            attempt()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_masks_are_files_under_their_names_and_none_that_is_taken(tmp_path: Path) -> None:
    """Whether by a file, a folder, a link to nowhere, or the same letters in capitals."""
    (tmp_path / "pine.png").write_text("mine")
    (tmp_path / "PEAR.png").write_text("mine")
    (tmp_path / "hat_1.png").mkdir()
    (tmp_path / "hat_2.png").symlink_to(tmp_path / "nowhere")
    seg = "<|seg|>"
    write_result(
        answer(5, f"the pine: {seg}, the pear: {seg}, a hat: {seg}{seg} and an overlay {seg}"), IMAGE, tmp_path
    )
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["files"] == ["pine_2.png", "pear_2.png", "hat_1_2.png", "hat_2_2.png", "overlay_2.png", "overlay.png"]
    assert [mask["label"] for mask in record["masks"]] == ["pine", "pear", "hat 1", "hat 2", "overlay"]
    assert (tmp_path / "pine.png").read_text() == "mine" == (tmp_path / "PEAR.png").read_text()
    write_result(answer(0), IMAGE, tmp_path)
    assert names(tmp_path) == {"pine.png", "PEAR.png", "hat_1.png", "hat_2.png", "result.json", "overlay.png"}


def test_a_folder_in_the_place_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "overlay.png").mkdir()
    with pytest.raises(OutputError, match=r"overlay\.png in .* was not written by an earlier run"):
        check_output(tmp_path)


@pytest.mark.parametrize("name", ["mask_1.png", "overlay.png"])
def test_the_picture_itself_is_never_removed(tmp_path: Path, name: str) -> None:
    """Also when it is what an earlier run wrote, and by whatever path it is named."""
    write_result(answer(1), IMAGE, tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    picture = tmp_path / "link" / ".." / tmp_path.name / name
    before = picture.read_bytes()
    with pytest.raises(OutputError, match="is the picture to be segmented"):
        check_output(tmp_path, picture)
    with pytest.raises(OutputError, match="is the picture to be segmented"):  # a chat names the folder only then
        write_result(answer(1), IMAGE, tmp_path, picture)
    assert picture.read_bytes() == before


def test_a_list_that_lies_removes_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_result(answer(1), IMAGE, out)
    (tmp_path / "precious.png").write_text("mine")
    (out / "notes.txt").write_text("mine")
    record = json.loads((out / "result.json").read_text())
    record["files"] += ["../precious.png", str(tmp_path / "precious.png"), "notes.txt", "a\0b", 5, None, ["x"]]
    (out / "result.json").write_text(json.dumps(record))
    write_result(answer(0), IMAGE, out)
    assert names(out) == {"notes.txt", "overlay.png", "result.json"}
    assert (tmp_path / "precious.png").read_text() == "mine"


def test_a_record_of_another_program_lists_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"files": ["mask_2.png"]}')
    (tmp_path / "mask_2.png").write_text("mine")
    with pytest.raises(OutputError, match=r"result\.json in .* was not written by an earlier run"):
        write_result(answer(1), IMAGE, tmp_path)
    assert (tmp_path / "mask_2.png").read_text() == "mine"


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_result(answer(1), IMAGE, out)
    (tmp_path / "mine.png").write_text("mine")
    (out / "overlay.png").unlink()
    (out / "overlay.png").symlink_to(tmp_path / "mine.png")
    write_result(answer(1), IMAGE, out)
    assert (tmp_path / "mine.png").read_text() == "mine"
    assert not (out / "overlay.png").is_symlink()


def test_a_full_disk_leaves_the_earlier_answer_as_it_was(tmp_path: Path) -> None:
    write_result(answer(1), IMAGE, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with full_after(200), pytest.raises(StorageError, match=rf"{tmp_path.name} {TOO_LARGE}"):
        write_result(answer(13), IMAGE, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    write_result(answer(2), IMAGE, tmp_path)
    assert names(tmp_path) == {"result.json", "overlay.png", "mask_1.png", "mask_2.png"}
