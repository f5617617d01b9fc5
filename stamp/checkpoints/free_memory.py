"""Memory that this process may still take: the machine's, or less where a container or a service has a limit."""

from pathlib import Path

import psutil

#: All control groups (cgroup v2); in a container, its own.
CGROUP = Path("/sys/fs/cgroup")
#: Which of them the process is in: a line "0::/system.slice/stamp.service".
MINE = Path("/proc/self/cgroup")


def free_memory() -> int:
    """Bytes. The page cache counts as free: the system gives it up for a process that needs the room."""
    free: int = psutil.virtual_memory().available
    limits = [limit for group in _groups() if (limit := _bytes_left(group)) is not None]
    return max(0, min([free, *limits]))


def _groups() -> list[Path]:
    """The process's control group and those around it, whose limits hold, too."""
    try:
        (path,) = [line[3:] for line in MINE.read_text().splitlines() if line.startswith("0::")]
    except (OSError, ValueError):
        return [CGROUP]
    group = CGROUP / path.lstrip("/")
    return [group, *(parent for parent in group.parents if parent.is_relative_to(CGROUP))]


def _bytes_left(group: Path) -> int | None:
    """What is left of a control group's limit; None without one, or where it cannot be read."""
    try:
        most, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return most - used + int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):  # "max" is no limit
        return None
