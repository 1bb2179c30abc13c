"""Builds what `codegen` has written, and runs what it built: what all targets that execute the C share."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mico_runner import durable, processes
from mico_runner.codegen.description import ProgramAbout
from mico_runner.codegen.footprint import BOARDS
from mico_runner.errors import StepError

BUILD_TIMEOUT_S = 1800.0
VERSION_TIMEOUT_S = 60.0  # of a tool that only says its version
SANITIZER_LINES = ("SUMMARY: AddressSanitizer", "SUMMARY: UndefinedBehaviorSanitizer", "SUMMARY: LeakSanitizer")
_SOURCES = ("*.c", "*.h", "src/*.c", "src/*.h", "boards/*.c", "boards/*/*", "Makefile", "network.json")
_SUMS = "sums.json"  # of a build's files
_LAST_LINES = 15  # of a failed tool's output, in the message


def make(
    folder: Path, into: Path | str | None, product: str, *, compiler: str, key: str, settings: Sequence[str] = ()
) -> Path:
    """Run the folder's own Makefile.

    Args:
        into: where builds are kept; `folder`/build by default.
        product: what is made, relative to the build folder.
        compiler: its name in messages.
        key: what the product depends on besides the sources and `settings`: the compiler's version.
        settings: variables of the Makefile, "NAME=value".

    Returns:
        The product, in a folder named by the content of the sources, the settings and `key`, so that a stale one is never run and
        an unchanged one is never built again, unless it is damaged. `network.json` lies in that folder too.

    Raises:
        StepError: with the compiler's last lines.
    """
    sources = sorted({path for pattern in _SOURCES for path in folder.glob(pattern)})
    digest = hashlib.sha256("\n".join([key, product, *settings]).encode())
    for source in sources:
        content = source.read_bytes()
        digest.update(f"{source.relative_to(folder)} {len(content)}\n".encode() + content)
    store = Path(into) if into else folder / "build"
    home = store / digest.hexdigest()[:16]
    if (home / product).is_file() and _whole(home):
        return home / product
    durable.remove(home)
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=store) as scratch:
        work = Path(scratch) / "work"
        for source in sources:
            target = work / source.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        jobs = f"-j{os.cpu_count() or 1}"
        command = ["make", "--no-print-directory", jobs, "BUILD=.", *settings, f"./{product}"]
        checked(command, compiler, BUILD_TIMEOUT_S, cwd=work)
        (work / _SUMS).write_text(json.dumps(durable.contents(work)), encoding="utf-8")
        try:
            work.rename(home)
        except OSError:  # another process has built the same meanwhile
            if not (home / product).is_file():
                raise
    return home / product


def _whole(home: Path) -> bool:
    """Whether a kept build is as the compiler left it."""
    try:
        sums = json.loads((home / _SUMS).read_text(encoding="utf-8"))
        return all(kind == "folder" or durable.sha256(home / name) == kind for name, kind in sums.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def describe(folder: Path) -> ProgramAbout:
    """The network.json that `codegen` wrote; raises StepError when there is none."""
    path = folder / "network.json"
    if not path.is_file():
        raise StepError(f"{folder} holds no generated network (no network.json); run codegen first")
    about: ProgramAbout = json.loads(path.read_text(encoding="utf-8"))
    return about


def by_node(folder: Path, latencies: np.ndarray) -> dict[str, float]:
    """Node -> latency, in order, of the one network that `codegen` wrote into `folder`.

    Args:
        latencies: (N, kernel calls); of each call the median over the samples counts.
    """
    total: dict[str, float] = {}
    for call, latency in zip(describe(folder)["networks"][0]["layers"], np.median(latencies, axis=0), strict=True):
        total[call["node"]] = total.get(call["node"], 0.0) + float(latency)
    return total


def flash_bytes(elf: Path, board: str) -> int:
    """What a linked program takes of the flash: code, constants and initial values of data. Raises StepError."""
    tool = f"{BOARDS[board].tool}size"
    text, data = checked([tool, str(elf)], tool, BUILD_TIMEOUT_S).splitlines()[-1].split()[:2]
    return int(text) + int(data)


def checked(command: list[str], what: str, timeout_s: float, cwd: Path | None = None) -> str:
    """Run a command; returns its standard output. Raises StepError with its last lines when it fails or takes longer than `timeout_s`."""
    try:
        done = processes.run(command, cwd, timeout_s)
    except subprocess.TimeoutExpired as error:
        output = (error.stderr or error.stdout or b"").decode(errors="replace")
        raise StepError(f"{what} did not end within {timeout_s:g} s and was stopped{_tail(output)}") from None
    except OSError as error:
        raise StepError(f"{what} cannot be run: {error}") from None
    if done.returncode < 0:
        raise StepError(f"{what} was ended by {signal.Signals(-done.returncode).name}{_tail(done.stderr)}")
    if done.returncode:
        raise StepError(f"{what} failed with exit code {done.returncode}{_tail(done.stderr or done.stdout)}")
    return done.stdout


def first_line(command: list[str]) -> str:
    """What a tool says to `--version`, its first line. Raises StepError when it cannot say it."""
    return checked(command, " ".join(command), VERSION_TIMEOUT_S).partition("\n")[0]


def _tail(output: str) -> str:
    """The last lines; of a sanitizer's report, its summary (the rest is a map of the memory)."""
    every = output.strip().splitlines()
    lines = [line for line in every if line.startswith(SANITIZER_LINES) or ": runtime error: " in line] or every
    lines = lines[-_LAST_LINES:]
    return ":\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
