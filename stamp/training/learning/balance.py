"""The balance between masks and refusals: one row of the word matrix, fitted after training.

The first word of an answer decides: "Sure" begins a mask, "There" begins "There is no apple in the image." Training
asks less often for what is absent than for what is there, so a trained model finds too readily. Everything else stays
as it is: a logistic regression, with what the model says already as its offset, moves the word vector of "There". It is
fitted on first questions about a picture; after others, the model hardly errs.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from stamp.checkpoints.provenance import provenance_of
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.batch import Batch, Rows
from stamp.training.learning.checkpoint import read_weights, write_derived
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.learning.nano import GRID
from stamp.training.learning.objectives import answer_loss, run_rows
from stamp.training.scenes.art import PHOTO_STYLE, ArtLibrary
from stamp.training.scenes.photographs import PhotoLibrary
from stamp.training.scenes.scenes import TRAIN_SEEDS, VALIDATION_SEEDS

#: Weight of a request for something absent, relative to all others, and of the squared length of the change. With a
#: ridge of 0.001 the vector, which is also the word's embedding, changes so much that nothing right follows it.
ABSENT_WEIGHT, RIDGE = 2.0, 0.03
#: Scenes for fitting and for measuring; no other stage uses them.
FIT_OFFSET, VALIDATION_OFFSET = 9 * 10**8, 45 * 10**4
REFUSAL, MASK = "There is no", "Sure"
PHOTOGRAPHS_SHARE = 0.4
RECORD_FILE = "balance.json"


@dataclass(frozen=True)
class FirstWords:
    """The first words of N answers, before they are chosen.

    hidden: (N, H) last hidden states. odds: (N,) logit of "There" minus the logsumexp of all other words' logits.
    is_there, is_absent, is_mask: (N,) bool; whether the right answer begins with "There", is a refusal, or a mask.
    """

    hidden: Tensor
    odds: Tensor
    is_there: Tensor
    is_absent: Tensor
    is_mask: Tensor

    def rates(self, change: Tensor | None = None) -> dict[str, float]:
        """Shares of requests that are declined: those for absent things, and those for things that are there.

        change: (H,) added to the word vector of "There".
        """
        says_there = (self.odds if change is None else self.odds + self.hidden @ change) > 0
        return {
            "absent": float(says_there[self.is_absent].float().mean()),
            "there": float(says_there[self.is_mask].float().mean()),
            "n_absent": int(self.is_absent.sum()),
            "n_there": int(self.is_mask.sum()),
        }


def read_rows(model: StampForSegmentation, batches: Iterable[Batch]) -> Iterator[tuple[Rows, Tensor]]:
    """The text rows of batches, with their (R, L, H) last hidden states."""
    for batch in batches:
        assert batch.pixel_values is not None
        assert batch.text_rows is not None
        embeds = torch.stack(model.encode_images(batch.pixel_values, batch.grid_thw))
        states = run_rows(model, batch.text_rows, batch, embeds).hidden_states
        assert states is not None
        yield batch.text_rows, states


@torch.no_grad()
def first_words(model: StampForSegmentation, processor: StampProcessor, batches: Iterable[Batch]) -> FirstWords:
    """Read the text rows of batches."""
    refusal = torch.tensor(processor.encode_plain(f"{REFUSAL} apple in the image.")[: len(REFUSAL.split())])
    mask_id = processor.encode_plain(MASK)[0]
    found: list[tuple[Tensor, ...]] = []
    for rows, states in read_rows(model, batches):
        row, before = (rows.is_answer[:, 1:] & ~rows.is_answer[:, :-1]).nonzero(as_tuple=True)
        hidden = states[row, before]
        logits = model.lm_head(hidden).float()
        others = logits.index_fill(1, refusal[:1], -torch.inf).logsumexp(-1)
        padded = functional.pad(rows.input_ids, (0, len(refusal)))
        words = torch.stack([padded[row, before + 1 + k] for k in range(len(refusal))], dim=1)
        is_absent = (words == refusal).all(1)
        odds = logits[:, refusal[0]] - others
        found.append((hidden.float(), odds, words[:, 0] == refusal[0], is_absent, words[:, 0] == mask_id))
    return FirstWords(*(torch.cat(values) for values in zip(*found, strict=True)))


@torch.no_grad()
def text_loss(model: StampForSegmentation, batches: Iterable[Batch]) -> float:
    """Mean cross-entropy of the words of all answers, so also of what follows a refusal's first word."""
    losses = []
    for rows, states in read_rows(model, batches):
        losses.append(float(answer_loss(states, model.lm_head, rows.input_ids, rows.is_answer)))
    return sum(losses) / len(losses)


def fit_change(found: FirstWords, absent_weight: float = ABSENT_WEIGHT, ridge: float = RIDGE) -> Tensor:
    """(H,) the change of the word vector of "There" that fits the first words best."""
    weights = torch.where(found.is_absent, absent_weight, 1.0)
    change = torch.zeros(found.hidden.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([change], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        odds = found.odds + found.hidden @ change
        loss = functional.binary_cross_entropy_with_logits(odds, found.is_there.float(), weights)
        loss = loss + ridge * change.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return change.detach()


@torch.no_grad()
def move_refusals(model: StampForSegmentation, processor: StampProcessor, change: Tensor) -> None:
    """Add a change to the word vector of "There", which is the embedding too if they are tied."""
    head: nn.Module = model.lm_head
    head.get_parameter("weight")[processor.encode_plain(REFUSAL)[0]] += change


def rebalance(model: Path, art: ArtLibrary, photographs: PhotoLibrary | None, n_batches: int, out: Path) -> str:
    """Fit a checkpoint on scenes, and write the new one and `balance.json` into `out`; returns the rates as JSON.

    The rates are measured on composed scenes of the validation seeds.
    """
    network = read_weights(StampForSegmentation, model).eval()
    processor = StampProcessor.from_pretrained(model)

    def batches(offset: int, seeds: range, photos: PhotoLibrary | None, n: int) -> DataLoader[Batch]:
        styles = tuple(style for style in art.styles if photos is not None or style != PHOTO_STYLE)
        share = 0.0 if photos is None else PHOTOGRAPHS_SHARE
        plan = BatchPlan(GRID, 8, 0, 1, 6, offset, styles, checklists=0.0, requests=0.7, photographs=share, apart=1.0)
        maker = BatchMaker(plan, processor, art, n, photographs=photos, seeds=seeds)
        return DataLoader(maker, batch_size=None, num_workers=1)

    fitting = batches(FIT_OFFSET, TRAIN_SEEDS, photographs, n_batches)
    unseen_batches = list(batches(VALIDATION_OFFSET, VALIDATION_SEEDS, None, max(1, n_batches // 5)))
    found = first_words(network, processor, tqdm(fitting, desc="first words", unit="batch"))
    unseen = first_words(network, processor, unseen_batches)
    change = fit_change(found)
    loss_before = text_loss(network, unseen_batches)
    move_refusals(network, processor, change)
    loss_after = text_loss(network, unseen_batches)
    write_derived(network, processor, model, out)
    record = {
        "absent_weight": ABSENT_WEIGHT,
        "ridge": RIDGE,
        "answers": len(found.odds),
        "length": float(change.norm()),
        "text_loss": {"before": loss_before, "after": loss_after},
        "declined": {"before": unseen.rates(), "after": unseen.rates(change)},
        **provenance_of(network.device),
    }
    text = json.dumps(record, indent=1) + "\n"
    (out / RECORD_FILE).write_text(text)
    return text
