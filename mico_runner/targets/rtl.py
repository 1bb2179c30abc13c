"""RISC-V cores as a target: generated C on cycle-accurate RTL. See docs/howto/rtl.md.

The Verilog of the cores comes from the PyPI packages pythondata-cpu-vexriscv and pythondata-cpu-ibex; verilator makes a program of
a core and the test bench (`rtl_bench/bench.cpp`) on first use, for some with Verilog of our own (`dot_unit/`, `ibex/`), kept in the
user's cache under its content.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner.codegen import emit
from mico_runner.codegen.emit import RV32_CFLAGS, RV32_TARGET
from mico_runner.errors import StepSkipped, UnknownName, UsageError
from mico_runner.hardware import Hardware
from mico_runner.paths import cache_folder
from mico_runner.targets import cores, program, protocol, register, stack
from mico_runner.targets.base import Measurement, Ran, Target
from mico_runner.targets.board_kernels import compiled, in_programs
from mico_runner.targets.kept_bench import BENCH, kept
from mico_runner.targets.kernel_code import parsed_text_sha256, version_of
from mico_runner.targets.program import by_node
from mico_runner.targets.protocol import NetworkRun

CORES = cores.RTL
GCC, OBJCOPY, VERILATOR = "riscv64-unknown-elf-gcc", "riscv64-unknown-elf-objcopy", "verilator"
INSTALL = "make setup-rtl"
MAX_CYCLES = 2_000_000_000  # a program that takes longer hangs
RUN_TIMEOUT_S = 3600.0
HERE = Path(__file__).parent
_BENCH = HERE / "rtl_bench" / "bench.cpp"
_VERILATOR_FLAGS = (
    *("--cc", "--exe", "--build", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"),
    *(
        "-Wno-fatal",
        "--prefix",
        "VCore",
        "-o",
        "bench",
        "-MAKEFLAGS",
        "OPT_GLOBAL=-O0",
    ),  # verilator's own files: no cycle calls them
)


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
    chosen = CORES[name]
    package = _package(chosen)
    sources = _sources(chosen, package)
    libraries = [package / folder for folder in chosen.search]
    cflags = " ".join(["-O2", *(f"-D{define}" for define in chosen.defines)])
    flags = [*_VERILATOR_FLAGS, "--top-module", chosen.top, "-CFLAGS", cflags]
    version = program.checked([VERILATOR, "--version"], VERILATOR, program.VERSION_TIMEOUT_S)
    digest = hashlib.sha256("\n".join([version, *flags]).encode())
    for source in verilog(name):
        digest.update(source.read_bytes())
    home = cache_folder() / "rtl" / f"{name}-{digest.hexdigest()[:16]}"

    def verilated(work: Path) -> Path:
        search = [option for folder in libraries for option in ("-y", str(folder))]
        command = [VERILATOR, *flags, "-Mdir", str(work), *search, *map(str, sources)]
        program.checked(command, "verilator", program.BUILD_TIMEOUT_S)
        return work / BENCH

    return kept(home, verilated)


def verilog(name: str) -> list[Path]:
    """All files that a core is made of, the test bench's included. Raises UnknownName, StepSkipped as `core`."""
    if name not in CORES:
        raise UnknownName("RTL core", name, CORES)
    package = _package(CORES[name])
    found = [file for folder in CORES[name].search for file in sorted((package / folder).glob("*.sv*"))]
    return [*_sources(CORES[name], package), *found]


def _sources(chosen: cores.Core, package: Path) -> list[Path]:
    """The files that verilator is given, in order."""
    return [*(package / file for file in chosen.files), *(HERE / file for file in chosen.ours), _BENCH]


def build(folder: Path | str, into: Path | str | None = None, cflags: str | None = None) -> Path:
    """Compile a program that `codegen` wrote into `folder`, for the cores' test bench.

    Returns:
        The raw image, in a folder of its own (`program.make`).

    Raises:
        StepSkipped: the RISC-V compiler or make is missing.
        StepError: with the compiler's last lines.
    """
    folder = Path(folder)
    _needs(GCC)
    _needs("make")
    image = f"rtl/{program.describe(folder)['name']}.bin"
    settings = [f"BARE_CFLAGS={stack.CFLAG}", *([] if cflags is None else [f"RV32_CFLAGS={cflags}"])]
    key = compiler_version()
    return program.make(folder, into, image, compiler="the RISC-V compiler", key=key, settings=settings)


