"""One question and its answer, and the small words that answers are made of."""

from dataclasses import dataclass

from stamp.training.scenes.nouns import Noun

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
MOST_COUNTED = len(NUMBERS) - 1


@dataclass(frozen=True)
class Exchange:
    """One question and its answer.

    targets: for each `<|seg|>` in the answer, the mask ids of the objects it covers together.
    accepted: words of which one makes an answer right, e.g. ("two", "2"); empty for requests for a mask.
    found: for each noun of the answer that the question leaves open, the mask ids of the objects it names.
    about: the mask id of the one object that "it" means in the next question, or None.
    phrase: the bare referring expression of a request for a mask, where the question is made around one.
    """

    kind: str
    question: str
    answer: str
    targets: tuple[tuple[int, ...], ...] = ()
    accepted: tuple[str, ...] = ()
    found: tuple[tuple[int, ...], ...] = ()
    about: int | None = None
    phrase: str | None = None


def with_article(name: str) -> str:
    """ "an apple", "a bus"; "something you can eat" stays as it is."""
    if name.startswith("something"):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def is_counted(noun: Noun) -> bool:
    """Whether one asks how many there are: of apples, but not of bread or grapes."""
    return noun.article != ""


def a_noun(noun: Noun) -> str:
    """A noun with its article, if it takes one: "an apple", "bread"."""
    return f"{noun.article} {noun.name}".strip()


def verb_of(noun: Noun) -> str:
    """What is said of a noun: "are" of grapes and glasses, "is" otherwise."""
    return "are" if not is_counted(noun) and noun.name.endswith("s") else "is"


def the_noun_is(noun: Noun) -> str:
    """ "The apple is", "The grapes are": how an answer about it begins."""
    return f"The {noun.name} {verb_of(noun)}"


def there_is(noun: Noun) -> str:
    """ "there is an apple", "there is bread", "there are grapes"."""
    return f"there {verb_of(noun)} {a_noun(noun)}"


def quantity(name: str, plural: str, count: int) -> str:
    """ "two apples", "one apple", "no apples"."""
    return f"{NUMBERS[count]} {name if count == 1 else plural}"


def number_words(count: int) -> tuple[str, ...]:
    """The accepted ways to say a number."""
    return (NUMBERS[count], str(count)) + (("none",) if count == 0 else ())
