"""The vocabulary: everyday names for what emoji styles draw, SweetHome3D renders and photographs show.

`vocabulary.csv` is edited by hand and checked when read. It started from names, groups and tags of emojibase-data
17.0.0 (MIT); every drawing was inspected. Left out: square tiles, drawings that do not show their name,
near-duplicates, faces, gestures, people at work, flags, symbols, and renders of branded goods.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from stamp.training.scenes.nouns import Noun

VOCABULARY_FILE = Path(__file__).with_name("vocabulary.csv")
TRAINING_STYLES = ("fluent3d", "noto", "twemoji", "noto-v1", "sweethome3d")
#: Never trained on: its drawings measure how the model handles unseen art.
HELD_OUT_STYLE = "emojione"
COLOURS = ("black", "blue", "brown", "green", "grey", "pink", "purple", "red", "white", "yellow")

_WORD = re.compile(r"[a-z]+( [a-z]+)*")
_EMOJI = re.compile(r"[0-9a-f]{4,5}(-[0-9a-f]{4,5})*")
_RENDER = re.compile(r"(blendswap-cc-0|blendswap-cc-by|katorlegaz|reallusion|scopia)/[\w-]+")


@cache
def load_vocabulary() -> tuple[Noun, ...]:
    """The nouns in order of name.

    Raises:
        ValueError: the file breaks a rule of `check_vocabulary`; the message names the noun.
    """
    with VOCABULARY_FILE.open(newline="", encoding="utf-8") as file:
        nouns = tuple(_parse(row) for row in csv.DictReader(file))
    check_vocabulary(nouns)
    return nouns


def taught_nouns() -> tuple[Noun, ...]:
    """The nouns that the shipped checkpoint learns."""
    return tuple(noun for noun in load_vocabulary() if noun.taught)


def _parse(row: Mapping[str, str]) -> Noun:
    synonyms = [pair.partition("=") for pair in _split(row["synonyms"])]
    styles = (*TRAINING_STYLES, HELD_OUT_STYLE)
    drawings = tuple((style, key) for style in styles for key in row[style].split())
    return Noun(
        name=row["name"],
        plural=row["plural"],
        category=row["category"],
        flies=row["flies"] == "yes",
        article=row["article"],
        kinds=_split(row["kinds"]),
        colour=row["colour"],
        synonyms=tuple(one for one, _, _ in synonyms),
        synonym_plurals=tuple(many for _, _, many in synonyms),
        functions=_split(row["functions"]),
        arguable=_split(row["arguable"]),
        drawings=drawings,
        taught=row["taught"] == "yes",
    )


def _split(cell: str) -> tuple[str, ...]:
    return tuple(filter(None, cell.split(";")))


def check_vocabulary(nouns: Sequence[Noun]) -> None:
    """Raises ValueError if a word means two nouns or a row is malformed.

    No two nouns share a word or a drawing. One name may contain another ("baseball bat" and "bat"), so a search for
    names in a text must try the longest first.
    """
    owners: dict[str, Noun] = {}
    for noun in nouns:
        _check_row(noun)
        for word in {noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals}:
            if word in owners:
                raise ValueError(f"{word!r} names both {owners[word].name!r} and {noun.name!r}")
            owners[word] = noun
    drawing_owners: dict[tuple[str, str], Noun] = {}
    for noun in nouns:
        for drawing in noun.drawings:
            if drawing in drawing_owners:
                raise ValueError(f"{drawing} shows both {drawing_owners[drawing].name!r} and {noun.name!r}")
            drawing_owners[drawing] = noun


def _check_row(noun: Noun) -> None:
    for word in (noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals):
        if not _WORD.fullmatch(word):
            raise ValueError(f"{noun.name!r}: {word!r} is not lower-case words")
    if noun.article not in ("", "a", "an"):
        raise ValueError(f"{noun.name!r}: article must be a, an or empty, got {noun.article!r}")
    if noun.colour and noun.colour not in COLOURS:
        raise ValueError(f"{noun.name!r}: unknown colour {noun.colour!r}; known: {COLOURS}")
    for style, key in noun.drawings:
        if not (_RENDER if style == "sweethome3d" else _EMOJI).fullmatch(key):
            raise ValueError(f"{noun.name!r}: {key!r} is not a drawing of {style}")
    agreed = {noun.name, *noun.kinds, *noun.functions} & set(noun.arguable)
    if agreed:
        raise ValueError(f"{noun.name!r}: {sorted(agreed)} cannot be both true and arguable")
