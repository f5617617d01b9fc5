"""What a benchmark asks: a picture, a prompt, and what would be right.

Readers make samples without opening a picture or decoding a mask; both happen when a sample is asked for them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from stamp.pictures.images import ImageError, load_image
from stamp.pictures.masks import Mask


class DatasetError(ValueError):
    """A dataset, or one sample of it, that cannot be used. The message says what is wrong and what to do."""


@dataclass(frozen=True)
class Truth:
    """What a predicted mask is compared with, in the pixels of the picture.

    mask: bool (H, W), everything the prompt asks for, together. ignore: bool (H, W), pixels that do not count; or None.
    """

    mask: Mask
    ignore: Mask | None = None


@dataclass(frozen=True)
class Sample:
    """One request about one picture.

    id: unique within its dataset and split. prompt: the whole sentence a person would type. phrase: the bare referring
    expression in it, for methods with a prompt of their own; None where the prompt is not made around one. problem: why
    its annotation cannot be used, or None; such a sample is not asked, and its records are errors with this sentence.
    """

    dataset: str
    split: str
    id: str
    kind: str
    image: Path
    prompt: str
    problem: str | None = field(default=None, kw_only=True)

    def load_image(self) -> Image.Image:
        """The upright RGB picture. Raises DatasetError, which names the file, or says what is wrong with the sample."""
        if self.problem is not None:
            raise DatasetError(self.problem)
        try:
            return load_image(self.image)
        except ImageError as error:
            raise DatasetError(f"{self.image.name}: {error}") from error


@dataclass(frozen=True)
class MaskSample(Sample):
    """A request for a mask. no_target: nothing in the picture fits, the right mask is empty.

    truth: decodes the annotation; raises DatasetError where it is unusable.
    """

    no_target: bool
    truth: Callable[[], Truth]
    phrase: str | None = None


@dataclass(frozen=True)
class QuestionSample(Sample):
    """A question with words for an answer; `stamp.training.talk.answers` says when one is right.

    accepted: forms of the right answer. rivals: wrong answers, each with all its forms.
    """

    accepted: tuple[str, ...]
    rivals: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order, split by split.

    files: what defines them (annotations, and pictures where they are few); hashed for the record.
    """

    name: str
    splits: tuple[str, ...]
    samples: tuple[Sample, ...]
    files: tuple[Path, ...]
