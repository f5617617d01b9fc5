"""The page as it is served: the layout builds, and `/segment` answers a client with a real, tiny model."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo.chat.chat import WENT_WRONG
from demo.chat.gallery import read_examples, thumbnail
from demo.chat.known import read_known
from demo.chat.picture import FileImage
from demo.loading import ModelSlot
from demo.ui import build_demo, launch_options
from stamp import StampPredictor
from stamp.pictures.masks import decode_rle
from tests.demo.attacks.stranger import strangers_page
from tests.demo.pictures import write_bad, write_good

TIED = Path(__file__).parents[1] / "parity" / "models" / "tied"


@pytest.fixture(scope="module")
def predictor() -> StampPredictor:
    return StampPredictor.from_pretrained(TIED, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def client(predictor: StampPredictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    slot = ModelSlot(lambda: predictor, "tied").start()
    demo = build_demo(slot, examples=Path("none"))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield Client(url, verbose=False, download_files=tmp_path_factory.mktemp("client"))
    demo.close(verbose=False)


def test_only_segment_is_public(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(endpoints) == ["/segment"]
    assert "Answer a prompt about an image" in endpoints["/segment"]["description"]
    assert [parameter["parameter_name"] for parameter in endpoints["/segment"]["parameters"]] == [
        "image",
        "prompt",
        "refine",
        "conversation",
    ]


def test_segment_gives_what_the_predictor_gives(client: Client, predictor: StampPredictor, tmp_path: Path) -> None:
    path, size = write_good(tmp_path)["turned.jpg"]
    overlay, record = client.predict(handle_file(path), "segment the apple", api_name="/segment")
    expected = json.loads(json.dumps(predictor.segment(path, "segment the apple").to_record()))
    expected["conversation"] = [
        {"role": "user", "content": "segment the apple"},
        {"role": "assistant", "content": expected["response"]},
    ]
    assert record.pop("timings_s") != expected.pop("timings_s")
    assert record == expected
    assert (record["width"], record["height"]) == size
    with Image.open(overlay) as picture:
        assert (picture.format, picture.size) == ("PNG", size)


def test_a_conversation_goes_on_where_the_last_call_left_it(
    client: Client, predictor: StampPredictor, tmp_path: Path
) -> None:
    path, _ = write_good(tmp_path)["palette.png"]
    _, first = client.predict(handle_file(path), "segment the apple", "none", api_name="/segment")
    _, second = client.predict(
        handle_file(path), "and its leaf", refine="none", conversation=first["conversation"], api_name="/segment"
    )
    said = [("segment the apple", first["response"])]
    expected = predictor.segment(path, "and its leaf", refine="none", history=said)
    assert (second["text"], second["response"]) == (expected.text, expected.response)
    assert [message["content"] for message in second["conversation"]] == [
        "segment the apple",
        first["response"],
        "and its leaf",
        second["response"],
    ]


def test_masks_of_the_record_decode_to_the_size_of_the_image(
    client: Client, predictor: StampPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The random model need not write `<|seg|>`; a given response does."""
    forced = predictor.predict_masks(Image.new("RGB", (40, 30), "red"), "segment", "It is <|seg|> and <|seg|>.")
    monkeypatch.setattr(predictor, "segment", lambda *_, **__: forced)
    path, _ = write_good(tmp_path)["palette.png"]
    _, record = client.predict(handle_file(path), "segment", api_name="/segment")
    masks = np.stack([decode_rle(mask["rle"]) for mask in record["masks"]])
    assert (masks == forced.masks).all()


@pytest.mark.parametrize("name", ["corrupt", "no image", "empty", "huge", "bomb", "strip"])
def test_segment_refuses_bad_pictures_in_words(client: Client, tmp_path: Path, name: str) -> None:
    path, words = write_bad(tmp_path)[name]
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(path), "segment the apple", api_name="/segment")


@pytest.mark.parametrize(("prompt", "words"), [("  ", "Type a request first"), ("a" * 2001, "2,001 characters")])
def test_segment_refuses_bad_prompts_in_words(client: Client, tmp_path: Path, prompt: str, words: str) -> None:
    path, _ = write_good(tmp_path)["pixel.png"]
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(path), prompt, api_name="/segment")


def test_segment_without_an_image_is_refused(client: Client) -> None:
    with pytest.raises(AppError, match="Give an image file"):
        client.predict(None, "segment the apple", api_name="/segment")


def test_a_web_address_is_refused_and_never_fetched(client: Client) -> None:
    asked: list[str] = []

    class Witness(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    server = HTTPServer(("127.0.0.1", 0), Witness)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/cat.png"
    with pytest.raises(AppError, match="no longer on the server"):
        client.predict({"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}, "x", api_name="/segment")
    server.shutdown()
    assert asked == []


def test_a_failure_of_the_model_leaks_nothing(
    client: Client, predictor: StampPredictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret /root/path")

    monkeypatch.setattr(predictor, "segment", fail)
    path, _ = write_good(tmp_path)["pixel.png"]
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(path), "segment the apple", api_name="/segment")
    assert WENT_WRONG in str(caught.value)
    assert "secret" not in str(caught.value)


def test_uploaded_files_reach_the_handler_unopened() -> None:
    image = FileImage(type="filepath", render=False)
    assert image.get_block_name() == "image"
    assert image.preprocess(None) is None
    upload = Path(get_upload_folder()) / "text.png"
    upload.parent.mkdir(parents=True, exist_ok=True)
    upload.write_text("no picture")
    assert image.preprocess(image.data_model(path=str(upload))) == str(upload.resolve())
    assert not list(Path("demo").glob("*.pyi"))


def test_known_things_are_read_in_order_when_there_are_any(tmp_path: Path) -> None:
    (tmp_path / "nouns.json").write_text('["pear", "apple"]')
    assert read_known(tmp_path / "nouns.json") == ("apple", "pear")
    assert read_known(tmp_path / "none.json") == ()


def test_examples_are_read_when_there_are_any(tmp_path: Path) -> None:
    assert read_examples(tmp_path / "examples.json") == []
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    entries = [{"image": "a.png", "prompt": "segment the apple", "licence": "CC0"}]
    (tmp_path / "examples.json").write_text(json.dumps(entries))
    assert read_examples(tmp_path / "examples.json") == [(tmp_path / "a.png", "segment the apple")]
    demo = build_demo(ModelSlot(lambda: 1 / 0), tmp_path / "examples.json")  # type: ignore[arg-type, return-value]
    (shown,) = (block for block in demo.blocks.values() if getattr(block, "elem_id", None) == "examples")
    assert isinstance(shown, gr.HTML)
    assert "segment the apple" in str(shown.value)
    assert str(shown.value).count("data:image/webp;base64,") == 1
    assert any(isinstance(block, gr.Chatbot) for block in demo.blocks.values())


def test_an_example_is_served_small(tmp_path: Path) -> None:
    """Full-size pictures of 1.5 MB were shown at 75 pixels."""
    Image.effect_noise((1200, 800), 80).convert("RGB").save(tmp_path / "noise.png")
    assert len(thumbnail(tmp_path / "noise.png")) < 60_000 < (tmp_path / "noise.png").stat().st_size


def test_the_page_starts_also_where_it_answers_its_first_request_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradio.networking.url_ok", lambda _: False)  # as after three seconds on a busy machine
    with strangers_page() as stranger:
        assert stranger.http.get("/config").status_code == 200
