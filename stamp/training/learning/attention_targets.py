"""Attention targets for a few heads: which tokens of a row should attend to which.

Without supervision, matching words with the picture takes thousands of steps to emerge and settles in the last layer,
where no later layer can use it. With attention targets, the heads learn it in hundreds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stamp.model.processing_stamp import StampProcessor
from stamp.training.scenes.groups import Lexicon

#: Answers to questions with more nouns are checklists and name each noun themselves.
MOST_ASKED = 2


class Head(IntEnum):
    """The target of each head. If something is not there, the target is the first token of the row, the sink.

    CELLS: a noun attends to the cells that show it. EACH: it attends equally to each of its objects, large or small,
    and as much to the sink, so the sink's weight tells how many there are. NAMED: a mask token of the object attends to
    the noun before its `<|seg|>`, other mask tokens to the sink. ASKED: an answer attends to the noun in its question.
    FOUND: if the question leaves a noun open, the answer's words before it attend to its objects. If a mask is written,
    so does each token before one of its tokens; so does each `<|seg|>` of masks that share mask tokens, or that an
    embedding prompts. WRITTEN: a token before one of a written mask attends to where that one points.
    """

    CELLS = 0
    EACH = 1
    NAMED = 2
    ASKED = 3
    FOUND = 4
    WRITTEN = 5


#: Text layer (from 0) and heads of each target: first words are matched with the picture, then answers use it.
#: FOUND has several heads, because answers must name what is found, and one head passes on a third of what cells say.
HEADS = {
    Head.CELLS: (1, (0,)),
    Head.EACH: (1, (1,)),
    Head.NAMED: (1, (2,)),
    Head.ASKED: (2, (0,)),
    Head.FOUND: (3, (0, 1, 2)),
    Head.WRITTEN: (4, (0, 1)),
}


@dataclass(frozen=True)
class Mention:
    """A noun, or a word for several nouns, in a row: tokens first..last; nouns are numbered from 1."""

    first: int
    last: int
    nouns: tuple[int, ...]


@dataclass(frozen=True)
class AttentionTarget:
    """The attention weights (their sum is 1) from token `query` of a row to some keys."""

    head: Head
    query: int
    keys: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Written:
    """A token of a mask that an answer writes. index: in the answer; cells, place: (P,) shares of cells, 0..1.

    cells are covered by the mask, place is where the token points: nowhere for some tokens. The token before learns to
    look there. With an index behind a `<|seg|>`, and no place, that `<|seg|>` learns to look at the cells of its mask.
    """

    index: int
    cells: NDArray[np.float32]
    place: NDArray[np.float32] | None = None


class NounMentions:
    """Finds nouns and words for groups of nouns in token ids, with or without a leading blank or capital letter."""

    def __init__(self, processor: StampProcessor, lexicon: Lexicon):
        words: dict[str, tuple[int, ...]] = {}
        for group in (*lexicon.objects, *lexicon.groups):
            members = tuple(sorted(lexicon.numbers[noun] for noun in group.nouns))
            words |= {group.name: members, group.plural: members}
        for noun in lexicon.nouns:
            meant = lexicon.meant_by(noun.name)
            words |= dict.fromkeys((noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals), meant)
        self._forms: dict[tuple[int, ...], tuple[int, ...]] = {}
        for name, meant in words.items():
            capital = name[0].upper() + name[1:]
            for form in (f" {name}", name, f" {capital}", capital):
                self._forms[tuple(processor.encode_plain(form))] = meant
        self._longest = max(map(len, self._forms))

    def find(self, ids: Sequence[int]) -> list[Mention]:
        """The mentions in order; if two begin at the same token, the longer one."""
        found = []
        start = 0
        while start < len(ids):
            for length in range(min(self._longest, len(ids) - start), 0, -1):
                if (nouns := self._forms.get(tuple(ids[start : start + length]))) is not None:
                    found.append(Mention(start, start + length - 1, nouns))
                    start += length - 1
                    break
            start += 1
        return found


def noun_attention(
    mentions: Sequence[Mention], image_start: int, nouns: np.ndarray, parts: np.ndarray
) -> Iterator[AttentionTarget]:
    """CELLS and EACH. nouns, parts: (P, 1 + nouns), see `cells.Grid`."""
    for mention in mentions:
        numbers = list(mention.nouns)
        yield _attention_to_cells(Head.CELLS, mention.last, image_start, nouns[:, numbers].sum(1))
        yield _attention_to_cells(Head.EACH, mention.last, image_start, parts[:, numbers].sum(1), sink=1.0)


def answer_attention(
    mentions: Sequence[Mention], is_answer: Sequence[bool], found: Sequence[Sequence[np.ndarray]], image_start: int
) -> Iterator[AttentionTarget]:
    """ASKED and FOUND. found: for each answer, the (P,) coverage of the objects of each noun that it had to find."""
    for (asked_from, start, end), objects in zip(turns(is_answer), found, strict=True):
        asked = [mention.last for mention in mentions if asked_from <= mention.last < start]
        if 1 <= len(asked) <= MOST_ASKED:
            for query in range(start - 1, end - 1):
                yield AttentionTarget(Head.ASKED, query, tuple(asked), (1 / len(asked),) * len(asked))
        query = start - 1
        named = [mention for mention in mentions if start <= mention.first < end]
        for mention, cells in zip(named, objects, strict=False):
            for before in range(query, mention.first):
                yield _attention_to_cells(Head.FOUND, before, image_start, cells)
            query = mention.last


def written_attention(
    is_answer: Sequence[bool], written: Sequence[Sequence[Written]], image_start: int
) -> Iterator[AttentionTarget]:
    """FOUND and WRITTEN for the tokens of each answer's masks."""
    for (_, start, _), tokens in zip(turns(is_answer), written, strict=True):
        for token in tokens:
            query = start + token.index - 1
            yield _attention_to_cells(Head.FOUND, query, image_start, token.cells)
            if token.place is not None:
                yield _attention_to_cells(Head.WRITTEN, query, image_start, token.place)


