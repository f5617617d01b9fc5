"""What else the machine does during a measurement: how much of it is in use, and a process that keeps it busy."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

#: A machine is not idle if more than this share of all cores is in use before the measurement.
MOST_WHEN_IDLE = 0.05
WINDOW_S = 2.0
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with the process that started it


def busy_share() -> float:
    """The share of the machine that others use now, over two seconds."""
    return round(psutil.cpu_percent(WINDOW_S) / 100, 2)


def busy_words(share: float) -> str:
    """How busy the machine was with other things, in a sentence."""
    if share <= MOST_WHEN_IDLE:
        return f"The machine was otherwise idle ({share:.0%} in use before)."
    return (
        f"Measured beside a busy process: {share:.0%} of the machine was in use before, so all seconds are pessimistic."
    )


@contextmanager
def busy_process() -> Iterator[None]:
    """A process that keeps one core busy, for the time of the block."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()
