"""A lock on a file that many may share or one may have alone; the kernel frees it when its process dies.

One lock per cached step result: alone while the step is computed, shared while a run still reads the result, so that
neither a forced run nor `gc` takes it away under a reader.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from mico_runner import durable


class FileLock:
    """Shared / exclusive lock (flock) on `path`, which is created when it is absent; an object is for one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, shared: bool = False, wait: bool = True) -> bool:
        """Take the lock, or turn the one that is held into the other kind; False when others have it and `wait` is off."""
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        while True:
            if self._handle is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.is_dir():  # nobody can hold it: it is damage
                    durable.remove(self.path)
                self._handle = self._open()
            try:
                fcntl.flock(self._handle, mode)
            except BlockingIOError:
                self.release()
                return False
            if self._is_at_its_path(self._handle):
                return True
            self.release()  # its owner deleted the file while we waited: what we hold protects nothing

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:  # another user's, or of a file system to read; to hold it, reading is enough
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def release(self) -> None:
        """Give it back; nothing happens when it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def delete(self) -> None:
        """Remove the file and give the lock back; call it with the lock held alone."""
        self.path.unlink(missing_ok=True)
        self.release()

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_at_its_path(self, handle: int) -> bool:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        held = os.fstat(handle)
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
