"""The mask pass against itself (cached, uncached, batched, saved) and against the official training numbers."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from stamp.conversation import Turn
from stamp.inference.generation import PhaseClock, TextState
from stamp.model.attention import hybrid_attention
from stamp.model.modeling_stamp import StampForSegmentation
from stamp.predictor import StampPredictor
from stamp.training.learning.objectives import mask_loss

PARITY = Path(__file__).parents[1] / "parity"
TRAIN = json.loads((PARITY / "manifest.json").read_text())["train"]


@pytest.fixture(scope="module")
def stamp() -> StampPredictor:
    return StampPredictor.from_pretrained(PARITY / "models" / "tied", device="cpu", dtype="float32")


@cache
def fixture() -> dict[str, np.ndarray]:
    with np.load(PARITY / TRAIN["file"]) as file:
        return dict(file)


def rows_of(stamp: StampPredictor, sample: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """ids (1, L), image features (1, P, H), grid (1, 3) and the indices of the <|seg|> of one training sample."""
    pixels, grid = stamp.processor.encode_image(Image.open(PARITY / sample["image"]).convert("RGB"))
    (embeds,) = stamp.model.encode_images(pixels, grid)
    turns = [
        Turn("user", sample["prompt"], Image.new("RGB", (1, 1))),
        Turn("assistant", "", token_ids=tuple(stamp.processor.encode_response(sample["answer"]))),
    ]
    encoded = stamp.processor.encode_conversation(turns, [len(embeds)], add_generation_prompt=False)
    segs = [i for i, token in enumerate(encoded.input_ids) if token == stamp.processor.seg_token_id]
    return torch.tensor([encoded.input_ids]), embeds[None], grid, segs


def masks_uncached(stamp: StampPredictor, sample: dict[str, Any]) -> list[Tensor]:
    ids, embeds, grid, segs = rows_of(stamp, sample)
    outputs = [stamp.model.forward_rows(ids, torch.ones_like(ids), embeds, grid, torch.tensor([seg])) for seg in segs]
    return [output.mask_logits[0] for output in outputs if output.mask_logits is not None]


def test_training_forward_and_loss_match_the_official_code(stamp: StampPredictor) -> None:
    expected = fixture()
    logits = [mask for sample in TRAIN["samples"] for mask in masks_uncached(stamp, sample)]
    losses = []
    for i, mask in enumerate(logits):
        np.testing.assert_allclose(mask.detach(), expected[f"mask{i}_logits"], atol=1e-4, rtol=0)
        losses.append(mask_loss(mask[None], torch.from_numpy(expected[f"mask{i}_labels"]).flatten()[None])[0])
    np.testing.assert_allclose([x.item() for x in losses], [m["loss"] for m in TRAIN["per_mask"]], atol=1e-5)
    loss = torch.stack(losses).mean()
    assert loss.item() == pytest.approx(TRAIN["loss_seg"], abs=1e-5)

    stamp.model.zero_grad()
    loss.backward()
    gradients = dict(stamp.model.named_parameters())
    for key in [key for key in expected if key.startswith(("grad__model", "grad__class"))]:
        ours = gradients[key.removeprefix("grad__")].grad
        assert ours is not None
        np.testing.assert_allclose(ours, expected[key], atol=1e-5, rtol=0)
    embedding = stamp.model.get_input_embeddings().weight.grad
    np.testing.assert_allclose(
        embedding[stamp.processor.mask_token_id], expected["grad__embed_mask_row"], atol=1e-5, rtol=0
    )
    stamp.model.zero_grad()


def test_hybrid_attention_is_the_official_mask() -> None:
    """Our rows put the mask tokens behind the whole text; cut to the official layout both masks are equal."""
    expected = fixture()
    for row, (ids, real) in enumerate(zip(expected["seg_input_ids"], expected["seg_attention_mask"], strict=True)):
        n_tokens = int((ids == 495).sum())
        length = int(real.sum()) - n_tokens
        ours = hybrid_attention(torch.ones(1, length, dtype=torch.long), torch.tensor([length - 1]), n_tokens)
        total = length + n_tokens
        assert ours[0, 0].tolist() == expected["seg_attention_allowed"][row, :total, :total].tolist()


def test_hybrid_attention_hides_what_follows_the_seg_and_padding() -> None:
    allowed = hybrid_attention(torch.tensor([[1, 1, 1, 0]]), torch.tensor([1]), 2)[0, 0].int().tolist()
    assert allowed == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 1],
        [1, 1, 0, 0, 1, 1],
    ]


@torch.inference_mode()
def masks_cached(stamp: StampPredictor, sample: dict[str, Any], which: list[range]) -> Tensor:
    ids, embeds, grid, segs = rows_of(stamp, sample)
    state = TextState(stamp.model, PhaseClock(stamp.device))
    state.prefill(ids[:, : segs[0]], embeds[0], grid)
    for token_id in ids[0, segs[0] :].tolist():
        state.push(token_id)
    grid_hw = stamp.model.merged_grid(grid[0])
    before = state.next_logits().clone()
    masks = torch.cat([state.mask_logits(group, embeds[0], grid_hw) for group in which])
    assert state.cache.get_seq_length() == ids.shape[1]
    state.push(5)
    after = state.next_logits()
    fresh = TextState(stamp.model, PhaseClock(stamp.device))
    fresh.prefill(torch.cat([ids, torch.tensor([[5]])], dim=1), embeds[0], grid)
    torch.testing.assert_close(after, fresh.next_logits(), atol=1e-4, rtol=0)
    assert not torch.equal(before, after)
    return masks


def test_cached_pass_equals_uncached_and_leaves_the_cache_alone(stamp: StampPredictor) -> None:
    sample = TRAIN["samples"][0]
    uncached = torch.stack(masks_uncached(stamp, sample)).detach()
    one_by_one = masks_cached(stamp, sample, [range(1), range(1, 2)])
    shared = masks_cached(stamp, sample, [range(2)])
    torch.testing.assert_close(one_by_one.flatten(1), uncached, atol=1e-4, rtol=0)
    torch.testing.assert_close(shared, one_by_one, atol=1e-4, rtol=0)


def test_row_of_a_batch_equals_batch_of_one(stamp: StampPredictor) -> None:
    rows = [rows_of(stamp, TRAIN["samples"][0])] * 2
    ids, embeds, grid, segs = rows[0]
    short = ids[:, : segs[0] + 1]
    padded = torch.zeros_like(ids)
    padded[:, : short.shape[1]] = short
    attention = torch.stack([torch.ones(ids.shape[1]), torch.arange(ids.shape[1]) < short.shape[1]]).long()
    batch = stamp.model.forward_rows(
        torch.cat([ids, padded]), attention, embeds.repeat(2, 1, 1), grid.repeat(2, 1), torch.tensor([segs[1], segs[0]])
    )
    for row, (tokens, seg) in enumerate(((ids, segs[1]), (short, segs[0]))):
        alone = stamp.model.forward_rows(tokens, torch.ones_like(tokens), embeds, grid, torch.tensor([seg]))
        assert batch.mask_logits is not None
        assert batch.hidden_states is not None
        torch.testing.assert_close(batch.mask_logits[row], alone.mask_logits[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(
            batch.hidden_states[row, : tokens.shape[1]], alone.hidden_states[0], atol=1e-4, rtol=0
        )


def test_text_only_rows_equal_the_text_of_mask_rows(stamp: StampPredictor) -> None:
    ids, embeds, grid, segs = rows_of(stamp, TRAIN["samples"][1])
    text = stamp.model.forward_rows(ids, torch.ones_like(ids), embeds, grid)
    both = stamp.model.forward_rows(ids, torch.ones_like(ids), embeds, grid, torch.tensor(segs[:1]))
    assert text.mask_logits is None
    torch.testing.assert_close(text.hidden_states, both.hidden_states, atol=1e-4, rtol=0)


def test_dialogues_side_by_side_equal_each_alone(stamp: StampPredictor) -> None:
    """Three ends of one beginning, in a row, beside a row of one dialogue that is padded."""
    ids, embeds, grid, _ = rows_of(stamp, TRAIN["samples"][0])
    shared = int((ids[0] == stamp.model.config.image_token_id).nonzero()[-1]) + 2
    ends = [ids[:, shared : shared + n] for n in (3, 7, 5)]
    row = torch.cat([ids[:, :shared], *ends], dim=1)
    short = torch.nn.functional.pad(row[:, : shared + 3], (0, 12))
    numbers = [0] * shared + [1] * 3 + [2] * 7 + [3] * 5
    together = stamp.model.forward_rows(
        torch.cat([row, short]),
        torch.tensor([[1] * row.shape[1], [1] * (shared + 3) + [0] * 12]),
        embeds.repeat(2, 1, 1),
        grid.repeat(2, 1),
        dialogues=torch.tensor([numbers, [0] * row.shape[1]]),
    ).hidden_states
    assert together is not None
    start = shared
    for end in ends:
        tokens = torch.cat([ids[:, :shared], end], dim=1)
        alone = stamp.model.forward_rows(tokens, torch.ones_like(tokens), embeds, grid).hidden_states
        assert alone is not None
        length = end.shape[1]
        torch.testing.assert_close(together[0, start : start + length], alone[0, shared:], atol=1e-4, rtol=0)
        if start == shared:
            torch.testing.assert_close(together[:, :shared], alone[:, :shared].repeat(2, 1, 1), atol=1e-4, rtol=0)
            torch.testing.assert_close(together[1, shared : shared + 3], alone[0, shared:], atol=1e-4, rtol=0)
        start += length


def test_grid_positions(stamp: StampPredictor) -> None:
    seg, image = torch.tensor([10, 20]), torch.tensor([3, 4])

    def positions(mode: str, mask: int) -> list[list[int]]:
        stamp.model.config.mask_position_mode = mode
        try:
            return stamp.model.mask_positions(seg, image, (2, 3))[:, mask].tolist()  # type: ignore[no-any-return]
        finally:
            stamp.model.config.mask_position_mode = "sequential"

    assert positions("sequential", 1) == [[21, 22, 23, 24, 25, 26]] * 3
    assert positions("grid", 0) == [[11] * 6, [11, 11, 11, 12, 12, 12], [11, 12, 13, 11, 12, 13]]
    assert positions("image", 1) == [[4] * 6, [4, 4, 4, 5, 5, 5], [4, 5, 6, 4, 5, 6]]


def test_mask_tokens_may_stand_where_the_tokens_of_their_image_stand(
    stamp: StampPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached and uncached, with an earlier image of another size in the conversation."""
    ids, embeds, grid, segs = rows_of(stamp, TRAIN["samples"][0])
    is_image = ids[0] == stamp.model.config.image_token_id
    own = stamp.model.rope_positions(ids, grid)[:, 0, is_image]
    given: list[torch.Tensor] = []
    run_text: Callable[..., torch.Tensor] = stamp.model._run_text

    def keep(inputs: Any, positions: torch.Tensor, *rest: Any) -> torch.Tensor:
        given.append(positions)
        return run_text(inputs, positions, *rest)

    monkeypatch.setattr(stamp.model, "_run_text", keep)
    monkeypatch.setattr(stamp.model.config, "mask_position_mode", "image")
    stamp.model.forward_rows(ids, torch.ones_like(ids), embeds, grid, torch.tensor(segs[:1]))
    assert torch.equal(given[-1][:, 0, ids.shape[1] :], own)
    state = TextState(stamp.model, PhaseClock(stamp.device))
    start = stamp.model.config.vision_start_token_id
    earlier = torch.tensor([[start, *[stamp.model.config.image_token_id] * 2]])
    both = torch.cat([earlier, ids], dim=1)
    merge = stamp.model.config.vision_config.spatial_merge_size
    grids = torch.cat([torch.tensor([[1, merge, 2 * merge]]), grid])
    state.prefill(both[:, : segs[0] + 3], torch.cat([embeds[0][:2], embeds[0]]), grids)
    state.push(int(ids[0, segs[0]]))
    state.mask_logits(range(1), embeds[0], stamp.model.merged_grid(grid[0]))
    last = (both[0] == stamp.model.config.image_token_id).nonzero()[2:, 0]
    assert torch.equal(given[-1][:, 0], stamp.model.rope_positions(both, grids)[:, 0, last])


