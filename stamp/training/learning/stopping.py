"""Ctrl-C and SIGTERM end a training between two steps: a run cannot be resumed from half a step."""

import signal
import threading


def stop_on_signals() -> threading.Event:
    """What Ctrl-C or SIGTERM sets, even when the shell started the program in the background.

    A second signal raises KeyboardInterrupt at once; the last save stays.
    """
    stop = threading.Event()

    def ask(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop
