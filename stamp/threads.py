"""How torch's threads wait for each other. Torch reads it once, so it is set before torch is imported.

On a CPU, torch computes with OpenMP threads. While they wait they spin: on an idle machine that saves microseconds, but
beside one busy process a spinning thread takes the core that the others need, and an answer takes many times
longer. Every Space and lab machine has such neighbours, and the page's own server is one. PASSIVE lets them sleep.
docs/threads.md has the figures.

This is the only place that sets it. All entry points call it first: the page, the command lines, the trainer and the
tests (`.ci/run` sets the same for the shell). If you use `stamp` from Python, set OMP_WAIT_POLICY in the environment.
"""

import os


def let_threads_sleep() -> None:
    """Set OMP_WAIT_POLICY=PASSIVE for this process and those it starts, unless the environment has a value."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