def test_saved_and_reloaded_model_is_equal(stamp: StampPredictor, tmp_path: Path) -> None:
    stamp.model.save_pretrained(tmp_path)
    stamp.processor.save_pretrained(tmp_path)
    again = StampPredictor.from_pretrained(tmp_path, device="cpu", dtype="float32")
    image = Image.open(PARITY / TRAIN["samples"][0]["image"]).convert("RGB")
    for call in ("predict_masks", "text_logits"):
        ours, theirs = (getattr(p, call)(image, "Segment the boat.", "Sure <|seg|>") for p in (stamp, again))
        if call == "predict_masks":
            assert (ours.mask_logits[0] == theirs.mask_logits[0]).all()
            assert ours.token_ids == theirs.token_ids
        else:
            assert (ours == theirs).all()


def test_missing_weights_are_refused(stamp: StampPredictor, tmp_path: Path) -> None:
    state = {name: value for name, value in stamp.model.state_dict().items() if "layers.1.mlp" not in name}
    stamp.model.save_pretrained(tmp_path, state_dict=state)
    stamp.processor.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not a complete STAMP checkpoint"):
        StampPredictor.from_pretrained(tmp_path, device="cpu", dtype="float32")


def test_a_prompt_with_the_wrong_number_of_image_tokens_is_refused(stamp: StampPredictor) -> None:
    ids = torch.tensor([[1, stamp.processor.image_token_id, 2]])
    with pytest.raises(ValueError, match="1 image tokens in the prompt, but 3 image features"):
        StampForSegmentation.embed_prompt(stamp.model, ids, torch.zeros(3, 64))
