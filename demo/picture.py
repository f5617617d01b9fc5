"""The image input of the page and of the endpoint: hands over the uploaded file unopened."""

from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from gradio_client.utils import is_http_url_like


class _PlainMeta(ComponentMeta):
    """Gradio's metaclass writes a .pyi beside every module that subclasses a component; this one does not."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        return ABCMeta.__new__(mcs, name, bases, attributes)


class FileImage(gr.Image, metaclass=_PlainMeta):
    """A gr.Image whose handler gets the path of the file as it was uploaded.

    Differs from its parent: nothing is opened here, so `stamp.images.load_image` is the only decoder; a web
    address is handed on for the loader to refuse, where the parent downloads it.
    """

    is_template = True  # drawn by the frontend as its parent, "image"

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path (or the web address) of the file; None when there is none."""
        return None if payload is None else payload.path or payload.url

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As the parent, without the download."""
        if is_web_address(url_or_file_path):
            return str(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As the parent, without the download."""
        if is_web_address(url_or_file_path):
            return str(url_or_file_path)
        return super().move_resource_to_block_cache(url_or_file_path)


def is_web_address(source: str | Path | None) -> bool:
    """Whether Gradio would fetch this over the network."""
    return source is not None and is_http_url_like(str(source))
