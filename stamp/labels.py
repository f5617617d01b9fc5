"""The names of masks: the words in front of each `<|seg|>` of an answer, numbered where they repeat, and file names.

Works on the words alone, so on the answers of any checkpoint. A mask without words is "mask 1", "mask 2" and so on.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

SEG = "<|seg|>"
UNNAMED = "mask"
#: A longer phrase is a sentence and no name; two words more where it begins with "the".
MAX_WORDS = 6
MAX_FILE_CHARS = 40

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_QUOTED = re.compile(r"(['\"“‘«])([^'\"“”‘’«»]+)['\"”’»]\s*$")
_CLAUSE_END = re.compile(r"[.!?;:,()\[\]\n]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _set(
    "the a an this that these those my your his her its our their both all each every some any no another "
    "one two three four five six seven eight nine ten"
)
_PREPOSITIONS = _set("in on at with of to by under above below behind beside near next left right from over for")
#: Words between which a name lies: what stands before them says nothing about the mask.
_VERBS = _set("is are was were be here's there's it's that's see show shows shown have has and or but as")
#: Words that speak of the answer and not of the picture; alone they are no name.
_GENERIC = _set(
    "mask masks segmentation segmentations segment result results answer answers output following it them they he she "
    "we i you here there sure yes no ok okay certainly course one ones another other others go below above this that "
    "these those as follows located shown marked highlighted found outlined"
)


def find_name(text: str) -> tuple[int, int] | None:
    """Where, in the text before a `<|seg|>`, the name of the mask stands: [start, end); None where there is none.

    "Sure, here is the mask for the red hat: " -> the span of "red hat".
    """
    end = len(text.rstrip(" \t\n:,("))
    if quoted := _QUOTED.search(text, 0, end):
        words = _without_determiners(_words(text, *quoted.span(2)))
    else:
        start = max((mark.end() for mark in _CLAUSE_END.finditer(text, 0, end)), default=0)
        words = _noun_phrase(_without_tail(_words(text, start, end)))
    if not words or all(word in _GENERIC for word, _, _ in words):
        return None
    return words[0][1], words[-1][2]


#: Each in small letters, with where it begins and ends.
_Words = list[tuple[str, int, int]]


def _words(text: str, start: int, end: int) -> _Words:
    return [(match[0].lower(), match.start(), match.end()) for match in _WORD.finditer(text, start, end)]


def _without_determiners(words: _Words) -> _Words:
    while words and (words[0][0] in _DETERMINERS or words[0][0] == "of"):
        words = words[1:]
    return words


def _without_tail(words: _Words) -> _Words:
    """Without the "is here" of "the cat is here"."""
    end = len(words)
    while end and (words[end - 1][0] in _VERBS or words[end - 1][0] in _GENERIC | {"at"}):
        end -= 1
    return words[:end]


def _noun_phrase(words: _Words) -> _Words:
    """The last noun phrase, without its determiner; prepositions bind: "the man in the red shirt" is one."""
    start = 0
    for at, (word, _, _) in enumerate(words):
        follows_generic = at > 0 and words[at - 1][0] in _GENERIC
        if word in _VERBS or (word in ("of", "for", "on", "over") and follows_generic):
            start = at + 1
    words = words[start:]
    places = [at for at, (word, _, _) in enumerate(words) if word in _DETERMINERS]
    if has_determiner := bool(places):
        first = places.pop()
        while places and first > 0 and words[first - 1][0] in _PREPOSITIONS | _DETERMINERS:
            first = places.pop()
        words = words[first:]
    words = _without_determiners(words)
    return words if len(words) <= MAX_WORDS + 2 * has_determiner else []


def number_labels(names: Sequence[str | None], taken: Iterable[str] = ()) -> list[str]:
    """A label for each mask, different from each other and from `taken`.

    A name that stands alone stays as it is; several of a kind are "hat 1", "hat 2"; one more after "hat" is "hat 2".
    """
    plain = [UNNAMED if name is None else " ".join(name.split()) for name in names]
    kinds = Counter(name.casefold() for name in plain)
    used = {label.casefold() for label in taken}
    labels = []
    for name in plain:
        kind, label = name.casefold(), name
        if kinds[kind] > 1 or kind in used or kind == UNNAMED:
            number = 2 if kind in used else 1
            while f"{kind} {number}" in used:
                number += 1
            label = f"{name} {number}"
        used.add(label.casefold())
        labels.append(label)
    return labels


def label_masks(response: str, n_masks: int) -> list[str]:
    """The labels of the masks of an answer with `<|seg|>` kept, all different."""
    *pieces, _ = response.split(SEG)
    # Where the numbers differ, the model has spelled out a `<|seg|>` in plain letters.
    return number_labels(find_names(pieces) if len(pieces) == n_masks else [None] * n_masks)


def find_names(pieces: Sequence[str]) -> list[str | None]:
    """The name in the text before each `<|seg|>`. A mask with no words of its own shares those of the one before."""
    names: list[str | None] = []
    for piece in pieces:
        span = find_name(piece)
        is_alone = not _WORD.search(piece)
        names.append(piece[slice(*span)] if span else names[-1] if names and is_alone else None)
    return names


def category(label: str) -> str:
    """What a label names, without its number: "hat 2" is a "hat"."""
    return re.sub(r" \d+$", "", label)


def file_stem(label: str) -> str:
    """A label as the name of a file on any system: small letters, digits and underscores, at most MAX_FILE_CHARS."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower())[:MAX_FILE_CHARS].strip("_") or UNNAMED


def file_stems(labels: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """`file_stem` of each label, made unique among themselves and `taken` (names of small letters, no ending)."""
    stems: list[str] = []
    used = set(taken)
    for label in labels:
        stem, number = file_stem(label), 2
        base = stem
        while stem in used:
            stem, number = f"{base}_{number}", number + 1
        used.add(stem)
        stems.append(stem)
    return stems
