"""Masks as location tokens: there and back, what they point to, and how a model gets them."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.baselines.location_tokens import add_tokens, check_knows, ids_of, knows, waves_of
from benchmarks.baselines.mask_text import MaskText, MaskTextError
from benchmarks.baselines.patch_tokens import PatchTokens, read_runs
from benchmarks.baselines.patches import patches_of
from benchmarks.baselines.polygon_tokens import CLOSE, PolygonTokens, read_polygon_tokens
from benchmarks.baselines.polygons import outer_polygons
from stamp.pictures.masks import coverage_grid, intersection_over_union
from tests.benchmarks.baselines.blobs import SHAPES, Shape, blank, blobs
from tests.benchmarks.nano import make_processor
from tests.narrow import WIDTH, narrow_model

FORMS: tuple[MaskText, ...] = (PolygonTokens(), PatchTokens())


@given(st.lists(SHAPES, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_polygons_come_back_in_coarse_steps(shapes: list[Shape]) -> None:
    mask = blobs((320, 256), shapes, hole=False)
    text = "".join(PolygonTokens().tokens(mask))
    assert read_polygon_tokens(text) == outer_polygons(mask, 31)
    assert intersection_over_union(PolygonTokens().draw(text, blank(mask)), mask) >= 0.75


def test_a_box_is_four_corners() -> None:
    """In a picture of 32 x 32 pixels each step is a pixel."""
    mask = np.zeros((32, 32), dtype=bool)
    mask[4:11, 2:21] = True
    form = PolygonTokens()
    assert form.tokens(mask) == ["<x2>", "<y4>", "<x20>", "<y4>", "<x20>", "<y10>", "<x2>", "<y10>", CLOSE]
    np.testing.assert_array_equal(form.draw("".join(form.tokens(mask)), blank(mask)), mask)


@given(st.lists(st.booleans(), min_size=256, max_size=256).filter(any))
@settings(max_examples=60, deadline=None)
def test_runs_come_back_exactly(cells: list[bool]) -> None:
    patches = np.array(cells).reshape(16, 16)
    words = PatchTokens().tokens(patches)
    np.testing.assert_array_equal(read_runs("".join(words)), patches)
    starts = patches & ~np.pad(patches, ((0, 0), (1, 0)))[:, :-1]
    assert len(words) == starts.sum() + patches.any(1).sum()  # one for each run, and for each row that has one


@pytest.mark.parametrize(
    "text",
    [
        "<x1><y2><x3><y4><close>",
        "<x1><y2><x3><y4><x5><y6>",
        "<x1><y2><x3><y4><x32><y6><close>",
        "<x1><y2><x3><y4><x5><y6><x7><close>",
        "<y1><x2><y3><x4><y5><x6><y7><close>",
        "",
        "<close>",
    ],
)
def test_what_is_no_polygon(text: str) -> None:
    with pytest.raises(MaskTextError):
        PolygonTokens().draw(text, Image.new("RGB", (20, 20)))


@pytest.mark.parametrize(
    "text", ["<row3>", "<3-4>", "<row16><3-4>", "<row3><5-4>", "<row3><5-16>", "<row1><1-1><row2>"]
)
def test_what_is_no_run(text: str) -> None:
    with pytest.raises(MaskTextError):
        PatchTokens().draw(text, Image.new("RGB", (20, 20)))


@pytest.mark.parametrize("form", FORMS)
def test_masks_are_found_among_words(form: MaskText) -> None:
    mask = blobs((64, 64), [(0.5, 0.5, 0.3, 0.2, False)], hole=False)
    text = "".join(form.tokens(mask))
    parts = ["Here is the <row> 3 of a<b: ", text, " and, <2, 3>: ", text]
    pieces = list(form.pieces("".join(parts)))
    assert [piece.text for piece in pieces] == parts
    assert [piece.is_mask for piece in pieces] == [False, True] * 2


@pytest.mark.parametrize("form", FORMS)
def test_plain_words_hold_no_mask(form: MaskText) -> None:
    for words in ("There is no crab in the image.", "I see a crab, <two> boats and an ice cream.", ""):
        assert [piece.is_mask for piece in form.pieces(words)] == [False] * bool(words)


@given(st.text(alphabet="<>row0123456789,- \nclose.é", max_size=80))
@settings(max_examples=200, deadline=None)
def test_pieces_make_the_answer(answer: str) -> None:
    for form in FORMS:
        pieces = list(form.pieces(answer))
        assert "".join(piece.text for piece in pieces) == answer
        assert [piece.start for piece in pieces] == [answer.index(piece.text, piece.start) for piece in pieces]


@given(st.lists(SHAPES, min_size=1, max_size=2), st.sampled_from([(6, 6), (12, 10), (16, 16)]))
@settings(max_examples=30, deadline=None)
def test_runs_point_to_the_cells_that_they_cover(shapes: list[Shape], grid_hw: tuple[int, int]) -> None:
    """Rows and runs both add up to the patches, as seen on the grid."""
    patches = patches_of(blobs((160, 160), shapes, hole=False))
    form = PatchTokens()
    words = form.tokens(patches)
    rows = [place for word, place in zip(words, form.places(words, grid_hw), strict=True) if word.startswith("<row")]
    runs = [place for word, place in zip(words, form.places(words, grid_hw), strict=True) if "-" in word]
    pixels = np.kron(patches, np.ones((30, 30)))  # 480 is a multiple of 6, 10, 12 and 16
    expected = coverage_grid(pixels > 0, grid_hw).ravel()
    np.testing.assert_allclose(np.sum(rows, axis=0), expected, atol=1e-6)
    np.testing.assert_allclose(np.sum(runs, axis=0), expected, atol=1e-6)


def test_coordinates_point_to_the_cell_of_their_corner() -> None:
    places = list(
        PolygonTokens().places(["<x0>", "<y0>", "<x31>", "<y0>", "<x15>", "<y31>", CLOSE, "<x0>", "<y31>"], (4, 6))
    )
    assert [np.flatnonzero(place).tolist() for place in places] == [
        [0],
        [0],
        [5],
        [5],
        [18 + 2],
        [18 + 2],
        [],
        [18],
        [18],
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_model_learns_new_words_and_keeps_the_old(form: MaskText) -> None:
    processor = make_processor()
    model = narrow_model(processor)
    before = model.get_input_embeddings().get_parameter("weight").clone()
    assert not knows(processor, form)
    with pytest.raises(ValueError, match=f"no location tokens of {form.name}.*train --methods {form.name}"):
        check_knows(processor, form)
    add_tokens(model, processor, form)
    check_knows(processor, form)
    words = model.get_input_embeddings().get_parameter("weight")
    assert len(words) == len(before) + len(form.vocabulary) == model.config.text_config.vocab_size
    assert torch.equal(words[: len(before)], before)
    assert model.lm_head.weight.data_ptr() == words.data_ptr()
    tokens = form.tokens(blobs((64, 64), [(0.5, 0.5, 0.3, 0.2, False)], hole=False))
    ids = ids_of(processor, tokens)
    assert processor.decode([*processor.encode_plain("Here: "), *ids]) == "Here: " + "".join(tokens)
    assert not set(processor.encode_plain("".join(tokens))) & set(ids)  # a user cannot type one


def near(vectors: torch.Tensor, names: Sequence[str], one: str, other: str) -> float:
    return float(vectors[names.index(one)] @ vectors[names.index(other)])


def test_near_places_have_similar_words() -> None:
    names = list(PolygonTokens().vocabulary)
    vectors = waves_of(PolygonTokens().vocabulary, WIDTH * 8)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(names)))
    assert near(vectors, names, "<x10>", "<x11>") > near(vectors, names, "<x10>", "<x14>") + 0.1
    assert near(vectors, names, "<y10>", "<y11>") > near(vectors, names, "<y10>", "<y25>") + 0.1
    assert near(vectors, names, "<x10>", "<x11>") > near(vectors, names, "<x10>", "<y10>") + 0.3  # other kinds differ
