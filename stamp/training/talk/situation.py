"""What a maker of exchanges works with: the scene, the dice, and how things are put."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from stamp.training.groups import Group
from stamp.training.nouns import NOUNS, Noun
from stamp.training.scenes import Scene

#: The last phrasing of each list of at least this length is never heard in training, only in evaluation.
LEAST_FOR_HELD_OUT = 5


@dataclass(frozen=True)
class Situation:
    """A scene to talk about. unheard: use the phrasings that training holds out, where there are any."""

    scene: Scene
    rng: Random
    unheard: bool = False

    def put(self, phrases: tuple[str, ...], **slots: str) -> str:
        """One of the phrasings, with its slots filled."""
        heard = phrases[:-1] if len(phrases) >= LEAST_FOR_HELD_OUT else phrases
        phrase = phrases[-1] if self.unheard else self.rng.choice(heard)
        return phrase.format_map(slots)

    def put_about(self, phrases: Mapping[str, tuple[str, ...]], key: str, **slots: str) -> str:
        """One of the phrasings for a key, for example a side."""
        return self.put(phrases[key], **slots)

    def absent_noun(self) -> Noun:
        """A noun of the vocabulary that the scene does not show."""
        shown = {item.noun for item in self.scene.objects}
        while (noun := self.rng.choice(NOUNS)) in shown:
            pass
        return noun

    def is_absent(self, group: Group) -> bool:
        """Whether no object of the scene belongs to a group."""
        return not any(item.noun in group for item in self.scene.objects)