def stack_bound(image: Path) -> stack.Bound:
    """The most stack that any path through a program of `build` can use. Raises as `stack.bound`."""
    return stack.bound(image.with_suffix(".elf"), GCC.removesuffix("gcc") + "nm")


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
    networks = program.describe(image.parent.parent)["networks"]
    bench = core(on)
    with tempfile.TemporaryDirectory(prefix="mico-rtl-") as scratch:
        source, target = Path(scratch) / "input.bin", Path(scratch) / "output.bin"
        source.write_bytes(protocol.encode(networks, [[batch] for batch in images]))
        command = [str(bench), str(image), str(source), str(target), str(wait_states), str(max_cycles)]
        program.checked(command, f"{image.name} on {on}", timeout_s)
        words = np.fromfile(target, dtype="<u4") if target.is_file() else np.zeros(0, "<u4")
    return protocol.parse(words, networks, [len(batch) for batch in images], image.name)[0]


def compiler_version() -> str:
    """First line of the RISC-V gcc's `--version`. Raises StepSkipped when it is missing."""
    _needs(GCC)
    return program.first_line([GCC, "--version"])


def _package(chosen: cores.Core) -> Path:
    """The folder of the Python package with the core's Verilog."""
    spec = importlib.util.find_spec(chosen.package)
    home = Path(spec.origin).parent if spec and spec.origin else None
    if home is None or not all((home / file).is_file() for file in chosen.files):
        raise StepSkipped(f"RTL simulation needs the Python package {chosen.package.replace('_', '-')}: {INSTALL}")
    return home


def _needs(tool: str) -> None:
    if shutil.which(tool) is None:
        raise StepSkipped(f"RTL simulation needs {tool}, which is not installed: {INSTALL}")


@register(
    "rtl",
    boards={"full": "rtl", "fullcfu": "rtl", "fullcfu-dot": "rtl", "ibex": "rtl", "lite": "rtl"},
    unit="cycles",
)
class Rtl(Target):
    """Cycles of one call of a C kernel on RTL, its code and weights not in the caches, as in a network; deterministic."""

    unit = "cycles"
    runtime = "baremetal"

    def run(self, program: Path, inputs: np.ndarray, hardware: Hardware, work: Path) -> Ran:
        image = build(program, work / "builds")
        (ran,) = run(image, [inputs], on=_core_of(hardware), wait_states=int(hardware.value("wait_states")))
        return Ran(ran.outputs, by_node(program, ran.cycles), image.stat().st_size, stack_bound(image).bytes)

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        about = {
            "compiler": version_of(GCC),
            "cflags": f"{RV32_TARGET} {RV32_CFLAGS}",
            "scratch": self.scratch,
            "core_sha256": core_sha256(_core_of(hardware)),
            "board_sha256": board_sha256("rtl"),
        }
        return {**about, "kernels": self.kernels(tables, hardware, about)}

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, Any]
    ) -> dict[str, dict[str, str]] | None:
        return compiled(tables, GCC, conditions["cflags"], self.scratch, _core_of(hardware))

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        core = _core_of(hardware)
        cycles = partial(_cycles, on=core, wait_states=int(hardware.value("wait_states")))
        return Measurement(in_programs(table, work, cycles, self.scratch, core, self.each))


def _cycles(folder: Path, images: list[np.ndarray], on: str, wait_states: int) -> list[np.ndarray]:
    return [network.cycles for network in run(build(folder), images, on=on, wait_states=wait_states)]


def _core_of(hardware: Hardware) -> str:
    if hardware.core not in CORES:
        raise UsageError(f"profile.target is rtl, but hardware {hardware.name!r} names no core")
    return hardware.core


def core_sha256(core: str) -> str | None:
    """Hash of the core's Verilog and its test bench; None when its Python package is missing."""
    try:
        return parsed_text_sha256(verilog(core))
    except StepSkipped:
        return None


def board_sha256(board: str) -> str:
    """Hash of all that is linked around the kernels, because how long these take depends a little on where they lie."""
    return parsed_text_sha256([*sorted((emit.BOARDS / board).iterdir()), emit.TEMPLATES / "bare.c.j2"])
