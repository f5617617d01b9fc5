"""What words mean in a scene of the test nouns, by tables made by hand."""

import re

from stamp.training.scenes.nouns import Noun
from stamp.training.scenes.scenes import Scene, SceneObject
from tests.training.conftest import NOUNS

#: The objects that a noun's name is true of, beside those of the noun itself; and the colours of nouns that have one.
ALSO = {"car": {"taxi"}}
COLOURED = {"banana": "yellow", "tomato": "red", "grapes": "purple"}
UNCOUNTED = {"grapes", "bread"}
GROUPS = {
    form: name
    for name, plural in (
        *(("animal", "animals"), ("food", "foods"), ("fruit", "fruits"), ("vehicle", "vehicles")),
        ("something you can eat", "things you can eat"),
        ("something you can drive", "things you can drive"),
        ("something that has wheels", "things that have wheels"),
    )
    for form in (name, plural)
}


def forms(noun: Noun) -> tuple[str, ...]:
    return noun.name, noun.plural, *noun.synonyms, *noun.synonym_plurals


def holds(text: str, words: str) -> bool:
    return re.search(rf"\b{words}\b", text) is not None


def named_in(text: str) -> list[Noun]:
    """The nouns of which a form stands in a text, as whole words."""
    return [noun for noun in NOUNS if any(holds(text, form) for form in forms(noun))]


def groups_in(text: str) -> set[str]:
    """The names of the groups that a text speaks of."""
    return {name for form, name in GROUPS.items() if holds(text.replace("nothing", "something"), form)}


def meant_by(noun: Noun, scene: Scene) -> list[SceneObject]:
    names = {noun.name, *ALSO.get(noun.name, ())}
    return [item for item in scene.objects if item.noun.name in names]
