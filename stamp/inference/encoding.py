"""Computes the vision features of images, or takes them from the cache; can shrink an image first."""

from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor

from stamp.conversation import EncodedImage, ImageLike, Turn
from stamp.inference.conversation_cache import ConversationCache
from stamp.inference.generation import PhaseClock
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.pictures.images import ImageLimits, load_image


class ImageEncoder:
    """Encodes images with the vision tower of one model. The seconds are those of the clock's phase "vision"."""

    def __init__(self, model: StampForSegmentation, processor: StampProcessor, limits: ImageLimits):
        self.model = model
        self.processor = processor
        self.limits = limits

    def encode(self, image: ImageLike, clock: PhaseClock, cache: ConversationCache | None = None) -> EncodedImage:
        """Load, check and encode, unless the features are given or in the cache. Raises ImageError."""
        if isinstance(image, EncodedImage):
            if image.model_id != id(self.model):
                raise ValueError("this EncodedImage was made by another predictor; encode the image again")
            return image
        picture = load_image(image, self.limits)
        if cache is None:
            return self.encode_picture(picture, clock)[0]
        digest, encoded = cache.find_image(picture)
        if encoded is None:
            encoded, _ = self.encode_picture(picture, clock)
            cache.keep_image(digest, encoded)
        return encoded

    def encode_smaller(self, image: ImageLike, clock: PhaseClock, share: float) -> EncodedImage:
        """Encode the image, loaded and checked, at a share of its pixels. Raises ImageError."""
        picture = image.image if isinstance(image, EncodedImage) else load_image(image, self.limits)
        return self.encode_picture(picture, clock, share)[0]

    def with_smaller(self, turn: Turn, clock: PhaseClock, share: float) -> Turn:
        """The turn with its image, if it has one, encoded at a share of its pixels."""
        return turn if turn.image is None else replace(turn, image=self.encode_smaller(turn.image, clock, share))

    def encode_picture(
        self, picture: Image.Image, clock: PhaseClock, share: float = 1.0
    ) -> tuple[EncodedImage, Tensor]:
        """(vision features, the patches (n, patch_dim) on the model's device from which they were made).

        share: of the pixels that the picture would have after resizing.
        """
        before = clock.seconds.get("vision", 0.0)
        with torch.inference_mode(), clock.phase("vision"):
            patches, grid = self.processor.encode_image(picture, share)
            patches = patches.to(self.model.device)
            (embeds,) = self.model.encode_images(patches, grid.to(self.model.device))
        grid_hw, vision_s = self.model.merged_grid(grid[0]), clock.seconds["vision"] - before
        return EncodedImage(picture, embeds, grid, grid_hw, vision_s, id(self.model)), patches
