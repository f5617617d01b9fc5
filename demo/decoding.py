"""Decodes visitors' files in a separate process with limits on memory and time, which can be killed.

So a vulnerable decoder, or a file that takes hours to decode, gives one visitor an error and does not harm the page.
The process (`python -m demo.decoding`) is kept warm and handles one file after another over pipes. It returns only
bytes, never a pickle, so an attacker who takes it over cannot make the page run code. It is not a sandbox: it runs as
the same user.
"""

import faulthandler
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from PIL import Image

from stamp.pictures.images import DEFAULT_LIMITS, ImageError, ImageLimits, load_image, read_file

log = logging.getLogger(__name__)

#: Formats that visitors use. The command line also reads PPM and TIFF, whose decoder has had the most vulnerabilities.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
#: The largest accepted pictures take 5 to 15 s on two busy cores; a JPEG of 40 kB can be made to take as long.
MAX_SECONDS = 30.0
#: Memory of a decoder beyond what it has before the first file; the largest accepted pictures take up to 840 MB.
MAX_MEMORY_BYTES = 1_100_000_000
TOO_LONG = "This picture takes too long to read. Save it again with an image editor, then try that file."
BROKEN_OFF = "Reading this picture was interrupted. Please try again, or choose another one."
#: The largest pipe that Linux gives without privileges (other systems keep their size). With less, both sides wake up
#: far more often.
PIPE_BYTES = 1_048_576
ROOT = Path(__file__).resolve().parent.parent

#: A question: length of the limits as JSON, and of the file, in bytes; both follow.
QUESTION = struct.Struct("<II")
#: An answer: width and height, followed by RGBX; or 0 and the length of an error message, which follows.
ANSWER = struct.Struct("<II")
MAX_SENTENCE_BYTES = 2000


class Decoder:
    """Warm processes, as many as were needed at the same time. max_seconds, max_memory_bytes: of each."""

    def __init__(self, max_seconds: float = MAX_SECONDS, max_memory_bytes: int = MAX_MEMORY_BYTES):
        self.max_seconds = max_seconds
        self.max_memory_bytes = max_memory_bytes
        self._lock = threading.Lock()
        self._idle: list[Child] = []

    def load(self, path: str | Path, limits: ImageLimits = DEFAULT_LIMITS) -> Image.Image:
        """As `stamp.pictures.images.load_image`, of the formats of visitors. Raises ImageError."""
        limits = replace(limits, formats=FORMATS)
        data = read_file(path, limits)
        child = self._take()
        try:
            picture = child.load(data, limits, self.max_seconds)
        except ImageError:
            self._keep(child)
            raise
        except BaseException:
            child.end()
            raise
        self._keep(child)
        return picture

    def warm(self) -> None:
        """Have a process ready for the first picture; does not wait for it."""
        self._keep(self._take())

    def rest(self) -> None:
        """End the processes that wait, except one: each takes 40 MB, and a crowd is over."""
        self._end(keep=1)

    def close(self) -> None:
        """End the processes that wait. The next picture starts a new one."""
        self._end(keep=0)

    def _end(self, keep: int) -> None:
        with self._lock:
            self._idle, children = self._idle[:keep], self._idle[keep:]
        for child in children:
            child.end()

    def _take(self) -> "Child":
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                return Child(self.max_memory_bytes)
            if child.is_alive:
                return child
            child.end()

    def _keep(self, child: "Child") -> None:
        if child.is_alive:
            with self._lock:
                self._idle.append(child)
        else:
            child.end()


class Child:
    """One decoding process, seen from the page."""

    def __init__(self, max_memory_bytes: int):
        # One arena and one thread, because memory that a library only reserves counts against the limit too.
        quiet = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(max_memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            cwd=ROOT,
            env=os.environ | quiet,
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def load(self, data: bytes, limits: ImageLimits, max_seconds: float) -> Image.Image:
        """The decoded file. Raises ImageError; after one that is raised here, the process has ended."""
        options = json.dumps({"seconds": max_seconds, "limits": asdict(limits)}).encode()
        began = time.monotonic()
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(QUESTION.pack(len(options), len(data)) + options)
            self._process.stdin.write(data)
            self._process.stdin.flush()
            return receive(self._process.stdout, limits)
        except (EOFError, OSError) as error:
            is_late = time.monotonic() - began >= max_seconds
            self._process.kill()
            log.warning("a picture was not read: its decoder ended with %s", self._process.wait())
            raise ImageError(TOO_LONG if is_late else BROKEN_OFF) from error

    def end(self) -> None:
        """Kill it, if it still runs, and forget it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # unsent data cannot be sent any more
                pipe.close()  # type: ignore[union-attr]


def receive(pipe: IO[bytes], limits: ImageLimits) -> Image.Image:
    """The picture that a decoder sends. Raises ImageError with its message; EOFError for too few or too many bytes."""
    width, height = ANSWER.unpack(exactly(pipe, ANSWER.size))
    if not width:
        raise ImageError(exactly(pipe, min(height, MAX_SENTENCE_BYTES)).decode(errors="replace"))
    if not 1 <= width * height <= limits.max_pixels:
        raise EOFError("a decoder sent a picture of an impossible size")
    return Image.frombytes("RGB", (width, height), exactly(pipe, 4 * width * height), "raw", "RGBX")


def exactly(pipe: IO[bytes], n_bytes: int) -> bytes:
    """Read exactly this many bytes. Raises EOFError if the other end is gone."""
    data = pipe.read(n_bytes)
    if len(data) < n_bytes:
        raise EOFError
    return data


#: The decoder of the whole page; starts its first process on first use.
DECODER = Decoder()


# -- the process ---------------------------------------------------------------------------------------------------


def main(max_memory_bytes: int) -> None:
    """Answer until the page goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the page, which ends this process
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps what a library prints out of the answers
    Image.init()  # all plugins, before the memory is limited
    limit_process(max_memory_bytes)
    while header := sys.stdin.buffer.read(QUESTION.size):
        serve(header, sys.stdin.buffer, pipe)


def limit_process(max_memory_bytes: int) -> None:
    """Limit the memory and forbid writing files. Windows has no such limits; there only the time limit applies."""
    try:
        import resource
    except ImportError:
        return
    import psutil

    most = psutil.Process().memory_info().vms + max_memory_bytes
    for kind, value in ((resource.RLIMIT_AS, most), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):  # macOS refuses some
            resource.setrlimit(kind, (value, value))


def serve(header: bytes, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer one question."""
    n_options, n_bytes = QUESTION.unpack(header)
    options = json.loads(exactly(questions, n_options))
    limits = ImageLimits(**options["limits"] | {"formats": tuple(options["limits"]["formats"])})
    # A thread here watches the time without the interpreter; one in the page would cost it 30 ms per picture.
    faulthandler.dump_traceback_later(options["seconds"], exit=True)
    try:
        picture = load_image(exactly(questions, n_bytes), limits)
        answers.write(ANSWER.pack(*picture.size))
        answers.write(picture.tobytes("raw", "RGBX"))  # the layout in Pillow's memory: 20 times as fast as RGB
    except ImageError as error:
        sentence = str(error).encode()[:MAX_SENTENCE_BYTES]
        answers.write(ANSWER.pack(0, len(sentence)) + sentence)
    answers.flush()
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(int(sys.argv[1]))
