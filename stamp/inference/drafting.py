"""Guesses how an answer continues, from earlier answers.

Answers resemble each other ("Sure, here is the segmentation mask for 'crab': <|seg|>"), and a pass over ten tokens
takes little longer than a pass over one. So each pass also feeds the tokens that followed the last few tokens in an
earlier answer; those that the model then chooses itself need no pass of their own. A wrong guess is removed, so the
text depends only on the model's choices (see `stamp.inference.generation.TextState`).

In bfloat16, int8 and nf4 the number of tokens in a pass changes how its products are rounded. So a request that is
repeated in one process, where guesses have been learned in between, may get a mask that differs in a few pixels of its
edge (IoU above 0.99). In float32 it gets the same one. `StampPredictor.drafts = None` gives the same one in every
precision, token by token.
"""

from collections.abc import Sequence

#: The longest run of tokens to look up; if it is unknown, shorter runs are tried.
CONTEXT_TOKENS = 3
GUESS_TOKENS = 16
MAX_RUNS = 10_000


class DraftBook:
    """The continuation of each short run of tokens when it was last seen; the runs seen longest ago are dropped.

    Thread-safe: at worst a guess is missed.
    """

    def __init__(self, max_runs: int = MAX_RUNS):
        self.max_runs = max_runs
        self._followers: dict[tuple[int, ...], tuple[int, ...]] = {}

    def remember(self, ids: Sequence[int]) -> None:
        """Learn from a finished answer, preceded by the last tokens of its prompt."""
        followers = self._followers
        for end in range(1, len(ids)):
            for start in range(max(0, end - CONTEXT_TOKENS), end):
                run = tuple(ids[start:end])
                followers.pop(run, None)
                followers[run] = tuple(ids[end : end + GUESS_TOKENS])
        for run in list(followers)[: -self.max_runs]:
            followers.pop(run, None)

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The tokens that may follow; none if the last tokens are unknown."""
        for length in range(min(CONTEXT_TOKENS, len(ids)), 0, -1):
            if found := self._followers.get(tuple(ids[-length:])):
                return found
        return ()
