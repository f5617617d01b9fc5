"""The list of masks, what a click on a mask does, what a request may send instead, and cut-outs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.chat.answering import Answering
from demo.chat.downloads import coco_annotations, write_cutout
from demo.chat.masks import NO_INVERSE, masks_html, pick_mask, pick_point
from demo.chat.shown_mask import ShownMask, shrink_mask
from demo.chat.visit import Visit
from demo.chat.wording import suggest_wording
from demo.handlers import set_opacity
from demo.html import literal
from stamp import MaskReady
from stamp.pictures.visualization import mask_colour
from tests.demo.fake import FakePredictor, ask, slot_of, visit_of
from tests.disks import full_after

CYAN = (0, 238, 238)


@pytest.fixture
def visit() -> Visit:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    return visit


def pick(visit: Visit | None, index: Any, act: Any) -> dict[str, Any]:
    return pick_mask(SimpleNamespace(index=index, value=act), visit)  # type: ignore[arg-type]


def point(visit: Visit, index: Any) -> dict[str, Any]:
    return pick_point(SimpleNamespace(index=index, value=None), visit)  # type: ignore[arg-type]


def test_a_selected_mask_stands_out_and_the_others_are_faint(visit: Visit) -> None:
    before = visit.draw()
    page = pick(visit, 0, "select")
    assert page["stage"].getpixel((5, 15)) == before.getpixel((5, 15))
    assert page["stage"].getpixel((19, 15)) == CYAN == before.getpixel((19, 15))  # its outline
    assert page["stage"].getpixel((18, 15)) == CYAN != before.getpixel((18, 15))  # twice as wide
    assert np.asarray(page["stage"])[15, 35].sum() > np.asarray(before)[15, 35].sum()
    assert "#chat .noun:not(.noun-0)" in page["masks"]
    assert page["masks"].count('aria-pressed="true"') == 1
    again = pick(visit, 0, "select")
    assert again["stage"].tobytes() == before.tobytes()
    assert "<style>" not in again["masks"]


def test_a_click_in_the_picture_selects_the_smallest_visible_mask_there(visit: Visit) -> None:
    visit.add_mask(np.pad(np.ones((4, 4), bool), ((0, 26), (0, 36))), is_first=False)
    for at, index in (((1, 1), 2), ((10, 20), 0), ((39, 29), 1)):
        point(visit, list(at))
        assert visit.selected == index
    pick(visit, 2, "show")
    point(visit, [1, 1])
    assert visit.selected == 0
    pick(visit, 1, "only")
    point(visit, [1, 1])
    assert visit.selected is None


def test_masks_are_hidden_shown_alone_and_turned_inside_out(visit: Visit) -> None:
    white = (255, 255, 255)
    assert pick(visit, 0, "show")["stage"].getpixel((5, 15)) == white
    assert visit.visible == [1]
    assert pick(visit, 0, "only")["stage"].getpixel((35, 15)) == white
    assert visit.visible == [0]
    assert "Show all" in masks_html(visit)
    pick(visit, 0, "only")
    assert visit.visible == [0, 1]
    page = pick(visit, 0, "invert")
    assert visit.masks[0].label == "all but left half"
    assert visit.masks[0].mask[15].tolist() == visit.masks[1].mask[15].tolist()
    assert Path(visit.downloads[-1]).name == "all_but_left_half.png"
    with Image.open(visit.downloads[-1]) as png:
        assert (np.asarray(png) == visit.masks[0].mask * 255).all()
    assert page["downloads"].value is not None
    pick(visit, 0, "invert")
    assert visit.masks[0].label == "left half"
    pick(visit, 0, "invert")
    assert len(visit.downloads) == len(set(visit.downloads))


def test_an_inverted_mask_has_no_score(visit: Visit) -> None:
    """It is of the mask that the inverse leaves out."""
    visit.masks[:] = [replace(visit.masks[0], score=0.87)]
    shown = literal("score 0.87", goes_on=True)
    assert shown in masks_html(visit)
    assert shown not in pick(visit, 0, "invert")["masks"]
    assert shown in pick(visit, 0, "invert")["masks"]


def test_a_mask_is_not_inverted_while_the_answer_is_written(visit: Visit) -> None:
    before = list(visit.masks)
    assert visit.begin_answer()
    pick(visit, 0, "invert")
    assert visit.masks == before
    visit.end_answer()
    pick(visit, 0, "invert")
    assert visit.masks[0].label == "all but left half"


def test_an_inverse_belongs_to_the_answer_of_its_mask(visit: Visit) -> None:
    """Try again of a later answer leaves it alone."""
    ask(slot_of(FakePredictor()), "halves again", visit)
    pick(visit, 0, "invert")
    assert [Path(asked.files[-1]).name.startswith("all_but") for asked in visit.asked] == [True, False]
    visit.pop_exchange()
    assert Path(visit.asked[0].files[-1]).is_file()


def test_a_full_disk_inverts_a_mask_all_the_same(visit: Visit) -> None:
    with full_after(0):
        page = pick(visit, 0, "invert")
    assert visit.masks[0].label == "all but left half"
    assert "all but left half" in page["masks"]
    assert literal(NO_INVERSE) in page["chat_notice"]


def test_a_new_mask_is_not_named_like_an_inverted_one(visit: Visit) -> None:
    pick(visit, 0, "invert")
    ask(slot_of(FakePredictor()), "halves again", visit)
    pick(visit, 0, "invert")
    labels = [shown.label for shown in visit.masks]
    assert labels[0] == "left half"
    assert len(set(labels)) == 4


def begin_mask(visit: Visit) -> Any:
    answering = Answering(visit, "and this?", threading.Event())
    return answering.take(MaskReady(0, np.ones((30, 40), bool), np.zeros((2, 2), np.float32), None))


CHANGES: dict[str, Callable[[Visit], Any]] = {
    "a click": lambda visit: pick(visit, 0, "select"),
    "a click in the picture": lambda visit: pick(visit, [1, 1], "point"),
    "another opacity": lambda visit: set_opacity(20, visit),
    "a mask of an answer": begin_mask,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_drawn_before_the_next_one(
    visit: Visit, change: Callable[[Visit], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes in its own thread; two that meet while they draw would both pass the barrier."""
    barrier, met = threading.Barrier(2), list[bool]()

    def draw(visit: Visit) -> Image.Image:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(0.5)
            met.append(True)
        return visit.shown

    monkeypatch.setattr(Visit, "draw", draw)
    threads = [threading.Thread(target=one, args=(visit,)) for one in (change, CHANGES["a click"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert barrier.broken  # both have drawn
    assert not met


def test_a_click_while_a_mask_is_made_smaller_finds_those_before(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def shrink_slowly(mask: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
        thread = threading.Thread(target=pick, args=(visit, [1, 1], "point"))
        thread.start()
        thread.join()
        return shrink_mask(mask, size_hw)

    monkeypatch.setattr("demo.chat.visit.shrink_mask", shrink_slowly)
    visit.add_mask(np.ones((30, 40), bool), is_first=False)
    assert (visit.selected, visit.visible, len(visit.masks)) == (0, [0, 1, 2], 3)


def test_a_picture_is_drawn_from_the_masks_of_one_moment(visit: Visit) -> None:
    """Although another thread adds one as soon as they have been read."""

    class Growing(list[ShownMask]):
        def __iter__(self) -> Iterator[ShownMask]:
            yield from list(super().__iter__())
            visit.masks = [*super().__iter__(), self[0]]

    before = visit.draw()
    visit.masks = Growing(visit.masks)
    assert visit.draw().tobytes() == before.tobytes()
    assert len(visit.masks) == 3


def test_what_a_request_may_make_up_changes_nothing(visit: Visit) -> None:
    for index, act in ((9, "select"), (-1, "select"), ("0", "only"), (None, "show"), ([0], "invert"), (0, "burn")):
        assert pick(visit, index, act) == {}
    assert pick(visit, [10, 20], "point")["masks"].count("selected") == 1  # as a click in the picture sends it
    pick(visit, [10, 20], "point")
    for at in ([99, 99], [-1, 0]):
        assert point(visit, at)["mask_panel"].visible
    for bad in (None, 5, [1], ["1", 2], [True, 1], [0.5, 1], {"x": 1}):
        assert point(visit, bad) == {}
    assert pick(None, 0, "select") == {} == pick(None, [1, 1], "point")
    assert (visit.selected, visit.visible) == (None, [0, 1])


def test_a_name_of_the_model_is_never_markup(visit: Visit) -> None:
    visit.label_masks(0, ["<img src=x onerror=alert(1)>", '" onclick="x'])
    html = masks_html(visit)
    assert "<img" not in html
    assert 'onclick="x' not in html
    assert mask_colour(0) in html


def test_a_cutout_is_the_object_on_nothing(tmp_path: Path) -> None:
    picture = Image.new("RGB", (6, 4), "teal")
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    mask[1, 2] = False
    with Image.open(write_cutout(picture, mask, tmp_path / "hat_cutout.png")) as cutout:
        pixels = np.asarray(cutout)
    assert pixels.shape == (2, 3, 4)
    assert pixels[..., 3].tolist() == [[0, 255, 255], [255, 255, 255]]
    assert pixels[0, 1].tolist() == [0, 128, 128, 255]


def test_coco_has_a_category_for_each_kind() -> None:
    record = {"rle": {"size": [1, 1], "counts": "01"}, "area_px": 1, "bbox_xywh": [0, 0, 1, 1], "score": None}
    coco = coco_annotations([{"label": label} | record for label in ("hat 1", "dog", "hat 2")], (1, 1))
    assert coco["categories"] == [{"id": 1, "name": "hat"}, {"id": 2, "name": "dog"}]
    assert [entry["category_id"] for entry in coco["annotations"]] == [1, 2, 1]
    assert {entry["image_id"] for entry in coco["annotations"]} == {coco["images"][0]["id"]}


@pytest.mark.parametrize(
    ("prompt", "better"),
    [
        ("cat", "segment the cat"),
        (" Ice  Cream! ", "segment the ice cream"),
        ("segment the CAT", "segment the cat"),
        ("SEGMENT THE ICE CREAM", "segment the ice cream"),
        ("segment the cat", None),
        ("Segment the Cat.", None),
        ("the cat", None),
        ("WHAT IS THIS", None),
        ("dog", None),
        ("segment the background", "segment everything"),
        ("Background?", "segment everything"),
        ("segment the cat in the background", None),
    ],
)
def test_a_better_wording(prompt: str, better: str | None) -> None:
    suggestion = suggest_wording(prompt, ("cat", "ice cream"))
    assert (suggestion and suggestion[0]) == better
    assert suggestion is None or suggestion[0] in suggestion[1]
