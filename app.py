"""Starts the page: `python app.py [--model NAME] [--quantization Q] [--device D] [--port N] [--share] ...`.

The page is up at once; torch, transformers and the model load in the background.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.board.sources import Sources, add_source_options, read_sources
from demo.security.limits import add_limit_options, read_limits
from demo.security.scratch import is_own, scratch_folder
from stamp.checkpoints.load_options import LoadOptions
from stamp.files import StorageError
from stamp.options import add_limit_option, add_model_options, read_model_options
from stamp.threads import let_threads_sleep

if TYPE_CHECKING:
    from demo.security.page import Page

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "SPACE_ID" in os.environ:  # all visitors of a Space come through the Hub's proxy, which passes on their addresses
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "*")

log = logging.getLogger(__name__)

#: SIGINT too, because a shell lets programs in the background ignore it.
ENDS = (signal.SIGINT, signal.SIGTERM)
#: Senders of SIGTERM usually wait ten seconds.
END_S = 8.0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line; STAMP_MODEL, STAMP_QUANTIZATION, STAMP_DEVICE ... give the defaults."""
    parser = argparse.ArgumentParser(description="STAMP: chat about a picture and see masks.")
    add_model_options(parser, LoadOptions(quantization="auto"), from_environment=True)
    add_limit_option(parser, from_environment=True)
    add_source_options(parser)
    add_limit_options(parser)
    parser.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, or the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's tunnel")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until interrupted or terminated; then delete all visitor data on disk."""
    let_threads_sleep()  # before torch is imported
    given = parse_arguments(arguments)
    try:
        sources = read_sources(given)
    except ValueError as error:
        sys.exit(f"error: {error}")
    for number in ENDS:
        signal.signal(number, interrupt)
    try:
        with suppress(KeyboardInterrupt), scratch_folder():
            serve(given, sources)
    except StorageError as error:
        sys.exit(f"error: {error}")


def serve(given: argparse.Namespace, sources: Sources) -> None:
    """Start the page, load the model in the background, and wait."""
    from demo.gpu import is_lent
    from demo.loading import ModelSlot
    from demo.request_log import write_lines
    from demo.ui import build_demo, launch_options

    write_lines()
    slot = ModelSlot.from_options(read_model_options(given), given.max_seconds)
    options = launch_options() | {"share": given.share}
    if given.port is not None:  # otherwise Gradio reads GRADIO_SERVER_PORT
        options["server_port"] = given.port
    demo = build_demo(slot, sources=sources, limits=read_limits(given))
    if is_lent():  # weights reach a lent GPU only if they are loaded before the page starts
        slot.start().wait()
    try:
        listen(demo, options)
        if not is_lent():
            slot.start()  # last, because the imports would slow down the first page
        demo.block_thread()
    finally:
        demo.close(verbose=False)  # `block_thread` does so only if it is interrupted itself


def listen(demo: "Page", options: dict[str, Any]) -> None:
    """Start the server. Ends the program with a sentence if the port is in use."""
    try:
        demo.launch(prevent_thread_lock=True, **options)
    except OSError as error:  # from Gradio, which gives no details
        log.debug("the server did not start", exc_info=True)
        port = options.get("server_port") or os.environ.get("GRADIO_SERVER_PORT")
        place = f"port {port}" if port else "any port from 7860 on"
        raise SystemExit(f"error: the page cannot listen on {place}: it is in use. Choose another --port.") from error


def interrupt(*_: Any) -> None:
    """Handle SIGTERM, which stops services and containers, like Ctrl-C: once, and for at most END_S."""
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)
    watchdog = threading.Timer(END_S, end_now)
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt


def end_now() -> None:
    """Exit even if an answer or a library is still running."""
    folder = Path(os.environ.get("GRADIO_TEMP_DIR", ""))
    if is_own(folder):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
