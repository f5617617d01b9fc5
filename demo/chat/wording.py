"""Better wordings for questions that the embedded model is known to misread. A question is never changed silently."""

import re
from collections.abc import Collection

BARE = "The small model needs a full request, so “{}” is now in the box. Press Enter to send it."
#: What to ask for instead of the background.
EVERYTHING = "segment everything"
BACKGROUND = (
    "The small model finds objects, not the background. Ask for an object, then press Invert on its mask to get "
    "everything else. Or press Enter: “segment everything” is now in the box."
)
SHOUTED = "The small model misreads words in capitals, so “{}” is now in the box. Press Enter to send it."


_BACKGROUND = re.compile(r"(segment|select|mask|show|cut out|remove)( me)? (the|all|all the)? ?(whole )?back ?ground")


def suggest_wording(prompt: str, known: Collection[str]) -> tuple[str, str] | None:
    """A better question for a model that knows these nouns, and why; None where the question is fine as it is.

    "cat" -> "segment the cat"; "segment the CAT" -> "segment the cat"; "segment the background" -> a sentence, as this
    model finds objects alone.
    """
    words = " ".join(prompt.split())
    bare = words.lower().rstrip(".!?")
    if bare == "background" or _BACKGROUND.fullmatch(bare):
        return EVERYTHING, BACKGROUND
    if bare in known:
        question = f"segment the {bare}"
        return question, BARE.format(question)
    shouted = [word for word in re.findall(r"\w+", words) if len(word) > 1 and word.isupper()]
    if shouted and not _words(known).isdisjoint(word.lower() for word in shouted):
        return words.lower(), SHOUTED.format(words.lower())
    return None


def _words(known: Collection[str]) -> set[str]:
    return {word for noun in known for word in noun.lower().split()}
