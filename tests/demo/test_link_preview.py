"""What a link to the page shows where it is shared."""

import io
import re

from PIL import Image

from demo.link_preview import DESCRIPTION, PICTURE
from tests.demo.attacks.stranger import strangers_page


def tags_of(html: str) -> list[tuple[str, str]]:
    return re.findall(r'<meta\s+(?:name|property)="((?:og:|twitter:|description)[^"]*)"\s+content="([^"]*)"', html)


def test_the_page_describes_itself_and_names_its_own_picture() -> None:
    with strangers_page() as stranger:
        html = stranger.http.get("/").text
        tags = dict(tags_of(html))
        assert len(tags) == len(tags_of(html)) == 7  # none twice: readers differ in which one they take
        assert (tags["og:title"], tags["og:description"], tags["description"]) == ("STAMP", DESCRIPTION, DESCRIPTION)
        assert tags["twitter:card"] == "summary_large_image"
        assert "Gradio" not in " ".join(tags.values())
        root = str(stranger.http.base_url).rstrip("/")
        assert (tags["og:url"], tags["og:image"]) == (root, f"{root}/preview.jpg")
        picture = stranger.http.get("/preview.jpg")
        assert picture.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(picture.content)).size == (1200, 630)
        assert stranger.http.head("/preview.jpg").status_code == 200
        hidden = stranger.http.get("/", headers={"x-forwarded-host": 'a"><script>alert(1)</script>'}).text
        assert "<script>alert(1)" not in hidden


def test_behind_a_proxy_it_is_the_address_that_visitors_see() -> None:
    with strangers_page() as stranger:
        forwarded = {"x-forwarded-host": "example.org", "x-forwarded-proto": "https"}
        tags = dict(tags_of(stranger.http.get("/", headers=forwarded).text))
        assert tags["og:image"] == "https://example.org/preview.jpg"


def test_the_picture_is_small() -> None:
    assert PICTURE.stat().st_size < 300_000
