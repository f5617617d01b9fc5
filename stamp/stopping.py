"""Ctrl-C as a request: a training ends between two steps, an answer between two tokens, and what is there is kept."""

import signal
import threading

#: The exit status that a shell reports for a program that Ctrl-C has ended.
INTERRUPTED = 130


def stop_on(*numbers: signal.Signals) -> threading.Event:
    """What these signals set, even when the shell started the program in the background.

    A second signal raises KeyboardInterrupt at once.
    """
    stop = threading.Event()

    def ask(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in numbers:
        signal.signal(number, ask)
    return stop


def stop_on_signals() -> threading.Event:
    """`stop_on` what ends a program from outside: Ctrl-C and SIGTERM."""
    return stop_on(signal.SIGINT, signal.SIGTERM)
