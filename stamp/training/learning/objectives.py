"""The losses: cross-entropy on the words of answers, BCE + Dice on masks, cross-entropy on the nouns of image cells."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stamp.model.modeling_stamp import StampForSegmentation, StampRowsOutput
from stamp.model.processing_stamp import StampProcessor
from stamp.model.shared_masks import SHARPNESS
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.cells import N_ATTRIBUTES
from stamp.training.scenes.groups import Group, Lexicon
from stamp.training.scenes.nouns import Noun

BCE_WEIGHT, DICE_WEIGHT, DICE_SMOOTH = 0.3, 0.7, 1.0
#: Length of a noun's vector among image features, close to that of word embeddings. Without this limit, features grow
#: thirty times as long and drown what the text layers add to a mask token, so that every mask becomes "any object".
WORD_FEATURE_NORM = 3.0
#: Length that an attribute of value 1 adds: the object's place and size.
ATTRIBUTE_FEATURE_NORM = 2.0
#: Directions kept free of nouns, so that attributes can be added without moving the existing ones.
N_DIRECTIONS = 9
#: Length of the common part of all nouns' vectors: "here is an object".
OBJECT_FEATURE_NORM = 1.5
#: Weights of a noun's synonyms and of its groups, relative to its own name.
SYNONYM_WEIGHT, GROUP_WEIGHT = 0.7, 0.6
#: Words in the names of groups that say nothing about their members.
EMPTY_WORDS = frozenset(
    ("something", "things", "you", "can", "that", "of", "piece", "pieces", "the", "in", "on", "with")
    + ("has", "have", "gives", "give", "lives", "live", "tells", "tell", "play")
)


def run_rows(model: StampForSegmentation, rows: Rows, batch: Batch, embeds: Tensor) -> StampRowsOutput:
    """The forward pass of some rows of a batch. embeds: (N, P, H) image features of all its images.

    `mask_logits` has a row for each row of `Rows.target`.
    """
    image, segs = rows.image_index, rows.seg_index
    output = model.forward_rows(
        rows.input_ids, rows.attention_mask, embeds[image], batch.grid_thw[image], segs, rows.dialogues
    )
    if segs is not None and model.shares_mask_tokens:
        assert output.mask_logits is not None
        output.mask_logits = output.mask_logits[segs.view(len(segs), -1) >= 0]
    return output


def mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """0.3 BCE + 0.7 Dice per mask: (S, P) logits, (S, P) targets 0..1 -> (S,) losses.

    Dice uses the sigmoid, smooth 1, not squared (arXiv 2512.00395; fixture `train/`). A batch averages over masks.
    """
    logits, target = logits.float(), target.float()
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(1)
    probability = logits.sigmoid()
    overlap = 2 * (probability * target).sum(1) + DICE_SMOOTH
    dice = 1 - overlap / (probability.sum(1) + target.sum(1) + DICE_SMOOTH)
    return BCE_WEIGHT * bce + DICE_WEIGHT * dice


def joint_losses(logits: Tensor, target: Tensor, masks_of_rows: Sequence[int]) -> dict[str, Tensor]:
    """What masks that share mask tokens learn beside `mask_loss`; see `which_loss`."""
    return {
        "which": which_loss(logits, target, masks_of_rows),
        "any": any_loss(logits, target, masks_of_rows),
    }


def which_loss(logits: Tensor, target: Tensor, masks_of_rows: Sequence[int]) -> Tensor:
    """Cross-entropy of the targets that share mask tokens: whose is a cell that some target covers?

    logits, target: (S, P) of all masks, row by row; target is coverage 0..1; masks_of_rows: their numbers -> scalar,
    the mean over covered cells of rows with two targets or more, 0 without any. Where targets overlap, the cell
    belongs to each in equal parts. `mask_loss` has a sigmoid per target, so it hardly minds a mask of the wrong target.
    """
    loss, cells = logits.new_zeros((), dtype=torch.float32), 0.0
    for own, covered in _joint(logits.float(), target.float(), masks_of_rows):
        total = covered.sum(0)
        weight = total.clamp(max=1)
        shares = covered / total.clamp(min=1e-6)
        loss = loss - (weight * (shares * (own / SHARPNESS).log_softmax(0)).sum(0)).sum()
        cells += float(weight.sum())
    return loss / max(1.0, cells)


def any_loss(logits: Tensor, target: Tensor, masks_of_rows: Sequence[int]) -> Tensor:
    """`mask_loss` of all of a row's targets as one mask, see `which_loss`: does the cell belong to any of them?"""
    joint = _joint(logits, target, masks_of_rows)
    rows = [(own.amax(0), covered.sum(0).clamp(max=1)) for own, covered in joint]
    if not rows:
        return logits.new_zeros((), dtype=torch.float32)
    return mask_loss(torch.stack([own for own, _ in rows]), torch.stack([covered for _, covered in rows])).mean()


