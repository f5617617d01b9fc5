"""Guesses of how an answer goes on, looked up in the answers before it.

Answers are much alike ("Sure, here is the segmentation mask for 'crab': <|seg|>"), and a pass that reads ten tokens
takes little longer than one that reads one. So the tokens that followed the last few tokens in an earlier answer are
read along, and those that the model then chooses itself cost no pass of their own. A wrong guess is taken back: what
is written depends on the model's choices alone (see `stamp.inference.generation.TextState`).
"""

from collections.abc import Sequence

#: The longest run of tokens that is looked up; if it is unknown, shorter ones are.
CONTEXT_TOKENS = 3
GUESS_TOKENS = 16
MAX_RUNS = 10_000


class DraftBook:
    """What followed each short run of tokens when it was last seen; the runs seen longest ago are forgotten.

    Safe to use from several threads: at worst a guess is missed.
    """

    def __init__(self, max_runs: int = MAX_RUNS):
        self.max_runs = max_runs
        self._followers: dict[tuple[int, ...], tuple[int, ...]] = {}

    def remember(self, ids: Sequence[int]) -> None:
        """Learn from a finished answer, given with the last tokens of its prompt."""
        followers = self._followers
        for end in range(1, len(ids)):
            for start in range(max(0, end - CONTEXT_TOKENS), end):
                run = tuple(ids[start:end])
                followers.pop(run, None)
                followers[run] = tuple(ids[end : end + GUESS_TOKENS])
        for run in list(followers)[: -self.max_runs]:
            followers.pop(run, None)

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow; none where nothing alike was seen."""
        for length in range(min(CONTEXT_TOKENS, len(ids)), 0, -1):
            if found := self._followers.get(tuple(ids[-length:])):
                return found
        return ()
