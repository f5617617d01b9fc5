"""Starts the page: `python app.py [--model PATH_OR_ID] [--device D] [--dtype T] [--port N] [--share]`.

The page answers at once; torch, transformers and the model load behind it.
"""

import argparse
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line, with defaults from STAMP_MODEL, STAMP_DEVICE and STAMP_DTYPE."""
    env = os.environ.get
    parser = argparse.ArgumentParser(description="STAMP: chat about a picture and see masks.")
    parser.add_argument("--model", default=env("STAMP_MODEL") or None, help="folder or hub id; default: stamp-nano")
    parser.add_argument("--device", default=env("STAMP_DEVICE") or "auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--dtype", default=env("STAMP_DTYPE") or "auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, or the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's tunnel")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until interrupted."""
    from demo.loading import ModelSlot
    from demo.ui import build_demo, launch_options

    given = parse_arguments(arguments)
    slot = ModelSlot.from_arguments(given.model, given.device, given.dtype)
    options = launch_options() | {"share": given.share}
    if given.port is not None:  # otherwise Gradio reads GRADIO_SERVER_PORT
        options["server_port"] = given.port
    demo = build_demo(slot)
    demo.launch(prevent_thread_lock=True, **options)
    slot.start()  # last: the imports would slow down the first page
    demo.block_thread()


if __name__ == "__main__":
    main()