def _joint(logits: Tensor, target: Tensor, masks_of_rows: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """(S, P) logits and coverage of each row with two targets or more."""
    for own, covered in zip(logits.split(masks_of_rows), target.split(masks_of_rows), strict=True):
        if len(own) > 1:
            yield own, covered


@torch.no_grad()
def grid_ious(logits: Tensor, target: Tensor) -> Tensor:
    """(S,) IoU on the grid: logits > 0 against coverage >= 1/2, both (S, P); 1 for two empty masks."""
    predicted, wanted = logits > 0, target >= 0.5
    union = (predicted | wanted).sum(1)
    return torch.where(union == 0, 1.0, (predicted & wanted).sum(1) / union.clamp(min=1))


def answer_loss(hidden: Tensor, lm_head: nn.Module, input_ids: Tensor, is_answer: Tensor) -> Tensor:
    """Mean cross-entropy of the answer tokens only: (B, L, H) hidden states, (B, L) ids, (B, L) bool -> scalar.

    Each answer token is predicted from the position before it; prompt, image pads and padding are not trained.
    """
    wanted = is_answer[:, 1:]
    logits = lm_head(hidden[:, :-1][wanted])
    return functional.cross_entropy(logits.float(), input_ids[:, 1:][wanted])


def dense_loss(logits: Tensor, coverage: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each cell against the shares of nouns and background in it.

    (N, P, C) logits and coverage, (N, P) weights -> scalar: the weighted mean over cells.
    """
    losses = functional.cross_entropy(logits.float().flatten(0, 1), coverage.flatten(0, 1), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


@torch.no_grad()
def object_cell_accuracy(logits: Tensor, coverage: Tensor) -> Tensor:
    """Share of object cells (background below one half) with the largest logit at the noun that covers them most.

    (N, P, C) logits and coverage -> scalar.
    """
    on_object = coverage[..., 0] < 0.5
    return (logits.argmax(-1) == coverage.argmax(-1))[on_object].float().mean()


class NounFeatures(nn.Module):
    """The target of an image feature: the words for the noun in its cell, and the attributes of its object.

    A noun's vector sums the embeddings of its words: singular and plural, synonyms, and the groups it belongs to, so
    that "the animal" is found like a "horse". The mean of all nouns is subtracted, because it dominates and would make
    all nouns look alike; the rest is scaled to WORD_FEATURE_NORM, and the mean is added at length OBJECT_FEATURE_NORM.
    The background's vector is the embedding of `<|image_pad|>`, not zero, because the text model's RMSNorm would
    amplify a zero to noise. Attributes (`cells`) have their own directions, orthogonal to each other and to all nouns,
    so that "the leftmost" or "the biggest" can be read from an object's cells.
    """

    word_weights: Tensor
    directions: Tensor

    def __init__(self, processor: StampProcessor, model: StampForSegmentation, lexicon: Lexicon):
        super().__init__()
        weights = torch.zeros(len(lexicon.nouns) + 1, model.config.text_config.vocab_size)
        weights[0, model.config.image_token_id] = 1
        for noun, row in lexicon.numbers.items():
            for word, weight in word_shares(noun, lexicon.groups).items():
                token_ids = processor.encode_plain(f" {word}")
                for token_id in token_ids:
                    weights[row, token_id] += weight / len(token_ids)
        self.register_buffer("word_weights", weights, persistent=False)
        random = torch.randn(
            model.config.text_config.hidden_size, N_DIRECTIONS, generator=torch.Generator().manual_seed(0)
        )
        self.register_buffer("directions", torch.linalg.qr(random).Q.T.contiguous(), persistent=False)
        self.bias = nn.Parameter(torch.zeros(len(lexicon.nouns) + 1))

    def vectors(self, embeddings: Tensor) -> Tensor:
        """(V, H) embeddings -> (1 + nouns, H); row 0 is the background."""
        words = self.word_weights @ embeddings
        words = words - words @ self.directions.T @ self.directions
        common = words[1:].mean(0)
        own = WORD_FEATURE_NORM * functional.normalize(words - common, dim=-1)
        is_object = (torch.arange(len(own), device=own.device) > 0).unsqueeze(1)
        return own + OBJECT_FEATURE_NORM * functional.normalize(common, dim=-1) * is_object

    def ideal(self, coverage: Tensor, attributes: Tensor, embeddings: Tensor) -> Tensor:
        """The features of a perfect vision tower, without gradient.

        (N, P, 1 + nouns) coverage, (N, P, N_ATTRIBUTES), (V, H) embeddings -> (N, P, H).
        """
        marks = ATTRIBUTE_FEATURE_NORM * attributes @ self.directions[:N_ATTRIBUTES]
        return (coverage @ self.vectors(embeddings) + marks).detach()

    def classify(self, features: Tensor, embeddings: Tensor) -> Tensor:
        """(N, P, H) image features -> (N, P, 1 + nouns) logits; class 0 is the background."""
        return features @ self.vectors(embeddings).T + self.bias

    def marks_loss(self, states: Tensor, marks: Tensor) -> Tensor:
        """Mean squared error of the states along the first directions: (..., H), (..., marks) -> scalar."""
        shown = states @ self.directions[: marks.shape[-1]].T / ATTRIBUTE_FEATURE_NORM
        return functional.mse_loss(shown.float(), marks)


def word_shares(noun: Noun, groups: Sequence[Group]) -> dict[str, float]:
    """The words that make a noun's vector, with their weights. In "something you can eat" only "eat" counts."""
    group_words = (group.name.split() + group.plural.split() for group in groups if noun in group)
    shares = {word: GROUP_WEIGHT for words in group_words for word in words if word not in EMPTY_WORDS}
    shares |= dict.fromkeys((*noun.synonyms, *noun.synonym_plurals), SYNONYM_WEIGHT)
    return shares | {noun.name: 1.0, noun.plural: 1.0}
