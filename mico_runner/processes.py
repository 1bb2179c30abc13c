"""Starts compilers, simulators and worker processes: none of them outlives the run, whatever ends it.

A command runs in a process group of its own. Leader of the group is a shell that waits on a pipe whose other end this process holds:
when this process dies, even by SIGKILL, the kernel closes the pipe and the shell kills the group, itself included. The command joins
the group before it executes, and holds the pipe open until then, so that there is no moment at which it could be missed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_WATCH = ["/bin/sh", "-c", "trap '' HUP INT TERM; read -r _; kill -s KILL 0"]


def run(
    command: Sequence[str | Path], cwd: Path | None = None, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command without input to its end; what it started and left behind is killed then.

    Returns:
        Its exit code (the negative number of the signal that ended it) and both outputs as text.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took longer than `timeout_s` and was killed; holds what it had written, as bytes.
    """
    reading, writing = os.pipe()
    watch = None
    try:
        watch = subprocess.Popen(
            _WATCH, stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        with subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=watch.pid,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            finally:
                _kill(watch.pid)
        return subprocess.CompletedProcess(command, process.returncode, out, err)
    finally:
        os.close(reading)
        os.close(writing)  # the end of the shell, had it not been killed yet
        if watch is not None:
            watch.wait()  # last: until then its number is that of no other group


def start_python(code: str, socket: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Run Python code beside this process, without input; what it prints goes to the error stream.

    Args:
        code: takes the number of a file descriptor as its argument, that of `socket`, and ends when the other end of this is closed:
            the kernel does so when this process dies.
    """
    return subprocess.Popen(
        [sys.executable, "-c", code, str(socket)],
        stdin=subprocess.DEVNULL,
        stdout=2,
        env=dict(environment),
        pass_fds=[socket],
    )


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter: only zombies are left, on some systems
        os.killpg(group, signal.SIGKILL)
