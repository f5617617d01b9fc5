"""What a training shows: the artwork of the training styles and, if there are any, photographs and cut-outs of them.

And cut-outs that it never shows, for evaluation.
"""

from pathlib import Path

from stamp.training.scenes.art import HELD_OUT_PHOTO_STYLE, PHOTO_STYLE, ArtLibrary
from stamp.training.scenes.cutouts import write_cutouts
from stamp.training.scenes.photographs import PhotoLibrary, read_photographs
from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns


def training_pictures(art: Path, photos: Path | None) -> tuple[ArtLibrary, PhotoLibrary | None]:
    """The libraries of a folder of installed artwork and a folder of photographs; cut-outs go into the artwork's."""
    nouns = taught_nouns()
    if photos is None:
        return ArtLibrary(art, TRAINING_STYLES, nouns), None
    found = read_photographs(photos, nouns)
    cutouts = write_cutouts(found, art)
    return ArtLibrary(art, (*TRAINING_STYLES, PHOTO_STYLE), nouns, cutouts=cutouts), PhotoLibrary(found)


def held_out_cutouts(art: Path, photos: Path) -> ArtLibrary:
    """Things cut out of the held-out photographs, and held-out panoramas; the cut-outs go into the artwork's folder."""
    nouns = taught_nouns()
    cutouts = write_cutouts(read_photographs(photos, nouns, held_out=True), art)
    return ArtLibrary(art, [HELD_OUT_PHOTO_STYLE], nouns, held_out=True, cutouts=cutouts)
