"""The examples below the chat: small pictures with their questions, each a button."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image

from demo.html import data_uri, literal

EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples" / "examples.json"
SCRIPT = """
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-example]");
  if (!chosen) return;
  document.querySelector("#sides").scrollIntoView({ behavior: "smooth" });
  trigger("select", { index: Number(chosen.dataset.example), value: "" });
});
"""
#: Shown at half this size, so that it is sharp on a high-resolution screen.
THUMBNAIL_PX = 288

#: A picture and a question about it.
Example = tuple[Path, str]


def read_examples(index: Path) -> list[Example]:
    """Image file and prompt of each example; empty without `examples.json`."""
    if not index.is_file():
        return []
    entries = json.loads(index.read_text(encoding="utf-8"))
    return [(index.parent / entry["image"], entry["prompt"]) for entry in entries]


def gallery_html(samples: Sequence[Example]) -> str:
    """Buttons, one for each picture and question; the pictures are part of the HTML, 10 kB each."""
    cards = (
        f'<button data-example="{index}"><img src="{thumbnail(path)}" alt="" width="144" height="144">'
        f"<span>{literal(prompt)}</span></button>"
        for index, (path, prompt) in enumerate(samples)
    )
    return f'<p class="muted">Or try one of these</p><div class="cards">{"".join(cards)}</div>'


@cache
def thumbnail(path: Path) -> str:
    """A picture as a small WebP in a data URI."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return data_uri(small, "WEBP", quality=80)
