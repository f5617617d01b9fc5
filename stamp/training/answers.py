"""When an answer in words is right: it names what is accepted, as whole words, and nothing that rivals it."""

import re
from collections.abc import Iterable, Sequence


def is_right(answer: str, question: str, accepted: Sequence[str], rivals: Iterable[Sequence[str]]) -> bool:
    """Whether an accepted form stands in the answer and no rival does. Case and punctuation do not count.

    rivals: things with all their forms. A thing is no rival when one of its forms is accepted (the answer may say
    "no", "none" or "0") or stands in the question (the answer may repeat it).
    """
    said, asked = _words(answer), _words(question)
    right = [_words(form) for form in accepted]
    if not any(form in said for form in right):
        return False
    for thing in rivals:
        forms = [_words(form) for form in thing]
        is_rival = not any(form in right or form in asked for form in forms)
        if is_rival and any(form in said for form in forms):
            return False
    return True


def _words(text: str) -> str:
    """The words in lower case, a space around each, so that whole words are substrings."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
