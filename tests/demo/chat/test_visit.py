"""What a visit keeps of a picture and of its masks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.chat.downloads import enlarge_mask
from demo.chat.shown_mask import ShownMask, shrink_mask
from demo.chat.visit import MAX_KEPT_PIXELS, MAX_SHOWN_PX, close_visit, shrink_picture
from stamp.pictures.masks import decode_rle
from tests.demo.fake import FakePredictor, ask, half, slot_of, visit_of


def test_the_end_of_a_session_deletes_its_files() -> None:
    visit = visit_of()
    ask(slot_of(FakePredictor()), "halves", visit)
    folder = visit.folder()
    assert folder.is_dir()
    close_visit(visit)
    assert visit.stop.is_set()
    del visit
    assert not folder.exists()


def test_large_pictures_are_shown_smaller_and_masks_with_them() -> None:
    visit = visit_of((4000, 1000))
    assert visit.shown.size == (MAX_SHOWN_PX, MAX_SHOWN_PX // 4)
    visit.add_mask(half((1000, 4000), 0), is_first=True)
    assert (visit.masks[0].mask == half((320, 1280), 0)).all()
    assert shrink_mask(half((4, 4), 1), (4, 4)).sum() == 8


def test_of_a_large_picture_a_smaller_copy_is_kept_and_masks_are_downloaded_in_the_original_size() -> None:
    visit = visit_of((6000, 4000))
    assert visit.size_wh == (6000, 4000)
    assert MAX_KEPT_PIXELS * 0.99 < visit.picture.width * visit.picture.height <= MAX_KEPT_PIXELS
    assert visit.n_bytes < 4 * (MAX_KEPT_PIXELS + MAX_SHOWN_PX**2)
    ask(slot_of(FakePredictor()), "halves", visit)
    record = json.loads(Path(visit.downloads[6]).read_text())
    assert (record["width"], record["height"]) == (6000, 4000)
    assert [mask["area_px"] for mask in record["masks"]] == [12_000_000, 12_000_000]
    assert (decode_rle(record["masks"][0]["rle"]) == half((4000, 6000), 0)).all()
    with Image.open(visit.downloads[1]) as png:
        assert png.size == (6000, 4000)
    with Image.open(visit.downloads[2]) as cutout:
        assert cutout.mode == "RGBA"
    assert visit.restarted().size_wh == (6000, 4000)


@pytest.mark.parametrize(
    ("large", "small"), [((7, 5), (3, 2)), ((100, 67), (31, 20)), ((9, 9), (3, 9)), ((8, 6), (4, 3))]
)
def test_masks_are_made_smaller_as_pillow_takes_the_nearest_pixel(
    large: tuple[int, int], small: tuple[int, int]
) -> None:
    mask = np.random.default_rng(0).random(large) < 0.5
    nearest = Image.fromarray(mask.astype(np.uint8)).resize(small[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(shrink_mask(mask, small), np.asarray(nearest).astype(bool))


def test_a_mask_stays_where_it_is_when_it_is_made_smaller_or_larger() -> None:
    """One object in the middle third; a shift by half a pixel of the small mask would be three of the large one."""
    mask = np.zeros((54, 54), dtype=bool)
    mask[18:36, 18:36] = True
    small = shrink_mask(mask, (9, 9))
    expected = np.zeros((9, 9), dtype=bool)
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(small, expected)
    again = enlarge_mask(small, (54, 54))
    assert again.sum() == pytest.approx(mask.sum(), rel=0.05)
    assert np.argwhere(again).mean(0).tolist() == pytest.approx(np.argwhere(mask).mean(0).tolist())


def test_a_mask_that_is_made_larger_keeps_straight_edges_and_its_orientation() -> None:
    wide = enlarge_mask(half((4, 6), 0), (60, 20))
    np.testing.assert_array_equal(wide, half((20, 60), 0))
    mask = half((4, 6), 0)
    assert enlarge_mask(mask, (6, 4)) is mask


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "empty"),
        (1e-6, "under 1 % of the picture"),
        (0.0099, "under 1 % of the picture"),
        (0.01, "1 % of the picture"),
        (0.126, "13 % of the picture"),
        (1.0, "100 % of the picture"),
    ],
)
def test_how_much_of_the_picture_a_mask_covers(share: float, words: str) -> None:
    assert ShownMask(np.zeros((1, 1), dtype=bool), share).size_in_words == words


def test_a_picture_at_the_limit_is_kept_as_it_is() -> None:
    at, above = Image.new("L", (2000, 1000)), Image.new("L", (2001, 1000))
    assert shrink_picture(at) is at
    assert shrink_picture(above).size == (2000, 999)
    assert shrink_picture(Image.new("L", (3_000_000, 1))).size[1] == 1
