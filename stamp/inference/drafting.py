"""Guesses how an answer continues, so that one pass can feed several tokens.

A pass over ten tokens takes little longer than a pass over one. So each pass also feeds the tokens that followed the
last few tokens earlier: in a typical answer, or in the conversation itself ("prompt lookup decoding", as transformers
implements it). Those that the model then chooses itself need no pass of their own, and a wrong guess is removed
(`stamp.inference.generation.TextState`). So the text depends only on the model's choices, and the guesses only on the
conversation.
"""

import sys
from collections.abc import Sequence

import torch
from transformers.generation.candidate_generator import PromptLookupCandidateGenerator

from stamp.conversation import Turn
from stamp.model.processing_stamp import StampProcessor

#: Answers as the nano and the published checkpoints word them.
TYPICAL_ANSWERS = (
    "Sure, here is the segmentation mask for the brown dog: <|seg|>",
    "Sure, here are the segmentation masks for the dog: <|seg|> and the cat: <|seg|>",
    "Sure, here is the segmentation mask for 'brown dog': <|seg|>",
    "There is no brown dog in the image.",
    "Yes, there is a dog.",
    "The dog is on the left and at the bottom.",
    "I don't know that word.",
)
MOST_GUESSED_TOKENS = 10
#: The longest run of tokens to look up; if it is unknown, shorter runs are tried.
LONGEST_RUN_TOKENS = 3


class Drafter:
    """Looks up the last tokens of a conversation in typical answers, then in the conversation. Holds no state."""

    def __init__(self, processor: StampProcessor):
        turns = [turn for text in TYPICAL_ANSWERS for turn in (Turn("user", "?"), processor.assistant_turn(text))]
        self._typical = processor.encode_conversation(turns, [], add_generation_prompt=False).input_ids
        self._lookup = PromptLookupCandidateGenerator(
            num_output_tokens=MOST_GUESSED_TOKENS, max_matching_ngram_size=LONGEST_RUN_TOKENS, max_length=sys.maxsize
        )

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Up to MOST_GUESSED_TOKENS tokens that may follow the conversation's `ids`; none if nothing is found."""
        known = torch.LongTensor([[*self._typical, *ids]])
        longer, _ = self._lookup.get_candidates(known)
        return tuple(longer[0, known.shape[1] :].tolist())
