"""Training with shared mask tokens: which masks of a row, what they attend to, and that a few steps help."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stamp.model.processing_stamp import StampProcessor
from stamp.predictor import StampPredictor
from stamp.training.learning.attention_targets import Head, Mention, shared_attention
from stamp.training.learning.config import Stage, TrainingConfig
from stamp.training.learning.data import BatchMaker, BatchPlan, _answer_with
from stamp.training.learning.mask_objective import AllMask, SharedMasks
from stamp.training.learning.objectives import any_loss, mask_loss, run_rows, which_loss
from stamp.training.learning.trainer import Trainer
from stamp.training.scenes.art import ArtLibrary
from tests.narrow import narrow_model
from tests.training.conftest import STYLES

PLAN = BatchPlan(6, 2, 3, 0, 0, seed_offset=0, styles=STYLES, earlier=0.75, most_earlier=2)
STAGE = Stage("masks", "joint", PLAN, 60, 1e-2, 0.0, warmup_steps=1, decay_share=0.1)


def make(library: ArtLibrary, narrow: Path, out: Path) -> Trainer:
    config = TrainingConfig((STAGE,), precision="float32")
    return Trainer(config, library, out, torch.device("cpu"), init_from=narrow, workers=0, masks=SharedMasks())


def test_all_masks_of_the_answer_with_a_mask() -> None:
    assert [_answer_with(mask, [1, 0, 3, 2]) for mask in range(6)] == [
        range(1),
        *[range(1, 4)] * 3,
        *[range(4, 6)] * 2,
    ]


def test_a_row_trains_every_seg_of_one_of_its_answers(library: ArtLibrary, processor: StampProcessor) -> None:
    maker = BatchMaker(PLAN, processor, library, 8, masks=SharedMasks())
    numbers = set()
    for step in range(8):
        rows = maker[step].mask_rows
        assert rows is not None
        assert rows.seg_index is not None
        for ids, answer, segs in zip(rows.input_ids, rows.is_answer, rows.seg_index, strict=True):
            wanted = segs[segs >= 0].tolist()
            start, end = wanted[0], wanted[-1]
            while answer[start - 1]:
                start -= 1
            while end + 1 < len(ids) and answer[end + 1]:
                end += 1
            assert wanted == [n for n in range(start, end + 1) if ids[n] == processor.seg_token_id]
            numbers.add(len(wanted))
    assert numbers == {1, 2, 3}


def test_mask_tokens_attend_to_the_noun_of_each_object_and_a_seg_to_its_cells() -> None:
    """Three cells: one of both objects, one half of the second, one of both so that their shares exceed a whole."""
    mentions = [Mention(4, 5, (1,)), Mention(9, 9, (2,)), Mention(14, 14, (1,))]
    first, second = np.array([0.25, 0.0, 1.0]), np.array([0.5, 0.5, 1.0])
    found = list(shared_attention(mentions, (7, 11), (first, second), 2, 20))
    assert [(target.head, target.query) for target in found] == [
        (Head.FOUND, 7),
        (Head.FOUND, 11),
        (Head.NAMED, 20),
        (Head.NAMED, 21),
        (Head.NAMED, 22),
    ]
    of_segs = [dict(zip(target.keys, target.weights, strict=True)) for target in found[:2]]
    assert of_segs == [{2: 0.2, 4: 0.8, 0: 0.0}, {2: 0.25, 3: 0.25, 4: 0.5, 0: 0.0}]
    assert [dict(zip(target.keys, target.weights, strict=True)) for target in found[2:]] == [
        {5: 0.25, 9: 0.5, 0: 0.25},
        {5: 0.0, 9: 0.5, 0: 0.5},
        {5: 0.5, 9: 0.5, 0: 0.0},
    ]


def test_the_model_starts_as_stamps_own_with_a_head_of_its_own(processor: StampProcessor) -> None:
    separate = AllMask().adopt(narrow_model(processor), processor).state_dict()
    shared, again = (SharedMasks().adopt(narrow_model(processor), processor).state_dict() for _ in range(2))
    assert {name for name in shared if name not in separate} == {name for name in shared if "shared_masks" in name}
    assert all(torch.equal(shared[name], value) for name, value in separate.items())
    assert all(torch.equal(shared[name], value) for name, value in again.items())


def test_the_loss_is_the_mean_over_all_masks(library: ArtLibrary, narrow: Path, tmp_path: Path) -> None:
    run = make(library, narrow, tmp_path)
    batch = next(run._batches(STAGE, 0))
    rows = batch.mask_rows
    assert rows is not None
    assert rows.seg_index is not None
    assert rows.target is not None
    assert rows.seg_index.shape[1] > 1
    with torch.no_grad():
        torch.nn.init.normal_(run.model.shared_masks.of_cells.weight)
        losses, _ = run.losses(STAGE, batch)
        flat = run_rows(run.model, rows, batch, run.features(batch)).mask_logits
        image = rows.image_index
        padded = run.model.forward_rows(
            rows.input_ids, rows.attention_mask, run.features(batch)[image], batch.grid_thw[image], rows.seg_index
        ).mask_logits
    assert flat is not None
    assert padded is not None
    expected = [
        padded[row, number]
        for row, segs in enumerate(rows.seg_index.tolist())
        for number in range(sum(n >= 0 for n in segs))
    ]
    assert torch.equal(flat, torch.stack(expected))
    one_by_one = [mask_loss(a[None], b[None]) for a, b in zip(flat, rows.target, strict=True)]
    assert float(losses["mask"]) == pytest.approx(float(torch.stack(one_by_one).mean()), rel=1e-5)
    masks_of_rows = [sum(n >= 0 for n in segs) for segs in rows.seg_index.tolist()]
    for name, loss in (("which", which_loss), ("any", any_loss)):
        assert float(losses[name]) == pytest.approx(float(loss(flat, rows.target, masks_of_rows)), rel=1e-5)


def test_a_shared_head_can_be_trained_one_mask_at_a_time(library: ArtLibrary, narrow: Path, tmp_path: Path) -> None:
    run = make(library, narrow, tmp_path)
    maker = BatchMaker(PLAN, run.processor, library, 1)
    rows = maker[0].mask_rows
    assert rows is not None
    assert rows.target is not None
    logits = run_rows(run.model, rows, maker[0], run.features(maker[0])).mask_logits
    assert logits is not None
    assert logits.shape == rows.target.shape


def test_a_few_steps_lower_the_loss_and_the_checkpoint_has_the_head(
    library: ArtLibrary, narrow: Path, tmp_path: Path
) -> None:
    """The same few pictures again and again."""
    run = make(library, narrow, tmp_path)
    batch = next(run._batches(STAGE, 0))
    run.start(STAGE)
    steps = [run.train_step(STAGE, step, batch) for step in range(STAGE.steps)]
    assert steps[-1]["mask"] < 0.75 * steps[0]["mask"]
    assert steps[-1]["text"] < 0.75 * steps[0]["text"]
    assert bool(run.model.shared_masks.of_cells.weight.any())
    run.progress.step = STAGE.steps
    run.save()
    loaded = StampPredictor.from_pretrained(tmp_path / "model", device="cpu", dtype="float32").model
    assert loaded.shares_mask_tokens
    weight = run.model.shared_masks.of_cells.weight.detach()
    assert torch.equal(loaded.shared_masks.of_cells.weight, weight.bfloat16().float())
    again = make(library, narrow, tmp_path)
    assert again.resume()
    assert torch.equal(again.model.shared_masks.of_cells.weight, weight)
    again.masks = AllMask()
    with pytest.raises(ValueError, match="another mask objective"):
        again.resume()
