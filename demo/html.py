"""Converts text and pictures to HTML: literal text, messages, lists in words, data URIs."""

import base64
import io
import re

from PIL import Image

_ASCII_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")


def literal(text: str, *, goes_on: bool = False) -> str:
    """HTML that shows exactly `text`: no tag, no markdown, no link, no formula; line breaks and blanks are kept.

    goes_on: the text continues a line, so the line may break at a leading blank.
    """
    escaped = _ASCII_PUNCTUATION.sub(lambda match: f"&#{ord(match[0])};", text.replace("\t", "    "))
    first, *lines = re.split(r"\r\n|\r|\n", escaped)
    shown = [re.sub(r" (?= )" if goes_on else r"^ | (?= )", "&nbsp;", first)]
    return "<br>".join(shown + [re.sub(r"^ | (?= )", "&nbsp;", line) for line in lines])


def notice(sentence: str) -> str:
    """HTML of a message to the visitor; empty without one."""
    return f'<div class="notice" role="alert">{literal(sentence)}</div>' if sentence else ""


def and_list(words: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def data_uri(picture: Image.Image, kind: str, quality: int = 82) -> str:
    """A picture as a data URI: nothing is stored on the server. kind: "PNG" or "WEBP"; quality: of WebP."""
    file = io.BytesIO()
    picture.save(file, kind, **({"quality": quality} if kind == "WEBP" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
