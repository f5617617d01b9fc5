"""Decoding with masks: one KV cache, tokens one by one, and a mask pass for every `<|seg|>`.

Prefill reads the whole prompt in one pass; decode feeds one new token per pass; the mask pass feeds P mask tokens
at once and leaves the cache unchanged.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from stamp.errors import CheckpointError
from stamp.inference.captured_steps import CapturedSteps
from stamp.model.modeling_stamp import StampForSegmentation


@dataclass
class PhaseClock:
    """Seconds and passes per phase. Synchronizes the accelerator at both ends of a phase.

    turn: the model's lock; a phase holds it, and waiting for it is not counted.
    read: the clock, in seconds: real time, or on a busy CPU the processor time of this process.
    """

    device: torch.device
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    read: Callable[[], float] = time.perf_counter
    seconds: dict[str, float] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time of the block to phase `name`, and one pass."""
        with self.turn:
            start = self._now()
            yield
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start
        self.passes[name] = self.passes.get(name, 0) + 1

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.read()


class TextState:
    """The KV cache of one answer, and the tokens that are not in it yet.

    Tokens are pushed when they are chosen, and fed when the next logits or a mask are needed. So a `<|seg|>` on which
    generation stops is fed before its mask is predicted (the released code forgets it), and no pass is wasted on a
    last token that nothing depends on.

    Guessed tokens can be fed in the same pass. If they are pushed next, their logits are already known; the first
    different token that is pushed removes them from the cache.

    captured: for the decoding passes that it fits; None, or one that does not fit, takes usual passes.
    """

    def __init__(
        self,
        model: StampForSegmentation,
        clock: PhaseClock,
        cache: DynamicCache | None = None,
        captured: CapturedSteps | None = None,
    ):
        self.model = model
        self.clock = clock
        self.captured = captured
        self.cache = DynamicCache(config=model.config) if cache is None else cache
        #: For each pushed <|seg|>: its index in the cache, its rotary position, and that of its image's first token.
        self.seg_slots: list[tuple[int, int, int]] = []
        self._image_position = 0  # of the last image
        self._length = 0  # tokens of the prompt and pushed ones
        self._position_minus_index = 0
        self._pending: list[int] = []
        self._next_logits: Tensor | None = None
        self._ahead: list[tuple[int, Tensor]] = []  # fed but not pushed, each with the logits after it

    @torch.inference_mode()
    def prefill(self, input_ids: Tensor, image_embeds: Tensor | None, grid_thw: Tensor | None) -> None:
        """Feed the prompt: (1, L) ids, (n, H) features of all its images, (N, 3) their patch grids.

        The cache's tokens must be a prefix of the ids; only the rest is fed.
        """
        known = self.cache.get_seq_length()
        with self.clock.phase("prefill"):
            positions = self.model.rope_positions(input_ids, grid_thw)
            if image_embeds is not None:
                image_embeds = image_embeds[int((input_ids[:, :known] == self.model.config.image_token_id).sum()) :]
            embeds = self.model.embed_prompt(input_ids[:, known:], image_embeds)
            hidden = self._usual_pass(embeds, positions[:, :, known:])
            self._next_logits = self.model.lm_head(hidden[0, -1])
        _refuse_no_numbers(self._next_logits)
        starts = (input_ids[0] == self.model.config.vision_start_token_id).nonzero()
        self._image_position = int(positions[0, 0, starts[-1] + 1]) if len(starts) else 0
        self._length = input_ids.shape[1]
        self._position_minus_index = int(positions.max()) + 1 - self._length

    def push(self, token_id: int) -> None:
        """Append a token; the next pass feeds it, unless it was fed ahead."""
        if token_id == self.model.config.seg_token_id:
            self.seg_slots.append((self._length, self._length + self._position_minus_index, self._image_position))
        self._length += 1
        if self._ahead and self._ahead[0][0] == token_id:
            _, self._next_logits = self._ahead.pop(0)
        else:
            self.rollback()
            self._pending.append(token_id)

    def rollback(self) -> None:
        """Remove tokens from the cache that were fed ahead but not pushed."""
        if self._ahead:
            self.cache.crop(-len(self._ahead))
        self._ahead = []

    @torch.inference_mode()
    def flush(self, ahead: Sequence[int] = ()) -> Tensor:
        """Feed the pushed tokens, and others ahead, in one pass -> (n, V) logits after each of the n pushed tokens."""
        n_pushed = len(self._pending)
        with self.clock.phase("decode"):
            logits = self._decode((*self._pending, *ahead), self._length - n_pushed + self._position_minus_index)
        self._pending = []
        self._next_logits = logits[n_pushed - 1]
        self._ahead = list(zip(ahead, logits[n_pushed:], strict=True))
        return logits[:n_pushed]

    def _decode(self, ids: Sequence[int], position: int) -> Tensor:
        """Feed n tokens -> (n, V) logits after each. position: rotary, of the first one."""
        if self.captured is not None and self.captured.fits(self.cache, len(ids)):
            return self.captured.logits(ids, position, self.cache)
        positions = (position + torch.arange(len(ids), device=self.model.device)).expand(3, 1, -1)
        embeds = self.model.embed_prompt(torch.tensor([ids], device=self.model.device), None)
        logits: Tensor = self.model.lm_head(self._usual_pass(embeds, positions)[0])
        return logits

    def _usual_pass(self, embeds: Tensor, positions: Tensor) -> Tensor:
        """See `text_pass` of the model."""
        if self.captured is not None:
            self.captured.forget()
        return self.model.text_pass(embeds, positions, self.cache)

    def next_logits(self, guess: Callable[[], Sequence[int]] = tuple) -> Tensor:
        """(V,) logits of the token after everything pushed so far. guess: tokens to feed ahead if a pass is needed."""
        if self._pending:
            self.flush(guess())
        if self._next_logits is None:
            raise RuntimeError("call prefill() first")
        return self._next_logits

    @torch.inference_mode()
    def mask_logits(self, which: range, image_embeds: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Logits of the pushed `<|seg|>` numbers `which`, in one pass: (len(which), rows, columns) float32 on the CPU.

        Rows and columns are those of `model.mask_grid`.
        """
        if self._pending:
            self.flush()
        slots = torch.tensor(self.seg_slots[which.start : which.stop], device=self.model.device)
        with self.clock.phase("mask"):
            logits = self.model.mask_pass(self.cache, slots, image_embeds, grid_hw)
        _refuse_no_numbers(logits)
        return logits.float().view(-1, *self.model.mask_grid(grid_hw)).cpu()


def _refuse_no_numbers(logits: Tensor) -> None:
    """Raise CheckpointError if the model computes NaN: every answer would be nonsense and every mask empty."""
    if torch.isnan(logits).any():
        raise CheckpointError(
            "The model computes values that are not finite. Its weights are damaged, or too large for float16: "
            "use --dtype float32, or download the checkpoint again."
        )


#: Chooses the next token from its logits (V,).
Choose = Callable[[Tensor], int]


def chooser(temperature: float = 0.0, seed: int = 0) -> Choose:
    """`choose_token` for the tokens of one answer."""
    return partial(choose_token, temperature=temperature, generator=torch.Generator().manual_seed(seed))


def choose_token(logits: Tensor, temperature: float, generator: torch.Generator | None) -> int:
    """Greedy at temperature 0, otherwise sampled from the softmax of `logits / temperature`."""
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    return int(torch.multinomial(probabilities, 1, generator=generator))
