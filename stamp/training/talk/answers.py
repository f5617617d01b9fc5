"""Decides whether an answer in words is right: it contains an accepted form, as whole words, and no rival."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache


def is_right(answer: str, question: str, accepted: Sequence[str], rivals: Iterable[Sequence[str]]) -> bool:
    """Whether the answer contains an accepted form and no rival. Case and punctuation do not count.

    rivals: things with all their forms. If one form of a thing is accepted, all are ("no", "none", "0"; "phone",
    "telephone"); a thing in the question is not a rival, because the answer may repeat it.
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
    """The forms that a text contains. The longest are matched first: a "baseball bat" is not a "bat"."""
    words, named = _words(text), set()
    for form in sorted(forms, key=len, reverse=True):
        if form in words:
            named.add(form)
            words = words.replace(form, "  ")
    return named


@lru_cache(maxsize=8192)  # every answer of a set is checked for the same few thousand forms
def _words(text: str) -> str:
    """The words in lower case with a space around each, so that whole words can be found as substrings."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
