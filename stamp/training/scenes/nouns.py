"""The definition of a noun and the facts about it. The nouns themselves are in `stamp.training.scenes.vocabulary`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """One kind of object and the facts about it.

    category: its group, a key of `CATEGORY_WORDS` if people can ask for that group.
    flies: scenes may let it float (birds drawn in flight, clouds); not the same as the function "that flies".
    article: "a", "an", or "" for nouns that are not counted ("bread") or drawn as a pair or a heap ("socks", "grapes").
    kinds: broader words that are also true: categories, or the names of other nouns ("taxi" is a "car").
    colour: its colour if it is the same in every drawing, else empty.
    synonyms: other words people type, none shared with another noun; one may contain another noun's name ("pine tree"
    and "tree"), so look for the longest first. `synonym_plurals` has the same order.
    functions: keys of `FUNCTION_WORDS`, which complete "something ...": "you can eat", "that flies".
    arguable: kinds and functions on which people disagree (is a tomato a fruit?).
    drawings: (style, key) of every drawing.
    taught: whether the shipped checkpoint learns it.
    """

    name: str
    plural: str
    category: str
    flies: bool = False
    article: str = "a"
    kinds: tuple[str, ...] = ()
    colour: str = ""
    synonyms: tuple[str, ...] = ()
    synonym_plurals: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    arguable: tuple[str, ...] = ()
    drawings: tuple[tuple[str, str], ...] = ()
    taught: bool = True

    def drawings_in(self, style: str) -> tuple[str, ...]:
        """The keys of its drawings in one style (emoji codes, or names of renders), possibly none."""
        return tuple(key for drawn_in, key in self.drawings if drawn_in == style)

    def fits(self, word: str) -> bool | None:
        """Whether a name, category, kind or function is true of it; None if people would disagree."""
        if word in self.arguable:
            return None
        return word in (self.name, self.category, *self.kinds, *self.functions)


#: Categories that people ask for by name, singular and plural.
CATEGORY_WORDS: dict[str, tuple[str, str]] = {
    "animal": ("animal", "animals"),
    "bird": ("bird", "birds"),
    "insect": ("insect", "insects"),
    "sea animal": ("sea animal", "sea animals"),
    "plant": ("plant", "plants"),
    "flower": ("flower", "flowers"),
    "food": ("food", "foods"),
    "fruit": ("fruit", "fruits"),
    "vegetable": ("vegetable", "vegetables"),
    "dessert": ("dessert", "desserts"),
    "drink": ("drink", "drinks"),
    "vehicle": ("vehicle", "vehicles"),
    "boat": ("boat", "boats"),
    "building": ("building", "buildings"),
    "furniture": ("piece of furniture", "pieces of furniture"),
    "clothing": ("piece of clothing", "clothes"),
    "bag": ("bag", "bags"),
    "instrument": ("musical instrument", "musical instruments"),
    "tool": ("tool", "tools"),
    "weapon": ("weapon", "weapons"),
    "toy": ("toy", "toys"),
    "ball": ("ball", "balls"),
    "sport": ("piece of sports equipment", "pieces of sports equipment"),
    "electronics": ("electronic device", "electronic devices"),
    "appliance": ("household appliance", "household appliances"),
    "body part": ("body part", "body parts"),
}

_USES = (
    "eat",
    "drink",
    "wear",
    "ride",
    "drive",
    "sit on",
    "sleep in",
    "write with",
    "cut with",
    "read",
    "play music with",
)
#: How people ask for things with a function, singular and plural.
FUNCTION_WORDS: dict[str, tuple[str, str]] = {
    **{f"you can {use}": (f"something you can {use}", f"things you can {use}") for use in _USES},
    "that flies": ("something that flies", "things that fly"),
    "that swims": ("something that swims", "things that swim"),
    "that lives in the water": ("something that lives in the water", "things that live in the water"),
    "that gives light": ("something that gives light", "things that give light"),
    "that tells the time": ("something that tells the time", "things that tell the time"),
    "that has wheels": ("something that has wheels", "things that have wheels"),
}
