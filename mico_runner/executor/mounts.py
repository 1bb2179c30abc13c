"""Whether the locks of a folder hold between machines, from the kernel's list of what is mounted (Linux).

Sources: flock(2), nfs(5) (`local_lock`, `nolock`), mount.lustre(8) (`flock`, `localflock`), mount.cifs(8) (`nobrl`, and that flock is
emulated by byte-range locks), the kernel's Documentation/filesystems/9p.rst (`cache`, `locks` not shared by default).
"""

from __future__ import annotations

import re
from pathlib import Path

from mico_runner.errors import UsageError

MOUNTS = Path("/proc/self/mountinfo")
_MEND = "put --outputs where they hold, such as NFS 4 without local_lock or Lustre with flock"
# File systems that several machines share -> options with which their locks hold between them, and options with which they do not.
_SHARED: dict[str, tuple[set[str], set[str]]] = {
    "nfs": (set(), {"nolock", "local_lock=all", "local_lock=flock"}),
    "nfs4": (set(), {"nolock", "local_lock=all", "local_lock=flock"}),
    "lustre": ({"flock"}, {"localflock", "noflock"}),
    "ceph": (set(), set()),
    "gpfs": (set(), set()),
    "ocfs2": (set(), {"localflocks"}),
    "gfs2": (set(), {"localflocks", "lockproto=lock_nolock"}),
}
# Those whose locks nobody else sees, or sees under some servers alone.
_UNSURE = ("cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "beegfs")


def check_shared(folder: Path, mounts: Path = MOUNTS) -> None:
    """Raise UsageError where other machines see the folder, but not its locks; of a system that has no such list nothing is known."""
    kind, options = mounted(folder, mounts)
    if kind in _UNSURE:
        raise UsageError(f"{folder}: a file system of kind {kind}, whose locks other machines do not see; {_MEND}")
    if kind not in _SHARED:
        return
    needed, broken = _SHARED[kind]
    if found := sorted(broken & options):
        raise UsageError(
            f"{folder}: {kind} mounted with {found[0]}, so that other machines do not see its locks; {_MEND}"
        )
    if needed - options:
        raise UsageError(f"{folder}: {kind} mounted without {min(needed)}, so that it has no locks; {_MEND}")


def mounted(folder: Path, mounts: Path = MOUNTS) -> tuple[str, set[str]]:
    """Kind and options of the file system that holds a folder, which need not exist yet; "" where nobody says."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return "", set()
    where, kind, options = Path(""), "", set[str]()
    place = folder.resolve()
    for line in lines:  # of two at the same place, the later one is on top
        before, _, after = line.partition(" - ")
        fields, system = before.split(" "), after.split(" ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= len(where.parts):
            where, kind = point, system[0]
            options = {*fields[5].split(","), *system[-1].split(",")}
    return kind, options
