"""One question and its answer, and small phrases for building answers."""

from dataclasses import dataclass

from stamp.training.scenes.nouns import Noun

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
MOST_COUNTED = len(NUMBERS) - 1


@dataclass(frozen=True)
class Exchange:
    """One question and its answer.

    targets: for each `<|seg|>` in the answer, the mask ids of the objects that it covers.
    accepted: words that each make an answer right, e.g. ("two", "2"); empty for requests for a mask.
    found: for each noun of the answer that the question leaves open, the mask ids of the objects it names.
    about: the mask id of the object that "it" means in the next question, or None.
    phrase: the bare referring expression of a request for a mask, if the question contains one.
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
    """Whether people ask how many there are: yes for apples, no for bread or grapes."""
    return noun.article != ""


def a_noun(noun: Noun) -> str:
    """A noun with its article, if it takes one: "an apple", "bread"."""
    return f"{noun.article} {noun.name}".strip()


def verb_of(noun: Noun) -> str:
    """The verb for a noun: "are" for grapes and glasses, otherwise "is"."""
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
    """The accepted forms of a number."""
    return (NUMBERS[count], str(count)) + (("none",) if count == 0 else ())
