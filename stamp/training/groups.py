"""Words for several nouns at once: categories ("animal") and uses ("something you can eat")."""

from dataclasses import dataclass

from stamp.training.nouns import NOUNS, Noun


@dataclass(frozen=True)
class Group:
    """Nouns with something in common. `name` and `plural` stand where a noun could; they contain no noun as a word."""

    name: str
    plural: str
    nouns: frozenset[Noun]

    def __contains__(self, noun: Noun) -> bool:
        return noun in self.nouns


def _of(*categories: str) -> frozenset[Noun]:
    return frozenset(noun for noun in NOUNS if noun.category in categories)


OBJECT = Group("object", "objects", frozenset(NOUNS))
THING = Group("thing", "things", frozenset(NOUNS))
#: Groups that some nouns belong to and others do not.
CATEGORIES = (
    Group("animal", "animals", _of("animal", "insect")),
    Group("insect", "insects", _of("insect") - {noun for noun in NOUNS if noun.name == "spider"}),
    Group("fruit", "fruits", _of("fruit")),
    Group("vehicle", "vehicles", _of("vehicle")),
    Group("plant", "plants", _of("plant")),
    Group("building", "buildings", _of("building")),
    Group("musical instrument", "musical instruments", _of("instrument")),
)
USES = (
    Group("something you can eat", "things you can eat", _of("fruit", "vegetable", "food")),
    Group("something you can wear", "things you can wear", _of("clothing")),
    Group("something you can play music on", "things you can play music on", _of("instrument")),
)
