"""Things cut out of photographs: a style of art, with a folder for each set of photographs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stamp.training.scenes import cutouts
from stamp.training.scenes.art import PHOTO_STYLE, ArtLibrary
from stamp.training.scenes.cutouts import write_cutouts
from stamp.training.scenes.photographs import Photograph, read_photographs
from stamp.training.scenes.rasterise import ArtError, write_png
from tests.training.conftest import NOUN, NOUNS
from tests.training.photographs import write_jsonl

CAT = NOUN["cat"]


@pytest.fixture
def photos(tmp_path: Path) -> list[Photograph]:
    """Two pictures, each with a cat that can be cut out; cars have fewer than 1500 px."""
    return [photo for photo in read_photographs(write_jsonl(tmp_path / "photos"), NOUNS) if photo.has_masks]


def test_cutouts_are_a_style_of_art(photos: list[Photograph], tmp_path: Path) -> None:
    with pytest.raises(ArtError, match="no cut-outs"):
        ArtLibrary(tmp_path, [PHOTO_STYLE], NOUNS)
    art = ArtLibrary(tmp_path, [PHOTO_STYLE], NOUNS, cutouts=write_cutouts(photos, tmp_path))
    assert [noun.name for noun in art.nouns_in([PHOTO_STYLE])] == ["cat"]
    assert art.drawings(PHOTO_STYLE, CAT) == 2
    sprite = art.sprite(PHOTO_STYLE, CAT)
    assert sprite.shape[2] == 4
    assert abs(sprite.shape[0] - 48) <= 2
    assert abs(sprite.shape[1] - 32) <= 2
    assert sprite[sprite.shape[0] // 2, sprite.shape[1] // 2, 3] == 255
    Image.fromarray(sprite)


def test_other_photographs_leave_cutouts_as_they_are(photos: list[Photograph], tmp_path: Path) -> None:
    """A library reads them only when it needs them, perhaps long after another command has begun."""
    both = ArtLibrary(tmp_path, [PHOTO_STYLE], NOUNS, cutouts=write_cutouts(photos, tmp_path))
    one = ArtLibrary(tmp_path, [PHOTO_STYLE], NOUNS, cutouts=write_cutouts(photos[1:], tmp_path))
    assert (both.drawings(PHOTO_STYLE, CAT), one.drawings(PHOTO_STYLE, CAT)) == (2, 1)
    assert np.array_equal(both.sprite(PHOTO_STYLE, CAT, 1), one.sprite(PHOTO_STYLE, CAT, 0))


def test_cutouts_that_were_interrupted_are_not_used(
    photos: list[Photograph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do those of a picture stay that was held out afterwards."""

    def dying(image: Image.Image, path: Path) -> None:
        write_png(image, path)
        raise KeyboardInterrupt

    @contextmanager
    def kept(dir: Path) -> Iterator[str]:
        (dir / "left").mkdir()
        yield str(dir / "left")

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(cutouts, "write_png", dying)
        patch.setattr(tempfile, "TemporaryDirectory", kept)  # a kill leaves it
        write_cutouts(photos, tmp_path)
    assert len(list(tmp_path.rglob("cat/*.png"))) == 1
    for shown in (photos, photos[1:]):
        found = write_cutouts(shown, tmp_path)
        assert [path.name for path in sorted(found.rglob("*.png"))] == ["000.png", "001.png"][: len(shown)]


def test_processes_may_write_the_same_cutouts_at_once(
    photos: list[Photograph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def late(unfinished: Path, target: Path) -> None:
        if target.parent.name == "cutouts":
            shutil.copytree(unfinished, target)
        replace(unfinished, target)

    monkeypatch.setattr(os, "replace", late)
    assert len(list(write_cutouts(photos, tmp_path).rglob("*.png"))) == 2
