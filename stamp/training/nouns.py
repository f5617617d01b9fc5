"""What a noun is, and the nouns of the shipped checkpoint: everyday words whose artwork was checked by eye.

Every row was kept because the drawings of all training styles show what the word says, fill at most
93 % of their box (no square tiles) and are not easily taken for another row. No name contains another
name as a word ("dog" rules out "hot dog"), so a word in a question points at one noun only. The large
vocabulary that later runs train on is in `stamp.training.vocabulary`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Noun:
    """One kind of object, and what may truly be said of it.

    code: its emoji code point in lower-case hex, without the variation selector; empty where no emoji shows it.
    category: the group it belongs to, a key of `CATEGORY_WORDS` where one can ask for it.
    flies: scenes may let it float (birds drawn in flight, clouds); not the same as the function "that flies".
    article: "a", "an", or "" for what is not counted ("bread") or drawn as a pair or a heap ("socks", "grapes").
    kinds: broader words that are also true: categories, or the names of other nouns ("taxi" is a "car").
    colour: its colour, where that is the same in every drawing; else empty.
    synonyms: other words people type, none shared with another noun; one may contain another noun's name ("pine tree"
    and "tree"), so look for the longest first. `synonym_plurals` runs beside it.
    functions: keys of `FUNCTION_WORDS`, what fits behind "something ...": "you can eat", "that flies".
    arguable: kinds and functions that some people would grant it and others not (is a tomato a fruit?).
    drawings: (style, key) of every drawing; without any, each style draws `code`.
    """

    name: str
    plural: str
    code: str
    category: str
    flies: bool = False
    article: str | None = None
    kinds: tuple[str, ...] = ()
    colour: str = ""
    synonyms: tuple[str, ...] = ()
    synonym_plurals: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    arguable: tuple[str, ...] = ()
    drawings: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.article is None:
            bare = self.name == self.plural and self.name.endswith("s")
            object.__setattr__(self, "article", "" if bare else "an" if self.name[0] in "aeiou" else "a")

    def drawings_in(self, style: str) -> tuple[str, ...]:
        """The keys of its drawings in one style (emoji codes, or names of renders), possibly none."""
        if not self.drawings:
            return (self.code,)
        return tuple(key for drawn_in, key in self.drawings if drawn_in == style)

    def fits(self, word: str) -> bool | None:
        """Whether a name, category, kind or function is true of it; None where people would not agree."""
        if word in self.arguable:
            return None
        return word in (self.name, self.category, *self.kinds, *self.functions)


#: Categories that people ask for by a word, as one and as many.
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
#: How people ask for what has a function, as one and as many.
FUNCTION_WORDS: dict[str, tuple[str, str]] = {
    **{f"you can {use}": (f"something you can {use}", f"things you can {use}") for use in _USES},
    "that flies": ("something that flies", "things that fly"),
    "that swims": ("something that swims", "things that swim"),
    "that lives in the water": ("something that lives in the water", "things that live in the water"),
    "that gives light": ("something that gives light", "things that give light"),
    "that tells the time": ("something that tells the time", "things that tell the time"),
    "that has wheels": ("something that has wheels", "things that have wheels"),
}

NOUNS: tuple[Noun, ...] = (
    Noun("apple", "apples", "1f34e", "fruit"),
    Noun("banana", "bananas", "1f34c", "fruit"),
    Noun("strawberry", "strawberries", "1f353", "fruit"),
    Noun("grapes", "grapes", "1f347", "fruit"),
    Noun("watermelon", "watermelons", "1f349", "fruit"),
    Noun("pineapple", "pineapples", "1f34d", "fruit"),
    Noun("lemon", "lemons", "1f34b", "fruit"),
    Noun("pear", "pears", "1f350", "fruit"),
    Noun("avocado", "avocados", "1f951", "fruit"),
    Noun("carrot", "carrots", "1f955", "vegetable"),
    Noun("eggplant", "eggplants", "1f346", "vegetable"),
    Noun("mushroom", "mushrooms", "1f344", "vegetable"),
    Noun("pizza", "pizzas", "1f355", "food"),
    Noun("burger", "burgers", "1f354", "food"),
    Noun("donut", "donuts", "1f369", "food"),
    Noun("cookie", "cookies", "1f36a", "food"),
    Noun("cake", "cakes", "1f382", "food"),
    Noun("pretzel", "pretzels", "1f968", "food"),
    Noun("egg", "eggs", "1f95a", "food"),
    Noun("ice cream", "ice creams", "1f366", "food"),
    Noun("cup", "cups", "2615", "kitchen"),
    Noun("teapot", "teapots", "1fad6", "kitchen"),
    Noun("cat", "cats", "1f408", "animal"),
    Noun("dog", "dogs", "1f415", "animal"),
    Noun("horse", "horses", "1f40e", "animal"),
    Noun("cow", "cows", "1f404", "animal"),
    Noun("pig", "pigs", "1f416", "animal"),
    Noun("sheep", "sheep", "1f411", "animal"),
    Noun("elephant", "elephants", "1f418", "animal"),
    Noun("giraffe", "giraffes", "1f992", "animal"),
    Noun("rabbit", "rabbits", "1f407", "animal"),
    Noun("turtle", "turtles", "1f422", "animal"),
    Noun("snake", "snakes", "1f40d", "animal"),
    Noun("frog", "frogs", "1f438", "animal"),
    Noun("fish", "fish", "1f41f", "animal"),
    Noun("shark", "sharks", "1f988", "animal"),
    Noun("whale", "whales", "1f433", "animal"),
    Noun("octopus", "octopuses", "1f419", "animal"),
    Noun("crab", "crabs", "1f980", "animal"),
    Noun("snail", "snails", "1f40c", "animal"),
    Noun("penguin", "penguins", "1f427", "animal"),
    Noun("duck", "ducks", "1f986", "animal"),
    Noun("owl", "owls", "1f989", "animal"),
    Noun("parrot", "parrots", "1f99c", "animal"),
    Noun("rooster", "roosters", "1f413", "animal"),
    Noun("flamingo", "flamingos", "1f9a9", "animal"),
    Noun("panda", "pandas", "1f43c", "animal"),
    Noun("camel", "camels", "1f42a", "animal"),
    Noun("zebra", "zebras", "1f993", "animal"),
    Noun("lion", "lions", "1f981", "animal"),
    Noun("hedgehog", "hedgehogs", "1f994", "animal"),
    Noun("monkey", "monkeys", "1f412", "animal"),
    Noun("crocodile", "crocodiles", "1f40a", "animal"),
    Noun("dinosaur", "dinosaurs", "1f995", "animal"),
    Noun("mouse", "mice", "1f401", "animal"),
    Noun("bee", "bees", "1f41d", "insect", flies=True),
    Noun("bat", "bats", "1f987", "animal", flies=True),
    Noun("butterfly", "butterflies", "1f98b", "insect", flies=True),
    Noun("ladybug", "ladybugs", "1f41e", "insect"),
    Noun("spider", "spiders", "1f577", "insect"),
    Noun("bus", "buses", "1f68c", "vehicle"),
    Noun("car", "cars", "1f697", "vehicle"),
    Noun("bicycle", "bicycles", "1f6b2", "vehicle"),
    Noun("airplane", "airplanes", "2708", "vehicle", flies=True),
    Noun("helicopter", "helicopters", "1f681", "vehicle", flies=True),
    Noun("rocket", "rockets", "1f680", "vehicle", flies=True),
    Noun("sailboat", "sailboats", "26f5", "vehicle"),
    Noun("tractor", "tractors", "1f69c", "vehicle"),
    Noun("train", "trains", "1f682", "vehicle"),
    Noun("truck", "trucks", "1f69a", "vehicle"),
    Noun("balloon", "balloons", "1f388", "toy", flies=True),
    Noun("kite", "kites", "1fa81", "toy", flies=True),
    Noun("shirt", "shirts", "1f455", "clothing"),
    Noun("jeans", "jeans", "1f456", "clothing"),
    Noun("dress", "dresses", "1f457", "clothing"),
    Noun("hat", "hats", "1f3a9", "clothing"),
    Noun("shoe", "shoes", "1f45f", "clothing"),
    Noun("scarf", "scarves", "1f9e3", "clothing"),
    Noun("glasses", "glasses", "1f453", "clothing"),
    Noun("crown", "crowns", "1f451", "clothing"),
    Noun("backpack", "backpacks", "1f392", "clothing"),
    Noun("hammer", "hammers", "1f528", "tool"),
    Noun("scissors", "scissors", "2702", "tool"),
    Noun("axe", "axes", "1fa93", "tool"),
    Noun("ladder", "ladders", "1fa9c", "tool"),
    Noun("bucket", "buckets", "1faa3", "tool"),
    Noun("key", "keys", "1f511", "tool"),
    Noun("lock", "locks", "1f512", "tool"),
    Noun("chair", "chairs", "1fa91", "furniture"),
    Noun("bed", "beds", "1f6cf", "furniture"),
    Noun("toilet", "toilets", "1f6bd", "furniture"),
    Noun("clock", "clocks", "23f0", "household"),
    Noun("umbrella", "umbrellas", "2602", "household"),
    Noun("suitcase", "suitcases", "1f9f3", "household"),
    Noun("light bulb", "light bulbs", "1f4a1", "household"),
    Noun("gift", "gifts", "1f381", "toy"),
    Noun("teddy bear", "teddy bears", "1f9f8", "toy"),
    Noun("cactus", "cacti", "1f335", "plant"),
    Noun("sunflower", "sunflowers", "1f33b", "plant"),
    Noun("rose", "roses", "1f339", "plant"),
    Noun("tree", "trees", "1f333", "plant"),
    Noun("guitar", "guitars", "1f3b8", "instrument"),
    Noun("violin", "violins", "1f3bb", "instrument"),
    Noun("drum", "drums", "1f941", "instrument"),
    Noun("soccer ball", "soccer balls", "26bd", "sport"),
    Noun("basketball", "basketballs", "1f3c0", "sport"),
    Noun("football", "footballs", "1f3c8", "sport"),
    Noun("trophy", "trophies", "1f3c6", "sport"),
    Noun("skateboard", "skateboards", "1f6f9", "sport"),
    Noun("target", "targets", "1f3af", "sport"),
    Noun("pencil", "pencils", "270f", "tool"),
    Noun("telephone", "telephones", "260e", "electronics"),
    Noun("laptop", "laptops", "1f4bb", "electronics"),
    Noun("television", "televisions", "1f4fa", "electronics"),
    Noun("microscope", "microscopes", "1f52c", "tool"),
    Noun("cloud", "clouds", "2601", "nature", flies=True),
    Noun("snowman", "snowmen", "26c4", "nature"),
    Noun("house", "houses", "1f3e0", "building"),
    Noun("castle", "castles", "1f3f0", "building"),
    Noun("tent", "tents", "26fa", "building"),
)

NOUN_BY_NAME: dict[str, Noun] = {noun.name: noun for noun in NOUNS}
