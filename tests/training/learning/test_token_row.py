"""Dialogues side by side in one row: tokens, mentions and attention targets, against each dialogue alone."""

import torch

from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.attention_targets import AttentionTarget, Head, Mention
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.learning.token_row import TokenRow, side_by_side
from stamp.training.scenes.art import ArtLibrary
from tests.training.conftest import STYLES


def row(ids: list[int], mentions: list[Mention], attention: list[AttentionTarget]) -> TokenRow:
    return TokenRow(ids, [token > 20 for token in ids], mentions, attention, image_index=7)


def test_by_hand() -> None:
    """Tokens 1, 2, 3 are shared; tokens above 20 are answers."""
    first = row([1, 2, 3, 11, 21], [Mention(3, 3, (5,))], [AttentionTarget(Head.CELLS, 3, (1, 0), (0.5, 0.5))])
    second = row([1, 2, 3, 12, 13, 22, 23], [Mention(4, 4, (6,))], [AttentionTarget(Head.ASKED, 5, (4, 2), (0.9, 0.1))])
    third = row([1, 2, 3, 24], [], [])
    merged = side_by_side([first, second, third], shared=3)
    assert merged.input_ids == [1, 2, 3, 11, 21, 12, 13, 22, 23, 24]
    assert merged.dialogues == [0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
    assert merged.is_answer == [token > 20 for token in merged.input_ids]
    assert merged.mentions == [Mention(3, 3, (5,)), Mention(6, 6, (6,))]
    assert merged.attention == [*first.attention, AttentionTarget(Head.ASKED, 7, (6, 2), (0.9, 0.1))]
    assert merged.image_index == 7


def test_one_dialogue_stays_as_it_is() -> None:
    alone = row([1, 2, 21], [], [])
    assert side_by_side([alone], shared=2) is alone


def test_each_dialogue_of_a_batch_is_a_whole_conversation(library: ArtLibrary, processor: StampProcessor) -> None:
    plan = BatchPlan(6, 3, 0, 1, 8, seed_offset=0, styles=STYLES, requests=0.3, apart=0.7)
    rows = BatchMaker(plan, processor, library, 1, pictures=False)[0].text_rows
    assert rows is not None
    assert rows.dialogues is not None
    exchanges = []
    for ids, real, dialogues in zip(rows.input_ids, rows.attention_mask.bool(), rows.dialogues, strict=True):
        numbers = dialogues[real]
        shared = str(processor.tokenizer.decode(ids[real][numbers == 0]))
        assert shared.endswith("<|image_pad|><|vision_end|>")
        assert numbers.tolist() == sorted(numbers.tolist())
        dialogues_of_row = range(1, int(numbers.max()) + 1)
        assert len(dialogues_of_row) > 1
        for number in dialogues_of_row:
            text = str(processor.tokenizer.decode(ids[real][numbers == number]))
            question, answer = text.split("<|im_end|>\n<|im_start|>assistant\n", 1)
            assert "<|" not in question
            assert answer.endswith("<|im_end|>\n")
            exchanges.append(text.count("<|im_start|>assistant\n"))
    assert sum(exchanges) == 3 * 8
    assert max(exchanges) > 1  # some dialogues go on


def test_attention_stays_within_a_dialogue_and_what_all_share(library: ArtLibrary, processor: StampProcessor) -> None:
    plan = BatchPlan(6, 3, 0, 1, 8, seed_offset=0, styles=STYLES, apart=1.0)
    rows = BatchMaker(plan, processor, library, 1, pictures=False)[0].text_rows
    assert rows is not None
    assert rows.dialogues is not None
    _, row_of, query = rows.attention_index.unbind(1)
    mine, theirs = rows.dialogues[row_of, query].unsqueeze(1), rows.dialogues[row_of]
    assert not rows.attention_targets[(theirs != 0) & (theirs != mine)].any()
    torch.testing.assert_close(rows.attention_targets.sum(1), torch.ones(len(query)))


def test_a_plan_without_dialogues_apart_gives_what_it_gave(library: ArtLibrary, processor: StampProcessor) -> None:
    plan = BatchPlan(6, 2, 1, 1, 4, seed_offset=0, styles=STYLES)
    batch = BatchMaker(plan, processor, library, 1, pictures=False)[0]
    assert batch.text_rows is not None
    assert batch.text_rows.dialogues is None
