"""Memory that this process may still take: the machine's, or less where a container has a limit of its own."""

from pathlib import Path

import psutil

#: Of the process's control group (cgroup v2), as a container sees it.
CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int:
    """Bytes. The page cache counts as free: the system gives it up for a process that needs the room."""
    free: int = psutil.virtual_memory().available
    limit = _container_bytes()
    return free if limit is None else max(0, min(free, limit))


def _container_bytes() -> int | None:
    """What is left of the container's limit; None without one, or where it cannot be read."""
    try:
        most, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return most - used + int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):  # "max" is no limit
        return None
