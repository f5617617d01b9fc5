"""What a training shows: the artwork of the training styles and, if there are any, photographs and cut-outs of them."""

from pathlib import Path

from stamp.training.scenes.art import PHOTO_STYLE, ArtLibrary
from stamp.training.scenes.cutouts import write_cutouts
from stamp.training.scenes.photographs import PhotoLibrary, read_photographs
from stamp.training.scenes.vocabulary import TRAINING_STYLES, taught_nouns


def training_pictures(art: Path, photos: Path | None) -> tuple[ArtLibrary, PhotoLibrary | None]:
    """The libraries of a folder of installed artwork and a folder of photographs; cut-outs go into the artwork's."""
    nouns = taught_nouns()
    if photos is None:
        return ArtLibrary(art, TRAINING_STYLES, nouns), None
    found = read_photographs(photos, nouns)
    write_cutouts(found, art)
    return ArtLibrary(art, (*TRAINING_STYLES, PHOTO_STYLE), nouns), PhotoLibrary(found)
