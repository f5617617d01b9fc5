"""The input of a maker of exchanges: the scene, the random generator and the phrasings."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from stamp.training.scenes.groups import Group, Lexicon
from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import Scene, SceneObject
from stamp.training.talk.exchange import MOST_COUNTED
from stamp.training.talk.facts import objects_by_noun

#: In lists of at least this length, the last phrasing is never used in training, only in evaluation.
LEAST_FOR_HELD_OUT = 5
#: Share of the nouns that are called by a synonym, if they have one.
SYNONYM_SHARE = 0.25


@dataclass(frozen=True)
class Situation:
    """A scene to talk about, and the available words.

    held_out_phrases: use the phrasings held out of training, if there are any.
    """

    scene: Scene
    rng: Random
    lexicon: Lexicon
    held_out_phrases: bool = False

    def put(self, phrases: tuple[str, ...], **slots: str) -> str:
        """One of the phrasings, with its slots filled."""
        trained = phrases[:-1] if len(phrases) >= LEAST_FOR_HELD_OUT else phrases
        phrase = phrases[-1] if self.held_out_phrases else self.rng.choice(trained)
        return phrase.format_map(slots)

    def put_about(self, phrases: Mapping[str, tuple[str, ...]], key: str, **slots: str) -> str:
        """One of the phrasings for a key, for example a side."""
        return self.put(phrases[key], **slots)

    def subjects(self) -> dict[Noun, tuple[SceneObject, ...]]:
        """The scene's nouns with their objects, from left to right, except nouns that also name another object.

        With a taxi in the picture "the car" may mean either.
        """
        nouns = objects_by_noun(self.scene)
        return {
            noun: items
            for noun, items in nouns.items()
            if not any(other.fits(noun.name) is not False for other in nouns if other is not noun)
        }

    def counted(self) -> dict[Noun, tuple[SceneObject, ...]]:
        """Those nouns of which all objects are known and few enough to count."""
        unmarked = self.scene.unmarked
        return {
            noun: items
            for noun, items in self.subjects().items()
            if noun not in unmarked and len(items) <= MOST_COUNTED
        }

    def singles(self) -> list[SceneObject]:
        """The objects that are the only one of their noun."""
        return [items[0] for items in self.counted().values() if len(items) == 1]

    def single(self) -> SceneObject | None:
        """One of them, or None if there are none."""
        singles = self.singles()
        return self.rng.choice(singles) if singles else None

    def call(self, noun: Noun) -> tuple[str, str]:
        """What people may call a noun, singular and plural."""
        pairs = list(zip(noun.synonyms, noun.synonym_plurals, strict=True))
        if pairs and self.rng.random() < SYNONYM_SHARE:
            return self.rng.choice(pairs)
        return noun.name, noun.plural

    def absent_noun(self) -> Noun:
        """A noun of the vocabulary that fits nothing in the scene. Raises ValueError if all may be there."""
        if len(self.scene.unmarked) >= len(self.lexicon.nouns):
            raise ValueError("nothing is known not to be in this picture")
        while True:
            noun = self.rng.choice(self.lexicon.nouns)
            if noun not in self.scene.unmarked and all(
                item.noun.fits(noun.name) is False for item in self.scene.objects
            ):
                return noun

    def is_absent(self, group: Group) -> bool:
        """Whether certainly no object of the scene belongs to a group."""
        return self.scene.unmarked.isdisjoint(group.nouns) and not any(
            item.noun in group or item.noun in group.doubtful for item in self.scene.objects
        )