def turns(is_answer: Sequence[bool]) -> Iterator[tuple[int, int, int]]:
    """(end of the previous answer, start, end) of each answer, ends exclusive."""
    edges = [i for i in range(1, len(is_answer)) if is_answer[i] != is_answer[i - 1]]
    edges += [len(is_answer)] * (len(edges) % 2)
    yield from zip((0, *edges[1::2]), edges[::2], edges[1::2], strict=False)


def mask_attention(
    mentions: Sequence[Mention], seg_index: int, length: int, target: np.ndarray
) -> Iterator[AttentionTarget]:
    """NAMED. length: of the batch's padded rows, which the mask tokens follow; target: (P,) soft coverage."""
    nouns = [mention.last for mention in mentions if mention.last < seg_index]
    if nouns:
        for cell, covered in enumerate(target.tolist()):
            yield AttentionTarget(Head.NAMED, length + cell, (nouns[-1], 0), (covered, 1 - covered))


def shared_attention(
    mentions: Sequence[Mention], segs: Sequence[int], targets: Sequence[np.ndarray], image_start: int, length: int
) -> Iterator[AttentionTarget]:
    """NAMED and FOUND of masks that share their mask tokens; see `mask_attention`. Each `<|seg|>` finds its cells.

    Where objects of several masks meet, a mask token attends to the noun of each.
    """
    for seg, target in zip(segs, targets, strict=True):
        yield _attention_to_cells(Head.FOUND, seg, image_start, target)
    named = [max((mention.last for mention in mentions if mention.last < seg), default=0) for seg in segs]
    for cell, shares in enumerate(np.stack(targets, axis=1).tolist()):
        weights = dict.fromkeys((*named, 0), 0.0)
        for noun, covered in zip(named, shares, strict=True):
            weights[noun] += covered / max(1.0, sum(shares))
        weights[0] += max(0.0, 1.0 - sum(shares))
        yield AttentionTarget(Head.NAMED, length + cell, tuple(weights), tuple(weights.values()))


def _attention_to_cells(
    head: Head, query: int, image_start: int, cells: np.ndarray, sink: float = 0.0
) -> AttentionTarget:
    (where,) = np.nonzero(cells)
    if not len(where):
        return AttentionTarget(head, query, (0,), (1.0,))
    weights = np.array([*cells[where], sink]) / (cells[where].sum() + sink)
    return AttentionTarget(head, query, (*(image_start + where).tolist(), 0), tuple(weights.tolist()))
