"""Keeps data of earlier turns: vision features of pictures and KV caches of conversations, limited in bytes.

A follow-up question feeds only what is new. Whatever was dropped is computed again, and the answer is the same.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

from PIL import Image
from torch import Tensor
from transformers import DynamicCache

from stamp.conversation import EncodedImage

DEFAULT_BYTES = 1_000_000_000


def default_bytes(weight_bytes: int) -> int:
    """How much the conversations of a model may take: as much as its weights, which is a dozen with the nano."""
    return min(DEFAULT_BYTES, weight_bytes)


@dataclass(frozen=True)
class Prefix:
    """A KV cache and its tokens. ids: as many as the cache is long; features: of all images of the conversation."""

    cache: DynamicCache
    ids: tuple[int, ...]
    features: tuple[Tensor, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of keys, values and vision features."""
        layers: list[Any] = list(self.cache.layers)
        tensors = [tensor for layer in layers for tensor in (layer.keys, layer.values)]
        tensors += self.features
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)


class ConversationCache:
    """The most recent conversations; the oldest is dropped first. Thread-safe.

    A prefix is taken out while an answer extends it, so two answers never share one.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES):
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._prefixes: list[Prefix] = []
        self._images: OrderedDict[bytes, EncodedImage] = OrderedDict()
        self._forgotten: WeakValueDictionary[int, Tensor] = WeakValueDictionary()

    @property
    def n_bytes(self) -> int:
        """Memory in use."""
        return sum(prefix.n_bytes for prefix in self._prefixes) + self._image_bytes()

    def take(self, ids: Sequence[int], images: Sequence[EncodedImage]) -> DynamicCache | None:
        """Keys and values of the longest cached prefix, at least one token shorter than the conversation; or None."""
        with self._lock:
            usable = [prefix for prefix in self._prefixes if _same(prefix.features, images[: len(prefix.features)])]
            best = max(usable, key=lambda prefix: _common(prefix.ids, ids), default=None)
            if best is None or (length := min(_common(best.ids, ids), len(ids) - 1)) == 0:
                return None
            self._prefixes.remove(best)
        if length < len(best.ids):
            best.cache.crop(length - len(best.ids))
        return best.cache

    def put(self, prefix: Prefix) -> None:
        """Keep a prefix as the newest; older ones are dropped until all fit. One of a forgotten image is not kept."""
        with self._lock:
            if any(id(features) in self._forgotten for features in prefix.features):
                return
            self._prefixes.append(prefix)
            while self._prefixes and self.n_bytes > self.max_bytes:
                self._prefixes.pop(0)

    def forget(self, image: EncodedImage) -> None:
        """Drop an image and the conversations about it, also one that an answer in progress extends."""
        with self._lock:
            self._forgotten[id(image.embeds)] = image.embeds
            self._prefixes = [
                prefix for prefix in self._prefixes if all(one is not image.embeds for one in prefix.features)
            ]
            for digest, kept in list(self._images.items()):
                if kept.embeds is image.embeds:
                    del self._images[digest]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._prefixes.clear()
            self._images.clear()

    def find_image(self, image: Image.Image) -> tuple[bytes, EncodedImage | None]:
        """(digest, features or None) of a picture, looked up by its pixels."""
        digest = hashlib.sha256(repr((image.mode, image.size)).encode() + image.tobytes()).digest()
        with self._lock:
            found = self._images.get(digest)
            if found is None:
                return digest, None
            self._images.move_to_end(digest)
        return digest, replace(found, image=image)

    def keep_image(self, digest: bytes, image: EncodedImage) -> None:
        """Keep a picture's features, not its pixels; they may take a quarter of the memory."""
        with self._lock:
            self._images[digest] = replace(image, image=Image.new("RGB", (1, 1)))
            while len(self._images) > 1 and self._image_bytes() > self.max_bytes // 4:
                self._images.popitem(last=False)

    def _image_bytes(self) -> int:
        return sum(image.embeds.nbytes for image in self._images.values())


def _same(features: Sequence[Tensor], images: Sequence[EncodedImage]) -> bool:
    return len(features) == len(images) and all(x is y.embeds for x, y in zip(features, images, strict=True))


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix."""
    for index, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return index
    return min(len(a), len(b))
