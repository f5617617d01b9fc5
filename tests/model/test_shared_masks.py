"""The shared mask head: cached against uncached, many targets against few, started, saved, and streamed."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stamp import Done, EncodedImage, MaskComing, MaskReady, StampPredictor, TextDelta, Turn
from stamp.conversation import Segmentation
from stamp.inference.conversation_cache import ConversationCache
from stamp.inference.generation import PhaseClock, TextState
from stamp.model.configuration_stamp import StampConfig
from stamp.model.shared_masks import SharedMaskHead, shared_attention

PARITY = Path(__file__).parents[1] / "parity"
PICTURE, OTHER = PARITY / "images" / "land_200x120.png", PARITY / "images" / "sq_112.png"
SEG = "<|seg|>"
ANSWER = f"Sure , here {SEG} and {SEG} ."


def load() -> StampPredictor:
    return StampPredictor.from_pretrained(PARITY / "models" / "tied", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    """The tiny official checkpoint with a shared head of random weights."""
    loaded = load()
    loaded.model.share_mask_tokens(seed=1)
    torch.manual_seed(2)
    torch.nn.init.normal_(loaded.model.shared_masks.of_cells.weight, std=0.3)
    return loaded


@pytest.fixture(scope="module")
def image(stamp: StampPredictor) -> EncodedImage:
    return stamp.encode_image(PICTURE)


def ids_of(stamp: StampPredictor, image: EncodedImage, answer: str) -> tuple[list[int], list[int]]:
    """(tokens of question and answer, indices of the answer's <|seg|>)."""
    turns = [Turn("user", "Segment the boat.", image), stamp.processor.assistant_turn(answer)]
    ids = stamp.processor.encode_conversation(turns, [len(image.embeds)], add_generation_prompt=False).input_ids
    return ids, [index for index, token in enumerate(ids) if token == stamp.processor.seg_token_id]


def uncached(stamp: StampPredictor, image: EncodedImage, answer: str) -> Tensor:
    ids, segs = ids_of(stamp, image, answer)
    rows = torch.tensor([ids])
    output = stamp.model.forward_rows(
        rows, torch.ones_like(rows), image.embeds[None], image.grid_thw, torch.tensor([segs])
    )
    logits: Tensor | None = output.mask_logits
    assert logits is not None
    return logits[0]


def state_of(stamp: StampPredictor, image: EncodedImage, answer: str) -> TextState:
    """Decoding that has written the answer, token by token."""
    ids, segs = ids_of(stamp, image, answer)
    state = TextState(stamp.model, PhaseClock(stamp.device))
    state.prefill(torch.tensor([ids[: segs[0]]]), image.embeds, image.grid_thw)
    for token in ids[segs[0] :]:
        state.push(token)
        state.next_logits()
    return state


@torch.inference_mode()
@pytest.mark.parametrize("n_targets", [1, 2, 16])
def test_cached_pass_equals_uncached(stamp: StampPredictor, image: EncodedImage, n_targets: int) -> None:
    answer = "here " + f"{SEG} and then one " * n_targets
    state = state_of(stamp, image, answer)
    logits = state.mask_logits(range(n_targets), image.embeds, image.grid_hw)
    assert logits.shape == (n_targets, *image.grid_hw)
    torch.testing.assert_close(logits.flatten(1), uncached(stamp, image, answer), atol=1e-4, rtol=0)
    assert state.clock.passes["mask"] == 1
    assert n_targets == 1 or float((logits[0] - logits[1]).abs().max()) > 0.1


@torch.inference_mode()
def test_targets_of_a_pass_of_sixteen_differ_as_in_a_pass_of_two(stamp: StampPredictor, image: EncodedImage) -> None:
    """What tells two targets apart depends on their own <|seg|> and on the last one, not on the others."""
    state = state_of(stamp, image, "here " + f"{SEG} and then one " * 16)
    slots = torch.tensor(state.seg_slots)
    together = stamp.model.mask_pass(state.cache, slots, image.embeds, image.grid_hw)
    for number in range(15):
        first, last = stamp.model.mask_pass(state.cache, slots[[number, 15]], image.embeds, image.grid_hw)
        torch.testing.assert_close(first - last, together[number] - together[15], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_a_single_target_is_predicted_by_the_classifier_alone(stamp: StampPredictor) -> None:
    """As in the published model, whatever the shared head has learned."""
    answer = f"here {SEG} it is"
    expected, found = (one.predict_masks(PICTURE, "Segment the boat.", answer).mask_logits for one in (load(), stamp))
    np.testing.assert_allclose(found[0], expected[0], atol=1e-4)


@torch.inference_mode()
def test_targets_share_what_the_classifier_finds(stamp: StampPredictor, image: EncodedImage) -> None:
    """For each cell, the odds of its targets have the mean of the classifier's odds before rivals are weighed."""
    state = state_of(stamp, image, ANSWER)
    slots = torch.tensor(state.seg_slots)
    logits = stamp.model.mask_pass(state.cache, slots, image.embeds, image.grid_hw)
    (of_any,) = load().model.mask_pass(state.cache, slots[-1:], image.embeds, image.grid_hw)
    best = logits.amax(0)
    odds = best.exp() * ((logits - best) / 3).exp()
    torch.testing.assert_close(odds.mean(0), of_any.exp(), atol=0, rtol=1e-4)


@torch.inference_mode()
def test_rows_of_several_lengths_are_as_each_alone(stamp: StampPredictor, image: EncodedImage) -> None:
    """Rows are padded, and so are their lists of targets."""
    answers = (f"here {SEG}", ANSWER, f"{SEG} {SEG} and {SEG} of the boat")
    found = [ids_of(stamp, image, answer) for answer in answers]
    length, most = max(len(ids) for ids, _ in found), max(len(segs) for _, segs in found)
    ids = torch.tensor([[*ids, *[0] * (length - len(ids))] for ids, _ in found])
    real = torch.tensor([[1] * len(ids) + [0] * (length - len(ids)) for ids, _ in found])
    segs = torch.tensor([[*segs, *[-1] * (most - len(segs))] for _, segs in found])
    output = stamp.model.forward_rows(ids, real, image.embeds.repeat(3, 1, 1), image.grid_thw.repeat(3, 1), segs)
    assert output.mask_logits is not None
    for logits, own, answer in zip(output.mask_logits, segs, answers, strict=True):
        torch.testing.assert_close(logits[own >= 0], uncached(stamp, image, answer), atol=1e-4, rtol=0)


def test_mask_tokens_see_the_answer_up_to_its_last_seg_and_a_seg_sees_what_came_before_it() -> None:
    assert shared_attention(torch.tensor([1, 3]), 5, 2)[0, 0].int().tolist() == [
        [1, 1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 1, 1],
        [1, 1, 1, 1, 0, 0, 0, 1, 1],
    ]


@torch.inference_mode()
def test_logits_are_shares_by_the_product_of_two_projections() -> None:
    """Of two rows: with three targets, and with two that are padded to three. A rival's lead counts three times."""
    torch.manual_seed(0)
    head = SharedMaskHead(4)
    cells, targets = torch.randn(2, 5, 4), torch.randn(2, 3, 4)
    logits = head(cells, targets, torch.tensor([[True, True, True], [True, True, False]]))
    assert logits.shape == (2, 3, 5)
    weight, bias = head.of_cells.weight.detach().double().numpy(), head.of_cells.bias.detach().double().numpy()
    of_targets = head.of_targets.weight.detach().double().numpy()
    for row, n_targets in ((0, 3), (1, 2)):
        products = [
            [(of_targets @ target) @ (weight @ cell + bias) / 2 for cell in cells[row].double().numpy()]
            for target in targets[row, :n_targets].double().numpy()
        ]
        shares = np.exp(products) / np.exp(products).sum(0)
        expected = n_targets * shares.max(0) * (shares / shares.max(0)) ** 3
        np.testing.assert_allclose(logits[row, :n_targets].exp().numpy(), expected, atol=1e-5)


@torch.inference_mode()
def test_a_cell_that_two_claim_alike_belongs_to_both_and_one_that_a_rival_claims_more_does_not() -> None:
    """One feature, two targets, and cells whose odds between them are 1 to 1 and 3 to 2."""
    head = SharedMaskHead(1)
    for part in (head.of_cells, head.of_targets):
        torch.nn.init.ones_(part.weight)
    torch.nn.init.zeros_(head.of_cells.bias)
    (logits,) = head(torch.tensor([[[0.0], [math.log(1.5)]]]), torch.tensor([[[1.0], [0.0]]]), torch.ones(1, 2).bool())
    any_of_them = 0.2  # the classifier's logit
    assert (any_of_them + logits > 0).tolist() == [[True, True], [True, False]]


@torch.inference_mode()
def test_an_untrained_head_gives_the_masks_of_the_classifier(image: EncodedImage) -> None:
    """Of the last target, for all; of a single target, the very masks of the published way."""
    published, started = load(), load()
    started.model.share_mask_tokens()
    for answer in (f"here {SEG} it is", ANSWER):
        expected = published.predict_masks(PICTURE, "Segment the boat.", answer).mask_logits
        for logits in started.predict_masks(PICTURE, "Segment the boat.", answer).mask_logits:
            np.testing.assert_allclose(logits, expected[-1], atol=1e-4)


def test_the_published_head_is_the_default_and_has_no_more_weights() -> None:
    assert StampConfig().mask_head == "classifier"
    loaded = load()
    assert not loaded.model.shares_mask_tokens
    assert not any("shared_masks" in name for name in loaded.model.state_dict())
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    loaded.model.share_mask_tokens()
    head = loaded.model.shared_masks
    loaded.model.share_mask_tokens()
    assert loaded.model.shared_masks is head
    after = loaded.model.state_dict()
    assert {name for name in after if name not in before} == {
        f"shared_masks.{part}" for part in ("of_cells.weight", "of_cells.bias", "of_targets.weight")
    }
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_checkpoint_keeps_its_head(stamp: StampPredictor, tmp_path: Path) -> None:
    stamp.model.save_pretrained(tmp_path)
    stamp.processor.save_pretrained(tmp_path)
    again = StampPredictor.from_pretrained(tmp_path, device="cpu", dtype="float32")
    assert again.model.config.mask_head == "shared"
    ours, theirs = (one.predict_masks(PICTURE, "Segment the boat.", ANSWER) for one in (stamp, again))
    assert len(ours.mask_logits) == 2
    for a, b in zip(ours.mask_logits, theirs.mask_logits, strict=True):
        assert np.array_equal(a, b)
    state = {name: value for name, value in stamp.model.state_dict().items() if "of_cells" not in name}
    stamp.model.save_pretrained(tmp_path / "half", state_dict=state)
    stamp.processor.save_pretrained(tmp_path / "half")
    with pytest.raises(ValueError, match="not a complete STAMP checkpoint"):
        StampPredictor.from_pretrained(tmp_path / "half", device="cpu", dtype="float32")
    more = stamp.model.state_dict() | {"shared_masks.of_targets.bias": torch.zeros(4)}  # of a head that we had before
    stamp.model.save_pretrained(tmp_path / "more", state_dict=more)
    stamp.processor.save_pretrained(tmp_path / "more")
    with pytest.raises(ValueError, match=r"not of its mask head: \['shared_masks.of_targets.bias'\]"):
        StampPredictor.from_pretrained(tmp_path / "more", device="cpu", dtype="float32")


# -- answers -------------------------------------------------------------------------------------------------------


def write(stamp: StampPredictor, text: str, patch: pytest.MonkeyPatch) -> None:
    """The next answer consists of this text and <|im_end|>."""
    tokens = iter([*stamp.processor.encode_response(text), stamp.processor.end_token_id])
    patch.setattr("stamp.inference.generation.choose_token", lambda *_, **__: next(tokens))


def test_text_comes_first_and_all_masks_when_it_is_complete(
    stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(stamp, ANSWER, monkeypatch)
    events = list(stamp.stream([Turn("user", "Segment the boat.", PICTURE)], cache=ConversationCache(0)))
    kinds = [type(event) for event in events]
    n_texts = kinds.count(TextDelta)
    assert n_texts > 2
    assert [kind for kind in kinds if kind is not MaskComing] == [TextDelta] * n_texts + [MaskReady] * 2 + [Done]
    places = [index for index, kind in enumerate(kinds) if kind is MaskComing]
    assert [events[index] for index in places] == [MaskComing(0), MaskComing(1)]
    before = ["".join(event.text for event in events[:index] if isinstance(event, TextDelta)) for index in places]
    assert before == ["Sure , here ", "Sure , here  and "]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Sure , here  and  ."
    done = events[-1]
    assert isinstance(done, Done)
    forced = stamp.predict_masks(PICTURE, "Segment the boat.", ANSWER)
    for index, event in enumerate(event for event in events if isinstance(event, MaskReady)):
        assert event.index == index
        np.testing.assert_allclose(event.logits, forced.mask_logits[index], atol=1e-4)
        assert np.array_equal(event.mask, done.segmentation.masks[index])
    assert done.segmentation.labels == ["mask 1", "mask 2"]


def test_an_answer_that_is_cut_gives_the_masks_that_it_asked_for(
    stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_tokens = len(stamp.processor.encode_response(f"Sure , here {SEG}"))
    write(stamp, ANSWER, monkeypatch)
    events = list(stamp.stream([Turn("user", "Segment the boat.", PICTURE)], n_tokens, cache=ConversationCache(0)))
    (mask,) = [event for event in events if isinstance(event, MaskReady)]
    (expected,) = stamp.predict_masks(PICTURE, "Segment the boat.", f"Sure , here {SEG}").mask_logits
    np.testing.assert_allclose(mask.logits, expected, atol=1e-4)


def test_follow_ups_on_a_cache_are_as_fresh_answers(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks of earlier answers are not predicted again; the last turn is about another picture."""

    def talk(cache: ConversationCache) -> list[Segmentation]:
        turns: list[Turn] = []
        results = []
        for picture, answer in ((PICTURE, ANSWER), (None, f"it {SEG}"), (OTHER, f"{SEG} {SEG} {SEG} .")):
            turns.append(Turn("user", "Segment the boat.", picture))
            with monkeypatch.context() as patch:
                write(stamp, answer, patch)
                *_, done = stamp.stream(turns, cache=cache)
            assert isinstance(done, Done)
            results.append(done.segmentation)
            turns.append(Turn("assistant", results[-1].text, token_ids=results[-1].token_ids))
        return results

    for kept, fresh in zip(talk(ConversationCache()), talk(ConversationCache(0)), strict=True):
        assert len(kept.mask_logits) == kept.response.count(SEG) == len(fresh.mask_logits)
        for a, b in zip(kept.mask_logits, fresh.mask_logits, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_guessed_tokens_change_no_mask(stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tokens accepted at a time, among them <|seg|>; and wrong guesses that are removed again."""
    ids = stamp.processor.encode_response(ANSWER)
    wrong = [stamp.processor.seg_token_id] * 3
    results = []
    for guesses in ([], [tuple(ids[1:])], [tuple(wrong)] * len(ids), [(*ids[1:4], *wrong)] * len(ids)):
        given = iter(guesses)
        monkeypatch.setattr("stamp.inference.drafting.Drafter.guess", lambda *_, given=given: tuple(next(given, ())))
        write(stamp, ANSWER, monkeypatch)
        results.append(stamp.segment(PICTURE, "Segment the boat."))
    for result in results[1:]:
        assert result.token_ids == results[0].token_ids
        assert len(result.mask_logits) == 2
        for a, b in zip(result.mask_logits, results[0].mask_logits, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    assert results[1].forward_passes < results[0].forward_passes
