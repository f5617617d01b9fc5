"""One question and its answer, and the small words that answers are made of."""

from dataclasses import dataclass

from stamp.training.nouns import Noun

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Exchange:
    """One question and its answer.

    targets: for each `<|seg|>` in the answer, the mask ids of the objects it covers together.
    accepted: words of which one makes an answer right, e.g. ("two", "2"); empty for requests for a mask.
    found: for each noun of the answer that the question does not name, the mask ids of the objects it names.
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


def with_article(name: str, plural: str = "") -> str:
    """ "an apple", "a bus", and "grapes" (its own plural) without one."""
    if name == plural and name.endswith("s"):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def a_noun(noun: Noun) -> str:
    """A noun with its article."""
    return with_article(noun.name, noun.plural)


def there_is(noun: Noun) -> str:
    """ "there is an apple", "there are grapes"."""
    phrase = a_noun(noun)
    return f"there {'are' if phrase == noun.plural else 'is'} {phrase}"


def quantity(name: str, plural: str, count: int) -> str:
    """ "two apples", "one apple", "no apples"."""
    return f"{NUMBERS[count]} {name if count == 1 else plural}"


def number_words(count: int) -> tuple[str, ...]:
    """The accepted ways to say a number."""
    return (NUMBERS[count], str(count)) + (("none",) if count == 0 else ())
