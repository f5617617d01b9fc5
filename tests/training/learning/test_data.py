"""Batches: what is trained on which token, against the words they were made of."""

import numpy as np
import pytest
import torch

from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.scenes.art import ArtLibrary
from stamp.training.scenes.scenes import SceneConfig, compose_scene
from tests.training.conftest import NOUNS, STYLES

PLAN = BatchPlan(12, 2, 2, 1, 3, seed_offset=0, styles=STYLES)


@pytest.fixture(scope="module")
def maker(library: ArtLibrary, processor: StampProcessor) -> BatchMaker:
    return BatchMaker(PLAN, processor, library, steps=10)


def test_a_batch_is_a_function_of_its_step(maker: BatchMaker) -> None:
    first, again, other = maker[3], maker[3], maker[6]
    for name, value in vars(first).items():
        pairs = vars(value).items() if name.endswith("rows") else [(name, value)]
        for key, tensor in pairs:
            twin = getattr(getattr(again, name), key) if name.endswith("rows") else getattr(again, name)
            assert tensor is twin is None or torch.equal(tensor, twin)
    assert first.pixel_values is not None
    assert other.pixel_values is not None
    assert not torch.equal(first.pixel_values, other.pixel_values)


def test_only_answers_are_trained_and_each_ends_its_turn(maker: BatchMaker) -> None:
    tokenizer = maker.processor.tokenizer
    for rows, n_answers in ((maker[0].mask_rows, range(1, 9)), (maker[0].text_rows, (3,))):
        assert rows is not None
        for ids, answer, real in zip(rows.input_ids, rows.is_answer, rows.attention_mask, strict=True):
            text = str(tokenizer.decode(ids[real.bool()]))
            answers = [piece.split("<|im_end|>\n")[0] for piece in text.split("<|im_start|>assistant\n")[1:]]
            assert len(answers) in n_answers
            assert tokenizer.decode(ids[answer]) == "".join(f"{words}<|im_end|>" for words in answers)


def test_mask_rows_point_at_a_seg_and_its_objects(maker: BatchMaker) -> None:
    for step in range(3):
        batch = maker[step]
        rows = batch.mask_rows
        assert rows is not None
        assert rows.seg_index is not None
        assert rows.target is not None
        picked = rows.input_ids[torch.arange(len(rows.input_ids)), rows.seg_index]
        assert picked.tolist() == [maker.processor.seg_token_id] * 4
        assert rows.image_index.tolist() == [0, 0, 1, 1]
        assert rows.target.shape == (4, batch.coverage.shape[1])
        assert float(rows.target.min()) >= 0
        assert float(rows.target.max()) <= 1
        assert (rows.target.sum(1) > 1).all()


def test_places_are_where_the_object_of_a_cell_is(maker: BatchMaker, library: ArtLibrary) -> None:
    """The centre of its box for a cell of one object, the cell's own centre for one of background, from -1 to 1."""
    batch = maker[0]
    kinds = {"object": 0, "background": 0}
    for index, places in enumerate(batch.places.tolist()):
        scene = compose_scene(index, library, SceneConfig(STYLES, 192, 192))
        for cell, place in enumerate(places):
            top, left = 16 * (cell // 12), 16 * (cell % 12)
            shown = np.unique(scene.labels[top : top + 16, left : left + 16]).tolist()
            if shown == [0]:
                assert place == pytest.approx([(left + 8) / 96 - 1, (top + 8) / 96 - 1], abs=1e-6)
                kinds["background"] += 1
            elif len(shown) == 1:
                x1, y1, x2, y2 = scene.objects[shown[0] - 1].box_xyxy
                assert place == pytest.approx([(x1 + x2) / 192 - 1, (y1 + y2) / 192 - 1], abs=1e-6)
                kinds["object"] += 1
    assert min(kinds.values()) > 10


def test_a_batch_of_dialogue_has_no_mask_rows(library: ArtLibrary, processor: StampProcessor) -> None:
    plan = BatchPlan(6, 2, 0, 1, 4, seed_offset=0, styles=STYLES, checklists=0.3, requests=0.3)
    batch = BatchMaker(plan, processor, library, 1, pictures=False)[0]
    assert batch.mask_rows is None
    assert batch.pixel_values is None
    assert batch.text_rows is not None
    assert batch.text_rows.target is None
    assert batch.text_rows.seg_index is None
    assert batch.text_rows.image_index.tolist() == [0, 1]


def test_seeds_stay_in_the_training_range(library: ArtLibrary, processor: StampProcessor) -> None:
    plan = BatchPlan(12, 2, 0, 0, 0, seed_offset=10**9 - 4, styles=STYLES)
    BatchMaker(plan, processor, library, steps=2)
    with pytest.raises(ValueError, match=r"scenes outside range\(0, 1000000000\)"):
        BatchMaker(plan, processor, library, steps=3)


def test_the_tokenizer_has_the_published_order_and_plain_user_text(processor: StampProcessor) -> None:
    special = processor.tokenizer.get_added_vocab()
    ordered = sorted(special, key=lambda token: special[token])
    assert ordered[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert ordered[-6:] == ["<|image_pad|>", "<|video_pad|>", "<|seg|>", "<|mask|>", "<|yes|>", "<|no|>"]
    assert sorted(special.values()) == list(range(len(processor.tokenizer) - 18, len(processor.tokenizer)))
    for noun in NOUNS:
        assert processor.decode(processor.encode_plain(f" {noun.name} é 你好 🙂")) == f" {noun.name} é 你好 🙂"
    typed = "a <|seg|> and <|im_end|> <|image_pad|>"
    assert not set(processor.encode_plain(typed)) & set(special.values())
