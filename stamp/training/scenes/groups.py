"""Words for several nouns at once: "animal", "something you can eat", "object"."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from stamp.training.scenes.nouns import CATEGORY_WORDS, FUNCTION_WORDS, Noun

#: A group needs this many members before people can ask for it.
FEWEST_MEMBERS = 3


@dataclass(frozen=True)
class Group:
    """Nouns with something in common. `name` and `plural` can replace a noun; `the` names a single member.

    nouns: its members; doubtful: nouns on which people would disagree.
    """

    name: str
    plural: str
    the: str
    nouns: frozenset[Noun]
    doubtful: frozenset[Noun] = frozenset()

    @property
    def none(self) -> str:
        """ "no animal", "nothing you can eat"."""
        return self.name.replace("something", "nothing") if self.name.startswith("something") else f"no {self.name}"

    def __contains__(self, noun: Noun) -> bool:
        return noun in self.nouns


@dataclass(frozen=True)
class Lexicon:
    """The nouns a model learns, numbered from 1, and the words for several of them. 0 is the background."""

    nouns: tuple[Noun, ...]

    @staticmethod
    def of(nouns: Sequence[Noun]) -> "Lexicon":
        """Of any sequence."""
        return Lexicon(tuple(nouns))

    @cached_property
    def numbers(self) -> dict[Noun, int]:
        """Noun -> its number."""
        return {noun: number for number, noun in enumerate(self.nouns, start=1)}

    @cached_property
    def objects(self) -> tuple[Group, Group]:
        """ "object" and "thing": every noun."""
        everything = frozenset(self.nouns)
        return tuple(Group(name, f"{name}s", f"the {name}", everything) for name in ("object", "thing"))  # type: ignore[return-value]

    @cached_property
    def categories(self) -> tuple[Group, ...]:
        """Groups with a noun as their name: "animal", and "car", which includes taxis."""
        kinds = {kind for noun in self.nouns for kind in noun.kinds}
        words = {noun.name: (noun.name, noun.plural) for noun in self.nouns if noun.name in kinds}
        return tuple(self._groups(words | CATEGORY_WORDS, "the {}"))

    @cached_property
    def uses(self) -> tuple[Group, ...]:
        """Groups by function: "something you can eat"."""
        return tuple(self._groups(FUNCTION_WORDS, "{}"))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Groups that contain some nouns but not all."""
        return (*self.categories, *self.uses)

    def meant_by(self, name: str) -> tuple[int, ...]:
        """The numbers of all nouns that a noun's name covers: a "taxi" is a "car" too."""
        return tuple(number for noun, number in self.numbers.items() if noun.fits(name))

    def _groups(self, words: dict[str, tuple[str, str]], the: str) -> Iterator[Group]:
        for key, (name, plural) in words.items():
            members = frozenset(noun for noun in self.nouns if noun.fits(key))
            if len(members) >= FEWEST_MEMBERS:
                doubtful = frozenset(noun for noun in self.nouns if noun.fits(key) is None)
                yield Group(name, plural, the.format(name), members, doubtful)
