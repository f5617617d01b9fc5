"""STAMP: a multimodal model that answers in text and predicts a whole mask in one parallel forward pass.

The public names load on first use, so that `import stamp` stays instant.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from stamp.conversation import Done, EncodedImage, MaskComing, MaskReady, Segmentation, TextDelta, Turn
    from stamp.errors import PromptError
    from stamp.pictures.images import ImageError, ImageLimits
    from stamp.predictor import StampPredictor

_HOME = {
    "Done": "stamp.conversation",
    "EncodedImage": "stamp.conversation",
    "MaskComing": "stamp.conversation",
    "MaskReady": "stamp.conversation",
    "Segmentation": "stamp.conversation",
    "TextDelta": "stamp.conversation",
    "Turn": "stamp.conversation",
    "ImageError": "stamp.pictures.images",
    "ImageLimits": "stamp.pictures.images",
    "PromptError": "stamp.errors",
    "StampPredictor": "stamp.predictor",
}

__all__ = [
    "Done",
    "EncodedImage",
    "ImageError",
    "ImageLimits",
    "MaskComing",
    "MaskReady",
    "PromptError",
    "Segmentation",
    "StampPredictor",
    "TextDelta",
    "Turn",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'stamp' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
