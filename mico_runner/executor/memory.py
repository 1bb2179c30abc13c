"""How much memory there is for further processes, and how much one has needed (Linux; elsewhere not known)."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # version 2: the limit of a container
_KIB = 1024


def available() -> int | None:
    """Bytes that may be taken without swapping, by the system and by the container; None where neither says."""
    found = [_of_system(), _of_container()]
    return min((amount for amount in found if amount is not None), default=None)


def peak(process: int) -> int | None:
    """The most bytes that a process had in memory so far; None when it is gone or nobody says."""
    return _field(Path(f"/proc/{process}/status"), "VmHWM")


def own_peak() -> int:
    """The same of this process."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * _KIB


def fitting(each: int, room: int | None) -> int | None:
    """Processes of so many bytes that there is room for; None: no limit is known."""
    return None if room is None else room // max(each, 1)


def _of_system() -> int | None:
    return _field(MEMINFO, "MemAvailable")


def _of_container() -> int | None:
    try:
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        cached = [
            line.split()[1] for line in (CGROUP / "memory.stat").read_text().splitlines() if line.startswith("file ")
        ]
        return None if limit == "max" else max(int(limit) - int(used) + int(cached[0] if cached else 0), 0)
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int | None:
    """A line "name:  number kB" in bytes."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * _KIB
    except (OSError, ValueError, IndexError):
        return None
    return None
