"""The model against the official code, number by number (fixtures: tests/parity/README.md)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from stamp import StampPredictor, Turn
from stamp.inference.generation import PhaseClock, TextState

PARITY = Path(__file__).parents[1] / "parity"
CASES = {case["id"]: case for case in json.loads((PARITY / "manifest.json").read_text())["cases"]}
FOLDERS = {"lora": "lora_adapter"}
TYPED_SEG = "tied__seg_in_prompt"
ATOL = {"pixel_values": 1e-5, "image_embeds": 1e-4, "text_logits": 5e-4, "mask_logits": 1e-4}


@cache
def predictor(variant: str) -> StampPredictor:
    return StampPredictor.from_pretrained(
        PARITY / "models" / FOLDERS.get(variant, variant), device="cpu", dtype="float32"
    )


@cache
def arrays(case_id: str) -> dict[str, np.ndarray]:
    with np.load(PARITY / CASES[case_id]["file"]) as file:
        return dict(file)


def open_image(case_id: str) -> Image.Image:
    return Image.open(PARITY / CASES[case_id]["image"]).convert("RGB")


def response(case_id: str) -> str:
    return str(CASES[case_id]["forced_text"]).removesuffix("<|im_end|>")


def close(actual: Any, expected: np.ndarray, name: str) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, atol=ATOL[name], rtol=0)


every_case = pytest.mark.parametrize("case_id", sorted(CASES))
#: The official code parses a <|seg|> typed by the user; that case is fed with its own ids, in test_typed_seg_ids.
every_prompt = pytest.mark.parametrize("case_id", sorted(CASES.keys() - {TYPED_SEG}))


@every_case
def test_pixels_and_grid(case_id: str) -> None:
    expected = arrays(case_id)
    pixels, grid = predictor(CASES[case_id]["variant"]).processor.encode_image(open_image(case_id))
    assert grid.tolist() == expected["image_grid_thw"].tolist()
    close(pixels[[0, 1, -2, -1]], expected["pixel_values_rows"], "pixel_values")
    np.testing.assert_allclose(pixels.double().sum(1), expected["pixel_values_row_sum"], atol=1e-2, rtol=0)
    if "pixel_values" in expected:
        close(pixels, expected["pixel_values"], "pixel_values")


@every_case
def test_image_features(case_id: str) -> None:
    image = predictor(CASES[case_id]["variant"]).encode_image(open_image(case_id))
    close(image.embeds, arrays(case_id)["image_embeds"], "image_embeds")
    assert list(image.grid_hw) == CASES[case_id]["grid_hw"]


@every_prompt
def test_prompt_ids_and_positions(case_id: str) -> None:
    expected, stamp = arrays(case_id), predictor(CASES[case_id]["variant"])
    image = stamp.encode_image(open_image(case_id))
    turn = Turn("user", CASES[case_id]["prompt"], image)
    encoded = stamp.processor.encode_conversation([turn], [len(image.embeds)])
    assert encoded.input_ids == expected["input_ids"].tolist()
    sequence = torch.tensor([encoded.input_ids + expected["forced_ids"].tolist()[:-1]])
    positions = stamp.model.rope_positions(sequence, image.grid_thw)
    assert positions[:, 0].tolist() == expected["gen_position_ids"].tolist()
    for seg, mask_positions in zip(expected["seg_indices"], expected["mask_position_ids"], strict=True):
        fed = seg < positions.shape[2]  # the token on which generation was cut was never fed
        seg_position = positions[0, 0, seg] if fed else positions.max() + 1
        ours = stamp.model.mask_positions(seg_position[None], torch.tensor([0]), image.grid_hw)
        assert ours[:, 0].tolist() == mask_positions.tolist()


@every_case
def test_response_ids(case_id: str) -> None:
    stamp = predictor(CASES[case_id]["variant"])
    ids = stamp.processor.encode_response(response(case_id))
    ended = CASES[case_id]["forced_text"].endswith("<|im_end|>")
    assert ids == arrays(case_id)["forced_ids"].tolist()[: -1 if ended else None]


@every_prompt
def test_text_logits(case_id: str) -> None:
    expected, stamp = arrays(case_id), predictor(CASES[case_id]["variant"])
    logits = stamp.text_logits(open_image(case_id), CASES[case_id]["prompt"], response(case_id))
    logits = logits[: len(expected["text_logits"])]
    close(logits, expected["text_logits"], "text_logits")
    assert logits.argmax(1).tolist() == expected["text_argmax"].tolist()


@every_prompt
def test_mask_logits(case_id: str) -> None:
    expected, stamp = arrays(case_id), predictor(CASES[case_id]["variant"])
    image = open_image(case_id)
    result = stamp.predict_masks(image, CASES[case_id]["prompt"], response(case_id))
    # A budget that ends on <|seg|> costs the official cache that token; the uncached value is the consistent one.
    cut = case_id == "tied__cut_on_seg"
    reference = expected["mask_logits_uncached" if cut else "mask_logits"]
    assert len(result.mask_logits) == len(reference) == CASES[case_id]["n_seg"]
    assert result.masks.shape == (len(reference), image.height, image.width)
    assert result.text == CASES[case_id]["response_text"]
    for logits, official in zip(result.mask_logits, reference, strict=True):
        close(logits.ravel(), official, "mask_logits")
    if len(reference) and not cut:
        assert (np.stack(result.mask_logits) > 0).tolist() == expected["grid_masks"].astype(bool).tolist()


@every_prompt
def test_greedy_decoding(case_id: str) -> None:
    greedy = arrays(case_id)["greedy_ids"].tolist()
    stamp = predictor(CASES[case_id]["variant"])
    result = stamp.segment(open_image(case_id), CASES[case_id]["prompt"], max_new_tokens=len(greedy))
    expected = [token for token in greedy if token not in stamp.end_token_ids]
    assert list(result.token_ids) == expected


def test_typed_seg_ids() -> None:
    """Fed with the official ids, in which the user's <|seg|> is special, the generated one still matches."""
    expected, stamp = arrays(TYPED_SEG), predictor("tied")
    image = stamp.encode_image(open_image(TYPED_SEG))
    state = TextState(stamp.model, PhaseClock(stamp.device))
    state.prefill(torch.tensor(expected["input_ids"])[None], image.embeds, image.grid_thw)
    logits = [state.next_logits()[None]]
    for token_id in expected["forced_ids"].tolist()[:-1]:
        state.push(token_id)
    logits.append(state.flush())
    close(torch.cat(logits), expected["text_logits"], "text_logits")
    close(state.mask_logits(range(1), image.embeds, image.grid_hw).flatten(), expected["mask_logits"][1], "mask_logits")


def test_a_written_image_token_is_no_picture() -> None:
    """A model may write one; without a picture of its own, the next question must not look for it."""
    stamp = predictor("tied")
    pad, word = stamp.processor.image_token_id, stamp.processor.encode_plain("Sure")

    def ids(*answer: int) -> list[int]:
        turns = [Turn("user", "Hi"), Turn("assistant", "Sure", token_ids=answer), Turn("user", "And now?")]
        return stamp.processor.encode_conversation(turns, []).input_ids

    assert ids(*word, pad) == ids(*word)


def test_typed_special_tokens_stay_text() -> None:
    stamp = predictor("tied")
    prompt = CASES[TYPED_SEG]["prompt"]
    assert "<|seg|>" in prompt
    special = set(stamp.processor.tokenizer.get_added_vocab().values())
    ids = stamp.processor.encode_plain(prompt)
    assert not special & set(ids)
    assert stamp.processor.decode(ids) == prompt
    assert ids == stamp.processor.tokenizer.encode(prompt, split_special_tokens=True)
    result = stamp.predict_masks(open_image(TYPED_SEG), prompt, "here <|seg|>.")
    assert len(result.masks) == 1
