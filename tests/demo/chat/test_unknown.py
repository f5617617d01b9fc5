"""Under "I don't know that word.": near words, and everything that the model knows."""

from demo.chat.unknown import UNKNOWN_ANSWER, near_words, unknown_html
from stamp.training.talk import chat

KNOWN = ("apple", "cat", "fire hydrant", "helicopter", "hippo", "teddy bear")


def test_the_sentence_is_the_one_that_the_model_learned() -> None:
    assert chat.UNKNOWN_ANSWER == UNKNOWN_ANSWER


def test_misspelt_words_are_found() -> None:
    assert near_words("segment the helicpter", KNOWN) == ["helicopter"]
    assert near_words("Where is the TEDDY BAER, please?", KNOWN) == ["teddy bear"]
    assert near_words("the aple and the firehydrant", KNOWN) == ["apple", "fire hydrant"]
    assert near_words("segment the quokka", KNOWN) == []
    assert near_words("cab, bat, can", KNOWN) == []  # words this short are alike by chance


def test_only_that_answer_of_a_model_with_a_list_gets_more() -> None:
    html = unknown_html(UNKNOWN_ANSWER, "segment the helicpter", KNOWN)
    assert "Did you mean helicopter&#63;" in html
    assert "All 6 objects the model knows" in html
    assert "teddy bear" in html
    assert "Did you mean" not in unknown_html(UNKNOWN_ANSWER, "segment the quokka", KNOWN)
    assert unknown_html("There is no helicopter in the image.", "segment the helicpter", KNOWN) == ""
    assert unknown_html(UNKNOWN_ANSWER, "segment the helicpter", ()) == ""


def test_what_a_visitor_typed_is_never_html() -> None:
    assert "<b>" not in unknown_html(UNKNOWN_ANSWER, "segment the <b>helicpter</b>", ("<b>helicpter</b>",))
