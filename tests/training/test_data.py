"""Batches: what is trained on which token, against the words they were made of."""

import pytest
import torch

from stamp.training.art import ArtLibrary
from stamp.training.data import BatchMaker, BatchPlan
from stamp.training.nano import build_processor
from stamp.training.nouns import NOUNS
from tests.training.conftest import STYLES

PLAN = BatchPlan(12, 2, 2, 1, 3, seed_offset=0, styles=STYLES)


@pytest.fixture(scope="module")
def maker(library: ArtLibrary) -> BatchMaker:
    return BatchMaker(PLAN, build_processor(), library, steps=10)


def test_a_batch_is_a_function_of_its_step(maker: BatchMaker) -> None:
    first, again, other = maker[3], maker[3], maker[6]
    for name, value in vars(first).items():
        pairs = vars(value).items() if name.endswith("rows") else [(name, value)]
        for key, tensor in pairs:
            twin = getattr(getattr(again, name), key) if name.endswith("rows") else getattr(again, name)
            assert tensor is twin is None or torch.equal(tensor, twin)
    assert not torch.equal(first.pixel_values, other.pixel_values)


def test_only_answers_are_trained_and_each_ends_its_turn(maker: BatchMaker) -> None:
    tokenizer = maker.processor.tokenizer
    for rows, n_answers in ((maker[0].mask_rows, range(1, 9)), (maker[0].text_rows, (3,))):
        assert rows is not None
        for ids, answer, real in zip(rows.input_ids, rows.is_answer, rows.attention_mask, strict=True):
            text = tokenizer.decode(ids[real.bool()])
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


def test_seeds_stay_in_the_training_range(library: ArtLibrary) -> None:
    plan = BatchPlan(12, 2, 0, 0, 0, seed_offset=10**9 - 4, styles=STYLES)
    BatchMaker(plan, build_processor(), library, steps=2)
    with pytest.raises(ValueError, match=r"scenes outside range\(0, 1000000000\)"):
        BatchMaker(plan, build_processor(), library, steps=3)


def test_the_tokenizer_has_the_published_order_and_plain_user_text() -> None:
    processor = build_processor()
    special = processor.tokenizer.get_added_vocab()
    ordered = sorted(special, key=lambda token: special[token])
    assert ordered[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert ordered[-6:] == ["<|image_pad|>", "<|video_pad|>", "<|seg|>", "<|mask|>", "<|yes|>", "<|no|>"]
    assert sorted(special.values()) == list(range(len(processor.tokenizer) - 18, len(processor.tokenizer)))
    for noun in NOUNS:
        assert processor.decode(processor.encode_plain(f" {noun.name} é 你好 🙂")) == f" {noun.name} é 你好 🙂"
    typed = "a <|seg|> and <|im_end|> <|image_pad|>"
    assert not set(processor.encode_plain(typed)) & set(special.values())
