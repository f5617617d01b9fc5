"""What a benchmark asks: a picture, a prompt, and the right answer.

Readers make samples without opening pictures or decoding masks; a sample does both on demand.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from stamp.pictures.images import ImageError, load_image
from stamp.pictures.masks import Mask


class DatasetError(ValueError):
    """A dataset, or one of its samples, cannot be used. The message says what is wrong and what to do."""


@dataclass(frozen=True)
class Truth:
    """The reference for a predicted mask, at the picture's size.

    mask: bool (H, W), the union of everything the prompt asks for. ignore: bool (H, W), pixels not counted; or None.
    """

    mask: Mask
    ignore: Mask | None = None


@dataclass(frozen=True)
class Sample:
    """One request about one picture.

    id: unique within its dataset and split. prompt: the whole sentence a person would type. phrase: the bare referring
    expression in it, for methods with their own prompt; None if the prompt contains none. problem: why its annotation
    cannot be used, or None; such a sample is not run, and its records are errors with this sentence.
    """

    dataset: str
    split: str
    id: str
    kind: str
    image: Path
    prompt: str
    problem: str | None = field(default=None, kw_only=True)

    def load_image(self) -> Image.Image:
        """The upright RGB picture. Raises DatasetError, which names the file or the sample's problem."""
        if self.problem is not None:
            raise DatasetError(self.problem)
        try:
            return load_image(self.image)
        except ImageError as error:
            raise DatasetError(f"{self.image.name}: {error}") from error


@dataclass(frozen=True)
class MaskSample(Sample):
    """A request for a mask. no_target: nothing in the picture matches, so the right mask is empty.

    truth: decodes the annotation; raises DatasetError if it is unusable.
    """

    no_target: bool
    truth: Callable[[], Truth]
    phrase: str | None = None


@dataclass(frozen=True)
class QuestionSample(Sample):
    """A question that is answered in words; `stamp.training.talk.answers` decides when an answer is right.

    accepted: forms of the right answer. rivals: wrong answers, each with all its forms.
    """

    accepted: tuple[str, ...]
    rivals: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Dataset:
    """Samples in a fixed order, split by split.

    files: the files that define them (annotations, and pictures if there are few); hashed for the record.
    """

    name: str
    splits: tuple[str, ...]
    samples: tuple[Sample, ...]
    files: tuple[Path, ...]
