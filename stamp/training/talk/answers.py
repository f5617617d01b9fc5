"""When an answer in words is right: it names what is accepted, as whole words, and nothing that rivals it."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache


def is_right(answer: str, question: str, accepted: Sequence[str], rivals: Iterable[Sequence[str]]) -> bool:
    """Whether an accepted form stands in the answer and no rival does. Case and punctuation do not count.

    rivals: things with all their forms. A thing of which one form is accepted is accepted in all of them ("no", "none",
    "0"; "phone", "telephone"); one that stands in the question is no rival (the answer may repeat it).
    """
    right = {_words(form) for form in accepted}
    things = [{_words(form) for form in thing} for thing in rivals]
    right.update(*(thing for thing in things if not thing.isdisjoint(right)))
    if not any(form in _words(answer) for form in right):
        return False
    forms = {*right, *(form for thing in things for form in thing)}
    named, asked = _named(answer, forms), _named(question, forms)
    wrong = [thing for thing in things if thing.isdisjoint(right | asked)]
    return not named.isdisjoint(right) and all(named.isdisjoint(thing) for thing in wrong)


def _named(text: str, forms: Iterable[str]) -> set[str]:
    """The forms that stand in a text. The longest come first: a "baseball bat" is no "bat"."""
    words, named = _words(text), set()
    for form in sorted(forms, key=len, reverse=True):
        if form in words:
            named.add(form)
            words = words.replace(form, "  ")
    return named


@lru_cache(maxsize=8192)  # the same few thousand forms in every answer of a set
def _words(text: str) -> str:
    """The words in lower case, a space around each, so that whole words are substrings."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
