"""Decoding passes at fixed addresses and shapes, which an NVIDIA GPU captures once and then replays.

A decoding pass is hundreds of small kernels, and a GPU would wait for Python to launch each. A CUDA graph launches all
of them at once, but it can only read and write where it did when it was captured. So keys and values of the
conversation that decodes are mirrored in buffers of a fixed size, and every pass reads WIDTH tokens, of which the last
ones may be padding. The conversation's own growing cache gets the new keys and values after each pass, so everything
else, the mask pass too, goes on as without.

Shapes: W tokens of a pass, C tokens of the buffers, V words.
"""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from stamp.errors import CheckpointError
from stamp.inference.drafting import MOST_GUESSED_TOKENS
from stamp.model.modeling_stamp import StampForSegmentation

#: Tokens of a pass: a chosen one and its guessed successors.
WIDTH = 1 + MOST_GUESSED_TOKENS
#: The longest conversation, in tokens; a longer one decodes without captured passes. 117 MB for the 2B in bfloat16.
CAPACITY = 4096
#: How far logits may be from those of a usual pass, relative to the largest: kernels and their order of sums differ.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05, torch.float16: 0.01}


def check_decoding(decoding: str, device: torch.device) -> None:
    """Raise CheckpointError for an unknown way of decoding, or one that the device does not have."""
    if decoding not in ("eager", "captured"):
        raise CheckpointError(f"decoding must be eager or captured, got {decoding!r}.")
    if decoding == "captured" and device.type != "cuda":
        raise CheckpointError(f"--decoding captured needs an NVIDIA GPU, and the model is on {device}: leave it out.")


def capture_steps(model: StampForSegmentation, decoding: str, quantization: str) -> "CapturedSteps | None":
    """The captured passes that a loaded model is to decode with, if any. Raises CheckpointError."""
    check_decoding(decoding, model.device)
    if decoding == "eager":
        return None
    if quantization != "none":
        raise CheckpointError(f"--decoding captured is not for weights in {quantization}: leave one of them out.")
    return CapturedSteps(model)


