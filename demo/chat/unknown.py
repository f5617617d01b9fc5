"""What the page adds when the embedded model does not know a word: near words that it knows, and all of them."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise

from demo.html import literal

#: The model's whole answer; it learned this sentence.
UNKNOWN_ANSWER = "I don't know that word."
MEANT = "Did you mean {}?"
ALL_WORDS = "All {} objects the model knows"
#: How alike a word and its misspelling are, from 0 to 1.
LIKENESS = 0.8
MOST_MEANT = 3
#: Words of a question that are compared; each is compared with every name.
MOST_WORDS = 30


def unknown_html(answer: str, prompt: str, known: Sequence[str]) -> str:
    """Under an answer that says so: words like those of the question, and a list to open. Otherwise empty."""
    if not known or answer.strip() != UNKNOWN_ANSWER:
        return ""
    near = near_words(prompt, known)
    meant = f"<div>{literal(MEANT.format(' or '.join(near)))}</div>" if near else ""
    summary, words = ALL_WORDS.format(len(known)), ", ".join(known)
    return f'{meant}<details class="readout"><summary>{literal(summary)}</summary>{literal(words)}</details>'


def near_words(prompt: str, known: Sequence[str]) -> list[str]:
    """Known names that look like a word of the question, or like two in a row; the most alike first of each."""
    words = re.findall(r"[^\W\d_]+", prompt.lower())[:MOST_WORDS]
    tries = [*words, *(" ".join(pair) for pair in pairwise(words))]
    found = (name for one in tries if len(one) > 3 for name in get_close_matches(one, known, MOST_MEANT, LIKENESS))
    return list(dict.fromkeys(found))[:MOST_MEANT]
