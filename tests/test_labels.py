"""The names of masks, from answers of the nano, of the published checkpoints, and of nobody in particular."""

import pytest

from stamp.labels import category, file_stem, file_stems, find_name, label_masks, number_labels

SEG = "<|seg|>"


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("Sure, here is the segmentation mask for the hat: ", "hat"),
        ("Sure, here is the segmentation mask for the ice cream: ", "ice cream"),
        ("Sure, here is the segmentation mask for 'the man in the red shirt': ", "man in the red shirt"),
        ("Sure, here is the segmentation mask for the octopuses: ", "octopuses"),
        (" and the watermelon: ", "watermelon"),
        (", the pine: ", "pine"),
        ("the road ", "road"),
        ("I can see the man in the red shirt ", "man in the red shirt"),
        ("The left cat (", "left cat"),
        ("The cat is here: ", "cat"),
        ("Here is the mask of the bottle of water ", "bottle of water"),
        ("Sure, here are both of the dogs: ", "dogs"),
        ("You may want to look at the dog on the left of the sofa ", "dog on the left of the sofa"),
        ("T-shirt: ", "T-shirt"),
        ("la persona: ", "la persona"),
        ("猫: ", "猫"),
    ],
)
def test_the_words_before_a_mask_are_its_name(before: str, name: str) -> None:
    span = find_name(before)
    assert span is not None
    assert before[slice(*span)] == name


@pytest.mark.parametrize(
    "before",
    [
        "",
        " ",
        "Sure, ",
        "It is ",
        "It is here ",
        "Sure , here is the mask ",
        " and another ",
        "Sure, here's the segmentation: ",
        "The segmentation result is ",
        "I think this may perhaps never end nor come to any clear point whatever we try ",
        "<<>>!!",
    ],
)
def test_words_that_name_nothing_are_no_name(before: str) -> None:
    assert find_name(before) is None


def test_several_of_a_kind_are_numbered_and_the_nameless_too() -> None:
    assert number_labels(["hat", "dog", "hat"]) == ["hat 1", "dog", "hat 2"]
    assert number_labels(["hat", None], taken=["hat", "mask 1"]) == ["hat 2", "mask 2"]
    assert number_labels(["Hat", "hat"], taken=["hat 1"]) == ["Hat 2", "hat 3"]
    assert number_labels(["hat", "hat"], taken=["HAT"]) == ["hat 2", "hat 3"]
    assert number_labels(["hat 1", "hat", "hat"]) == ["hat 1", "hat 2", "hat 3"]


def test_labels_of_an_answer() -> None:
    answer = f"Sure, here are the segmentation masks for the pine: {SEG} and the watermelon: {SEG}."
    assert label_masks(answer, 2) == ["pine", "watermelon"]
    assert label_masks(f"{SEG}{SEG}", 2) == ["mask 1", "mask 2"]
    assert label_masks(f"the hats: {SEG}, {SEG}", 2) == ["hats 1", "hats 2"]
    assert label_masks("It is a cat.", 0) == []
    assert label_masks(f"spelled out: {SEG} the cat {SEG}", 1) == ["mask 1"]


def test_a_category_is_a_label_without_its_number() -> None:
    assert (category("hat 2"), category("ice cream"), category("mask 1")) == ("hat", "ice cream", "mask")


@pytest.mark.parametrize(
    ("label", "stem"),
    [
        ("watermelon", "watermelon"),
        ("hat 2", "hat_2"),
        ("Crème brûlée", "creme_brulee"),
        ("../../etc/passwd", "etc_passwd"),
        ("猫", "mask"),
        ("a" * 99, "a" * 40),
        ("con\0\n<b>", "con_b"),
    ],
)
def test_file_names_are_safe(label: str, stem: str) -> None:
    assert file_stem(label) == stem


def test_file_names_are_unique() -> None:
    assert file_stems(["hat!", "hat?", "cap"], taken={"cap"}) == ["hat", "hat_2", "cap_2"]