class _FixedLayer(DynamicLayer):
    """Keys and values of one layer, (1, heads, C, D), written at `places`, (W,), and read as a whole."""

    def __init__(self, of: Tensor, capacity: int, places: Tensor):
        super().__init__()  # type: ignore[no-untyped-call]
        batch, heads, _, width = of.shape
        self.keys, self.values = (of.new_zeros(batch, heads, capacity, width) for _ in range(2))
        self.places = places
        self.is_initialized = True

    def filled(self, length: int) -> tuple[Tensor, Tensor]:
        """Views of the first keys and values, (1, heads, length, D)."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys[:, :, :length], self.values[:, :, :length]

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """(1, heads, W, D) new keys and values -> all, (1, heads, C, D)."""
        assert self.keys is not None
        assert self.values is not None
        self.keys.index_copy_(2, self.places, key_states)
        self.values.index_copy_(2, self.places, value_states)
        return self.keys, self.values


class CapturedSteps:
    """Decoding passes of one model. Not thread-safe: hold the model's lock. capture: False runs them without a graph.

    Raises CheckpointError if the passes cannot be captured, or compute something else than usual passes.
    """

    def __init__(self, model: StampForSegmentation, capacity: int = CAPACITY, *, capture: bool = True):
        self.model = model
        self.capacity = min(capacity, model.config.text_config.max_position_embeddings)
        device = model.device
        self._ids = torch.zeros(1, WIDTH, dtype=torch.long, device=device)
        self._positions = torch.zeros(3, 1, WIDTH, dtype=torch.long, device=device)
        self._steps = torch.arange(WIDTH, device=device)
        self._places = self._steps.clone()
        self._keys_at = torch.arange(self.capacity, device=device)
        self._buffers: list[_FixedLayer] = []
        self._cache = DynamicCache(config=model.config)  # of the buffers
        self._mirrored: weakref.ref[DynamicCache] | None = None
        self._known = 0  # tokens of the mirrored cache that the buffers hold
        self._graph: torch.cuda.CUDAGraph | None = None
        self._logits = torch.empty(0)
        with torch.inference_mode():
            try:
                self._make_buffers()
                if capture:
                    self._capture()
            except RuntimeError as error:
                message = f"This GPU cannot capture decoding passes: leave --decoding captured out ({error})."
                raise CheckpointError(message) from error
            self._compare()

    def fits(self, cache: DynamicCache, n_tokens: int) -> bool:
        """Whether a pass can read that many tokens after the cache's."""
        return n_tokens <= WIDTH and cache.get_seq_length() + WIDTH <= self.capacity

    def logits(self, ids: Sequence[int], position: int, cache: DynamicCache) -> Tensor:
        """(n, V) logits after each of n tokens, which the cache then holds. position: rotary, of the first one."""
        n_tokens, length = len(ids), cache.get_seq_length()
        self._mirror(cache, length)
        self._ids[0, :n_tokens] = torch.tensor(ids, device=self._ids.device)
        self._ids[0, n_tokens:] = 0
        self._positions.copy_((position + self._steps).expand(3, 1, -1))
        self._places.copy_(length + self._steps)
        if self._graph is None:
            self._logits = self._forward()
        else:
            self._graph.replay()
        grown: list[Any] = list(cache.layers)
        for layer, own in zip(grown, self._buffers, strict=True):
            keys, values = own.filled(length + n_tokens)
            layer.update(keys[:, :, length:], values[:, :, length:])
        self._known = length + n_tokens
        return self._logits[:n_tokens].clone()

    def forget(self) -> None:
        """Mirror the next cache from its start: a usual pass has changed the last one."""
        self._mirrored = None

    def _mirror(self, cache: DynamicCache, length: int) -> None:
        """Copy to the buffers what they lack of a cache: nothing, if they have taken part in all of its passes."""
        if self._mirrored is None or self._mirrored() is not cache or self._known < length:
            known: list[Any] = list(cache.layers)
            for layer, own in zip(known, self._buffers, strict=True):
                keys, values = own.filled(length)
                keys.copy_(layer.keys)
                values.copy_(layer.values)
            self._mirrored = weakref.ref(cache)

    def _forward(self) -> Tensor:
        """(W, V) logits of the tokens in `_ids`."""
        allowed = self._keys_at <= self._places.view(1, 1, -1, 1)
        embeds = self.model.embed_prompt(self._ids, None)
        hidden = self.model.text_pass(embeds, self._positions, self._cache, allowed)
        logits: Tensor = self.model.lm_head(hidden[0])
        return logits

    def _make_buffers(self) -> None:
        """A usual pass shows the shape of each layer's keys."""
        usual = DynamicCache(config=self.model.config)
        self.model.text_pass(self.model.embed_prompt(self._ids, None), self._positions, usual)
        layers: list[Any] = list(usual.layers)
        self._buffers = [_FixedLayer(layer.keys, self.capacity, self._places) for layer in layers]
        self._cache.layers = [*self._buffers]

    def _capture(self) -> None:
        """Record the pass; the first ones, outside the graph, let libraries prepare."""
        with torch.cuda.device(self.model.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self._forward()
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._logits = self._forward()

    def _compare(self) -> None:
        """Raise CheckpointError unless a pass after another one computes what a usual pass does."""
        words = torch.arange(2 * WIDTH, device=self._ids.device).unsqueeze(0) % self.model.config.text_config.vocab_size
        usual, own = (DynamicCache(config=self.model.config) for _ in range(2))
        first = self.model.embed_prompt(words, None)
        positions = torch.arange(2 * WIDTH, device=words.device).expand(3, 1, -1)
        expected = self.model.lm_head(self.model.text_pass(first, positions, usual)[0])[WIDTH:]
        self.model.text_pass(first[:, :WIDTH], positions[:, :, :WIDTH], own)
        found = self.logits(words[0, WIDTH:].tolist(), WIDTH, own)
        self.forget()
        difference = float((found - expected).abs().max() / expected.abs().max())
        if not difference <= TOLERANCE[self.model.dtype]:
            raise CheckpointError(
                f"Captured decoding passes compute other logits than usual ones here (by {difference:.1%} of the "
                "largest): leave --decoding captured out."
            )
