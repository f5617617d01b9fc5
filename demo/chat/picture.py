"""The image input of the page and of the endpoint: passes on the uploaded file unopened, and accepts no other file."""

import threading
from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder

#: For every file that is not an upload, existing or not, so that nobody learns which files exist.
NOT_UPLOADED = "This picture is no longer on the server. Please choose it again."


#: Held while a picture is decoded and shrunk: until then, a large one takes 350 MB.
DECODING = threading.BoundedSemaphore(2)


class _PlainMeta(ComponentMeta):
    """Gradio's metaclass writes a .pyi beside every module that subclasses a component; this one does not."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> type:
        return ABCMeta.__new__(mcs, name, bases, attributes)


class FileImage(gr.Image, metaclass=_PlainMeta):
    """A gr.Image whose handler gets the path of the file as it was uploaded.

    Differs from its parent: nothing is opened here, so `demo.decoding` is the only decoder; and only files in Gradio's
    upload folder are accepted, where the parent also reads addresses and, without `meta`, any path.
    """

    is_template = True  # the frontend renders it like its parent, "image"

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of the uploaded file; None when there is none. Raises gr.Error with NOT_UPLOADED."""
        return None if payload is None else uploaded_file(payload.path)


def uploaded_file(path: Any) -> str:
    """The resolved path of a file inside Gradio's upload folder. Raises gr.Error with NOT_UPLOADED for all else."""
    try:
        file = Path(path).resolve()
        if file.is_relative_to(Path(get_upload_folder()).resolve()) and file.is_file():
            return str(file)
    except (OSError, RuntimeError, TypeError, ValueError):  # too long a name, a loop of links, not a string, a NUL
        pass
    raise gr.Error(NOT_UPLOADED, print_exception=False)


def only_uploads(value: Any, *, is_picture: bool = False) -> Any:
    """An input as a visitor sent it, with nothing left of each file in it but the path of an upload.

    Runs before Gradio looks at the input: Gradio checks only those files that carry the `meta` it expects.
    is_picture: the input is a picture, so it has to be a file or None. Raises gr.Error with NOT_UPLOADED.
    """
    if isinstance(value, dict) and ("path" in value or "url" in value):
        return {"path": uploaded_file(value.get("path")), "meta": {"_type": "gradio.FileData"}}
    if is_picture and value is not None:
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    if isinstance(value, dict):
        return {name: only_uploads(inner) for name, inner in value.items()}
    return [only_uploads(inner) for inner in value] if isinstance(value, list) else value
