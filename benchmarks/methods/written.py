"""Methods that write masks as words, in any format of `benchmarks.baselines.mask_text`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.baselines.mask_text import MaskText, MaskTextError, Piece
from benchmarks.methods.loading import OnPredictor
from benchmarks.methods.method import Prediction
from stamp.conversation import TextDelta, Turn
from stamp.inference.answer import Answer
from stamp.predictor import StampPredictor

#: Enough for the masks of many objects; each takes up to about 50 tokens.
MAX_NEW_TOKENS = 512


@dataclass(frozen=True)
class WrittenMaskMethod(OnPredictor):
    """A model that answers only in words, and a parser for the masks among them.

    about: the value of `provenance`.
    """

    predictor: StampPredictor
    form: MaskText
    variant: str
    max_new_tokens: int
    about: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the format."""
        return self.form.name

    def predict(self, image: Image.Image, prompt: str) -> Prediction:
        """See Method. Seconds for mask tokens are "mask", for other tokens "decode"; reading masks is "refine".

        A mask that cannot be read makes the whole answer invalid, and so does running out of tokens.
        """
        answer = self.predictor.begin([Turn("user", prompt, image)])
        return self._prediction(answer, list(self._decode(answer)), image)

    def stream(
        self, image: Image.Image, prompt: str, should_stop: Callable[[], bool]
    ) -> Iterator[TextDelta | Prediction]:
        """See benchmarks.methods.streaming: the text of masks comes as it is written."""
        answer = self.predictor.begin([Turn("user", prompt, image)])
        decode_s = []
        for spent in self._decode(answer, should_stop):
            decode_s.append(spent)
            if text := answer.new_text():
                yield TextDelta(text)
        yield self._prediction(answer, decode_s, image)

    def _decode(self, answer: Answer, should_stop: Callable[[], bool] = lambda: False) -> Iterator[float]:
        """Seconds of decoding up to each token."""
        for _ in answer.tokens(self.max_new_tokens, should_stop=should_stop):
            yield answer.clock.seconds.get("decode", 0.0)

    def _prediction(self, answer: Answer, decode_s: Sequence[float], image: Image.Image) -> Prediction:
        """The prediction of a finished answer. decode_s: seconds of decoding up to each token."""
        raw = answer.processor.decode(answer.token_ids)
        with answer.clock.phase("refine"):
            pieces = list(self.form.pieces(raw))
            masks = self._draw(pieces, answer.image.image)
        result = answer.result(self.predictor.versions())
        phases_s = {phase: spent for phase, spent in result.timings_s.items() if phase != "total"}
        token_s = [end - start for start, end in pairwise([0.0, *decode_s])]
        phases_s["mask"] = sum(compress(token_s, tokens_of(answer, raw, pieces)))
        phases_s["decode"] -= phases_s["mask"]
        return Prediction(
            text="".join(piece.text for piece in pieces if not piece.is_mask),
            raw_output=raw,
            masks=np.zeros((0, image.height, image.width), dtype=bool) if masks is None else masks,
            new_tokens=result.new_tokens,
            forward_passes=result.forward_passes,
            valid=masks is not None and result.finish_reason == "end",
            phases_s=phases_s,
        )

    def _draw(self, pieces: Iterable[Piece], picture: Image.Image) -> np.ndarray | None:
        """Bool (S, H, W), or None if a mask cannot be read."""
        try:
            masks = [self.form.draw(piece.text, picture) for piece in pieces if piece.is_mask]
        except MaskTextError:
            return None
        return np.stack(masks) if masks else np.zeros((0, picture.height, picture.width), dtype=bool)

    def provenance(self) -> dict[str, Any]:
        """See Method."""
        return self.about | {"max_new_tokens": self.max_new_tokens}


def tokens_of(answer: Answer, raw: str, pieces: Sequence[Piece]) -> Iterator[bool]:
    """For each token of an answer, whether part of it belongs to a mask. raw: the text; pieces: its pieces."""
    tokenizer = answer.processor.tokenizer
    tokens = tokenizer.convert_ids_to_tokens(answer.token_ids)  # one character per byte
    special = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}  # not in the text
    lengths = [0 if id_ in special else len(token) for id_, token in zip(answer.token_ids, tokens, strict=True)]
    spans = [(first := len(raw[: one.start].encode()), first + len(one.text.encode())) for one in pieces if one.is_mask]
    for start, end in pairwise(accumulate(lengths, initial=0)):
        yield any(start < last and end > first for first, last in spans)
