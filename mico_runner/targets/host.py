"""The host as a target: compile generated C, run it on images, time its layers."""

from __future__ import annotations

import math
import platform
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mico_runner import processes
from mico_runner.codegen.description import CallAbout, TensorAbout
from mico_runner.errors import StepError, StepSkipped
from mico_runner.ops.c import input_dtype
from mico_runner.quant.qgraph import QType
from mico_runner.targets import program

GCC, NATIVE = "gcc", "-march=native"
CFLAGS = f"-O3 {NATIVE}"
SANITIZE = "-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all"  # -g1: lines for its reports, in half the time of -g
TIMING = "-DMICO_TIMING"
INSTALL = "apt-get install gcc make"
RUN_TIMEOUT_S = 1800.0


class LayerTime(NamedTuple):
    """Time of one node of the network (all its kernel calls): median over images and repeats, the clock's own cost taken off."""

    layer: str
    ns: float


def build(
    folder: Path | str,
    into: Path | str | None = None,
    *,
    sanitize: bool = False,
    timing: bool = False,
    cflags: str = CFLAGS,
) -> Path:
    """Compile the C program that `codegen.generate` wrote into `folder`.

    Args:
        into: where builds are kept; `folder`/build by default.
        sanitize: address and undefined-behaviour sanitizers instead of `cflags`; the first finding ends the program.
        timing: compile in the clock around each layer, for `time_layers`.

    Returns:
        The binary, in a folder of its own (`program.make`).

    Raises:
        StepSkipped: gcc or make is missing.
        StepError: with the compiler's last lines.
    """
    folder = Path(folder)
    _needs(GCC)
    _needs("make")
    flags = " ".join([SANITIZE if sanitize else cflags, *([TIMING] if timing else [])])
    name = program.describe(folder)["name"]
    return program.make(folder, into, name, compiler="the C compiler", key=_machine(), settings=[f"CFLAGS={flags}"])


def run(binary: Path | str, images: np.ndarray, timeout_s: float = RUN_TIMEOUT_S) -> np.ndarray:
    """Run the program on quantised images.

    Args:
        images: integers (N, *input shape) in the IR's order (C, H, W); this function brings them to HWC.

    Returns:
        int32 (N, *output shape) in the IR's order: element for element what `quant.reference.run` gives.

    Raises:
        ValueError: images of another shape, or integers that the input's type does not hold.
        StepError: the program crashed, hung or wrote something else than it should; with its last lines.
    """
    return _run(Path(binary), images, None, timeout_s)[0]


def time_layers(
    binary: Path | str, images: np.ndarray, repeats: int = 1, timeout_s: float = RUN_TIMEOUT_S
) -> list[LayerTime]:
    """Time of each node that runs code, in order; `binary` is built with `timing=True`. Arguments and errors as `run`."""
    return _run(Path(binary), images, repeats, timeout_s)[1]


def compiler_version() -> str:
    """First line of `gcc --version`. Raises StepSkipped when gcc is missing."""
    _needs(GCC)
    return program.first_line([GCC, "--version"])


def native_options() -> str:
    """What `-march=native` means on this machine, as options that mean the same on any other; itself where gcc (clang) does not tell.

    Raises StepSkipped when gcc is missing.
    """
    _needs(GCC)
    said = processes.run([GCC, NATIVE, "-E", "-v", "-"]).stderr
    words = next((line.split() for line in said.splitlines() if "/cc1 " in line), [])
    pairs = zip(["", *words], words, strict=False)
    options = [
        f"--param {word}" if before == "--param" else word for before, word in pairs if _of_processor(before, word)
    ]
    return " ".join(options) or NATIVE


def _of_processor(before: str, word: str) -> bool:
    return before == "--param" or word.startswith("-m")


def _run(binary: Path, images: np.ndarray, repeats: int | None, timeout_s: float) -> tuple[np.ndarray, list[LayerTime]]:
    network = program.describe(binary.parent)["networks"][0]
    (read,), (made,) = network["inputs"], network["outputs"]
    shape = tuple(made["shape"])
    with tempfile.TemporaryDirectory(prefix="mico-host-") as scratch:
        paths = [Path(scratch) / name for name in ("images.bin", "logits.bin", "times.bin")]
        paths[0].write_bytes(to_memory(images, read).tobytes())
        timed = [] if repeats is None else [str(paths[2]), str(repeats)]
        program.checked([str(binary.resolve()), *map(str, paths[:2]), *timed], binary.name, timeout_s)
        values = read_exactly(paths[1], np.int32, len(images) * math.prod(shape), binary.name)
        times = [] if repeats is None else _layer_times(paths[2], network["layers"], len(images) * repeats)
    return from_memory(values, shape), times


def to_memory(images: np.ndarray, tensor: TensorAbout) -> np.ndarray:
    """Bytes of images (N, *shape) as the C program reads them; `tensor` is an entry of network.json."""
    shape = tuple(tensor["shape"])
    if images.shape[1:] != shape:
        raise ValueError(f"images have shape {images.shape[1:]}, the network reads {shape}")
    kind = QType(tensor["bits"], tensor["signed"], tensor["scale"])
    if images.size and (images.min() < kind.qmin or images.max() > kind.qmax):
        found = f"{images.min()} .. {images.max()}"
        raise ValueError(f"images hold {found}, the network's input type allows {kind.qmin} .. {kind.qmax}")
    stored = images.transpose(0, 2, 3, 1) if len(shape) == 3 else images
    return np.ascontiguousarray(stored).astype(input_dtype(kind))


def from_memory(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The program's outputs as (N, *shape) in the IR's order."""
    if len(shape) != 3:
        return values.reshape(-1, *shape)
    channels, height, width = shape
    return np.ascontiguousarray(values.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))


def read_exactly(path: Path, dtype: type, count: int, writer: str) -> np.ndarray:
    """`count` numbers from a file that holds nothing else; raises StepError."""
    values: np.ndarray = np.fromfile(path, dtype=dtype) if path.is_file() else np.zeros(0, dtype)
    expected = count * np.dtype(dtype).itemsize
    if path.is_file() and path.stat().st_size == expected:
        return values
    found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
    raise StepError(f"{writer} ended normally but wrote {found} as {path.name} instead of {expected} bytes")


def run_program(command: list[str], timeout_s: float = RUN_TIMEOUT_S) -> None:
    """Run a program that `build` made; raises StepError when it crashes or hangs."""
    program.checked(command, Path(command[0]).name, timeout_s)


def _layer_times(path: Path, calls: list[CallAbout], passes: int) -> list[LayerTime]:
    times = read_exactly(path, np.uint64, passes * (len(calls) + 1), path.name).reshape(passes, len(calls) + 1)
    *medians, clock = np.median(times, axis=0)
    total: dict[str, float] = {}
    for call, median in zip(calls, medians, strict=True):
        total[call["node"]] = total.get(call["node"], 0.0) + max(0.0, float(median - clock))
    return [LayerTime(*item) for item in total.items()]


def _needs(tool: str) -> None:
    if shutil.which(tool) is None:
        raise StepSkipped(f"simulating on the host needs {tool}, which is not installed: {INSTALL}")


def _machine() -> str:
    """The compiler and the CPU that `-march=native` means."""
    compiler = processes.run([GCC, NATIVE, "-dM", "-E", "-"])
    return f"{platform.machine()}\n{compiler.stdout}"
