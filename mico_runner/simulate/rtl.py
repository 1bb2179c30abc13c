"""RISC-V cores as a target: generated C on cycle-accurate RTL. See docs/rtl.md.

The Verilog of the cores comes from the PyPI package pythondata-cpu-vexriscv; verilator makes a program of a core and the test bench
(`rtl_bench/bench.cpp`) on first use, kept in the user's cache under the content of both.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mico_runner.data.catalog import cache_folder
from mico_runner.errors import StepError, StepSkipped, UnknownName
from mico_runner.simulate import host


class Core(NamedTuple):
    """Where a core's Verilog is.

    Attributes:
        file: in the PyPI package.
        top: module that the test bench drives.
        ours: further files, beside this one: a function unit and what connects it.
        defines: of the test bench.
    """

    file: str
    top: str = "VexRiscv"
    ours: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()


DOT_UNIT = ("dot_unit/mico_dot.v", "dot_unit/mico_dot_lanes.v", "dot_unit/mico_dot_scale.v")
CORES = {
    "lite": Core("VexRiscv_Lite"),
    "full": Core("VexRiscv_Full"),
    "fullcfu": Core("VexRiscv_FullCfu", defines=("CFU",)),
    "fullcfu-dot": Core("VexRiscv_FullCfu", "VexRiscvDot", ("dot_unit/vexriscv_dot.v", *DOT_UNIT)),
}
GCC, VERILATOR = "riscv64-unknown-elf-gcc", "verilator"
INSTALL = "make setup-rtl"
MAX_CYCLES = 2_000_000_000  # a program that takes longer hangs
RUN_TIMEOUT_S = 3600.0
HERE = Path(__file__).parent
_BENCH = HERE / "rtl_bench" / "bench.cpp"
_PACKAGE = "pythondata_cpu_vexriscv"
_MAGIC = 0x4F43494D
_VERILATOR_FLAGS = (
    *("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"),
    *("-Wno-fatal", "--prefix", "VVexRiscv", "-o", "bench"),
)


class NetworkRun(NamedTuple):
    """What one network gave on its images.

    Attributes:
        outputs: int32 (N, *output shape), in the IR's order.
        cycles: int64 (N, kernel calls), the counter's own cost taken off.
    """

    outputs: np.ndarray
    cycles: np.ndarray


def core(name: str) -> Path:
    """The program that simulates a core, built when it is not in the cache.

    Raises:
        UnknownName: no such core.
        StepSkipped: verilator, a C++ compiler or the core's Verilog is missing.
        StepError: it does not compile; with the last lines.
    """
    if name not in CORES:
        raise UnknownName("RTL core", name, CORES)
    for tool in (VERILATOR, "g++", "make"):
        _needs(tool)
    top = CORES[name].top
    sources = [_verilog(name), *(HERE / file for file in CORES[name].ours), _BENCH]
    cflags = " ".join(["-O2", *(f"-D{define}" for define in CORES[name].defines)])
    flags = [*_VERILATOR_FLAGS, "--top-module", top, "-CFLAGS", cflags]
    version = subprocess.run([VERILATOR, "--version"], capture_output=True, text=True, check=False).stdout
    digest = hashlib.sha256("\n".join([version, *flags]).encode())
    for source in sources:
        digest.update(source.read_bytes())
    home = cache_folder() / "rtl" / f"{name}-{digest.hexdigest()[:16]}"
    if (home / "bench").is_file():
        return home / "bench"
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=home.parent) as scratch:
        work = Path(scratch) / "work"
        command = [VERILATOR, *flags, "-Mdir", str(work), *map(str, sources)]
        host.checked(command, "verilator", host.BUILD_TIMEOUT_S)
        done = Path(scratch) / "done"
        done.mkdir()
        shutil.copy2(work / "bench", done / "bench")
        try:
            done.rename(home)
        except OSError:  # another process has built the same meanwhile
            if not (home / "bench").is_file():
                raise
    return home / "bench"


def build(folder: Path | str, into: Path | str | None = None, cflags: str | None = None) -> Path:
    """Compile a bare-metal program that `codegen` wrote into `folder` (runtime "baremetal").

    Returns:
        The raw image, in a folder of `into` (`folder`/build by default) named by the content of the sources and the compiler.

    Raises:
        StepSkipped: the RISC-V compiler or make is missing.
        StepError: with the compiler's last lines.
    """
    folder = Path(folder)
    _needs(GCC)
    _needs("make")
    name = host.describe(folder)["name"]
    patterns = ("*.c", "*.h", "*.S", "*.ld", "Makefile", "network.json")
    sources = sorted(path for pattern in patterns for path in folder.glob(pattern))
    flags = [] if cflags is None else [f"CFLAGS={cflags}"]
    digest = hashlib.sha256("\n".join([compiler_version(), *flags]).encode())
    for source in sources:
        digest.update(f"{source.name} ".encode() + source.read_bytes())
    store = Path(into) if into else folder / "build"
    home = store / digest.hexdigest()[:16]
    image = home / f"{name}.bin"
    if image.is_file():
        return image
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=store) as scratch:
        work = Path(scratch) / "work"
        work.mkdir()
        for source in sources:
            shutil.copyfile(source, work / source.name)
        jobs = f"-j{os.cpu_count() or 1}"
        command = ["make", "--no-print-directory", jobs, "BUILD=.", *flags]
        host.checked(command, "the RISC-V compiler", host.BUILD_TIMEOUT_S, cwd=work)
        try:
            work.rename(home)
        except OSError:  # another process has built the same meanwhile
            if not image.is_file():
                raise
    return image


def run(
    image: Path,
    images: Sequence[np.ndarray],
    *,
    on: str = "full",
    wait_states: int = 0,
    max_cycles: int = MAX_CYCLES,
    timeout_s: float = RUN_TIMEOUT_S,
) -> list[NetworkRun]:
    """Run the program's networks, each on its images (N, *input shape) in the IR's order.

    Args:
        on: the core, one of `CORES`.
        wait_states: cycles that each word on a bus waits before it is answered.

    Raises:
        ValueError: images of another shape, or integers that an input's type does not hold.
        StepSkipped, UnknownName: as `core`.
        StepError: the program trapped, hung, accessed memory that is not there, or broke the protocol of its output.
    """
    networks = host.describe(image.parent)["networks"]
    bench = core(on)
    with tempfile.TemporaryDirectory(prefix="mico-rtl-") as scratch:
        source, target = Path(scratch) / "input.bin", Path(scratch) / "output.bin"
        with source.open("wb") as file:
            for network, batch in zip(networks, images, strict=True):
                file.write(np.uint32(len(batch)).tobytes() + host.to_memory(batch, network["input"]).tobytes())
        command = [str(bench), str(image), str(source), str(target), str(wait_states), str(max_cycles)]
        host.checked(command, f"{image.name} on {on}", timeout_s)
        words = np.fromfile(target, dtype="<u4") if target.is_file() else np.zeros(0, "<u4")
    return _parse(words, networks, [len(batch) for batch in images], image.name)


def compiler_version() -> str:
    """First line of the RISC-V gcc's `--version`. Raises StepSkipped when it is missing."""
    _needs(GCC)
    return subprocess.run([GCC, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def _parse(words: np.ndarray, networks: list[dict], counts: list[int], program: str) -> list[NetworkRun]:
    """The output's words by network (protocol: codegen/templates/baremetal.c.j2)."""
    outputs = [int(np.prod(network["output"]["shape"])) for network in networks]
    records = [o + len(n["layers"]) + 1 for o, n in zip(outputs, networks, strict=True)]
    expected = 3 + sum(r * c for r, c in zip(records, counts, strict=True))
    if len(words) != expected:
        raise StepError(f"{program} ended normally but wrote {len(words)} words instead of {expected}")
    if words[0] != _MAGIC or words[1] != len(networks):
        raise StepError(f"{program}: the output begins with 0x{words[0]:08x}, {words[1]}: not the protocol")
    if int(words[:-1].sum(dtype=np.uint64)) % (1 << 32) != words[-1]:
        raise StepError(f"{program}: the output's sum is wrong")
    found, at = [], 2
    for network, size, record, count in zip(networks, outputs, records, counts, strict=True):
        part = words[at : at + record * count].reshape(count, record)
        at += record * count
        values = np.ascontiguousarray(part[:, :size]).view(np.int32).ravel()
        cycles = part[:, size:].astype(np.int64)
        shape = tuple(network["output"]["shape"])
        found.append(NetworkRun(host.from_memory(values, shape), cycles[:, :-1] - cycles[:, -1:]))
    return found


def _verilog(name: str) -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin).parent / "verilog" / f"{CORES[name].file}.v" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise StepSkipped(f"RTL simulation needs the Python package {_PACKAGE.replace('_', '-')}: {INSTALL}")
    return path


def _needs(tool: str) -> None:
    if shutil.which(tool) is None:
        raise StepSkipped(f"RTL simulation needs {tool}, which is not installed: {INSTALL}")
