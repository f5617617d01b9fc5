"""How readily a model declines: read from its own logits, fitted like a logistic regression, moved in one row."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from stamp.model.modeling_stamp import StampForSegmentation
from stamp.model.processing_stamp import StampProcessor
from stamp.training.learning.balance import FirstWords, first_words, fit_change, move_refusals, rebalance
from stamp.training.learning.data import BatchMaker, BatchPlan
from stamp.training.scenes.art import ArtLibrary
from tests.benchmarks.nano import write_embedding
from tests.narrow import narrow_model
from tests.training.conftest import STYLES


def test_the_first_words_are_those_of_the_answers(library: ArtLibrary, processor: StampProcessor) -> None:
    model = narrow_model(processor).eval()
    plan = BatchPlan(6, 2, 0, 1, 4, 0, STYLES, checklists=0.0, requests=0.5)
    batches = [BatchMaker(plan, processor, library, 12)[step] for step in range(12)]
    found = first_words(model, processor, batches)
    there, sure = (processor.encode_plain(text)[0] for text in ("There", "Sure"))
    refusal = processor.encode_plain("There is no cow.")[:3]
    wanted = []
    for batch in batches:
        rows = batch.text_rows
        assert rows is not None
        for ids, is_answer in zip(rows.input_ids.tolist(), rows.is_answer.tolist(), strict=True):
            starts = [n for n in range(1, len(ids)) if is_answer[n] and not is_answer[n - 1]]
            wanted += [(ids[n] == there, ids[n : n + 3] == refusal, ids[n] == sure) for n in starts]
    assert found.is_there.tolist() == [one[0] for one in wanted]
    assert found.is_absent.tolist() == [one[1] for one in wanted]
    assert found.is_mask.tolist() == [one[2] for one in wanted]
    assert 0 < found.is_absent.sum() < found.is_there.sum()
    probabilities = model.lm_head(found.hidden).softmax(-1)[:, there]
    torch.testing.assert_close(found.odds.sigmoid(), probabilities)


def test_a_checkpoint_with_another_head_is_refused(library: ArtLibrary, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no checkpoint of StampForSegmentation"):
        rebalance(write_embedding(tmp_path / "embedding"), library, None, 2, tmp_path / "out")


def words(n: int = 400) -> FirstWords:
    """Hidden states whose first value tells what is absent; the model leans towards finding."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(n, 5, generator=generator)
    is_absent = hidden[:, 0] + 0.5 * torch.randn(n, generator=generator) > 1
    return FirstWords(hidden, torch.full((n,), -3.0), is_absent, is_absent, ~is_absent)


def test_the_fit_is_the_best_of_its_loss_and_declines_more_of_what_is_absent() -> None:
    found = words()
    change = fit_change(found, absent_weight=2.0, ridge=0.001)

    def loss(candidate: torch.Tensor) -> float:
        weights = torch.where(found.is_absent, 2.0, 1.0)
        odds = found.odds + found.hidden @ candidate
        fit = functional.binary_cross_entropy_with_logits(odds, found.is_there.float(), weights)
        return float(fit + 0.001 * candidate.square().sum())

    best = loss(change)
    for step in torch.eye(5) * 0.05:
        assert best < min(loss(change + step), loss(change - step))
    before, after = found.rates(), found.rates(change)
    assert (before["absent"], before["there"]) == (0.0, 0.0)
    assert after["absent"] > 0.6
    assert after["there"] < 0.1
    heavy = found.rates(fit_change(found, absent_weight=20.0, ridge=0.001))
    assert heavy["absent"] > after["absent"]
    assert heavy["there"] > after["there"]
    assert float(fit_change(found, ridge=1e6).norm()) == pytest.approx(0, abs=1e-4)


def test_only_one_row_of_the_word_matrix_moves_and_its_logit_by_as_much(processor: StampProcessor) -> None:
    model, hidden = narrow_model(processor), torch.randn(3, 24)
    before, rows = model.lm_head(hidden).detach(), model.get_input_embeddings().get_parameter("weight").detach().clone()
    change = torch.randn(24)
    move_refusals(model, processor, change)
    there = processor.encode_plain("There")[0]
    expected = before.clone()
    expected[:, there] += hidden @ change
    torch.testing.assert_close(model.lm_head(hidden), expected)
    moved = (model.get_input_embeddings().get_parameter("weight") != rows).any(1)
    assert moved.nonzero().flatten().tolist() == [there]


def test_a_checkpoint_is_written_with_its_record_and_nouns(library: ArtLibrary, narrow: Path, tmp_path: Path) -> None:
    narrow = shutil.copytree(narrow, tmp_path / "narrow")
    (narrow / "nouns.json").write_text('{"apple": {"noto": 1}}')
    rebalance(narrow, library, None, 2, tmp_path / "out")
    assert (tmp_path / "out" / "nouns.json").read_text() == '{"apple": {"noto": 1}}'
    record = json.loads((tmp_path / "out" / "balance.json").read_text())
    assert record["answers"] == 2 * 8 * 6
    assert record["length"] > 0
    assert record["text_loss"]["before"] > 0
    assert record["text_loss"]["after"] != record["text_loss"]["before"]
    old, new = (
        StampForSegmentation.from_pretrained(folder, dtype=torch.float32).state_dict()
        for folder in (narrow, tmp_path / "out")
    )
    assert [name for name, value in new.items() if not torch.equal(value, old[name])] == [
        "model.language_model.embed_tokens.weight",
        "lm_head.weight",
    ]
