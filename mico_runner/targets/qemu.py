"""QEMU as a target: generated C on emulated boards, exact in its outputs and in its count of instructions. See docs/howto/qemu.md.

Instructions are no cycles: QEMU knows neither pipelines nor caches. It runs a hundred times faster than RTL, so that all test images
can be checked on the instruction set and with the compiler of the device.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mico_runner.codegen.description import NetworkAbout
from mico_runner.errors import StepError, StepSkipped, UsageError
from mico_runner.hardware import Hardware
from mico_runner.targets import boards, program, protocol, register, stack
from mico_runner.targets.base import Measurement, Ran, Target
from mico_runner.targets.board_kernels import compiled, in_programs
from mico_runner.targets.kernel_code import version_of
from mico_runner.targets.machines import MACHINES, Machine, machine, machine_of
from mico_runner.targets.program import by_node, flash_bytes

INSTALL = "make setup-qemu"
RUN_TIMEOUT_S = 1800.0
_LAST_WORDS = 8  # of a failed program's output, in the message


class NetworkRun(NamedTuple):
    """What one network gave on its images.

    Attributes:
        outputs: int32 (N, *output shape), in the IR's order.
        instructions: int64 (N, kernel calls), the counter's own cost taken off. They wrap after 2^32 (rv32) or 1.6e8 (Cortex-M).
    """

    outputs: np.ndarray
    instructions: np.ndarray


class Result(NamedTuple):
    """What a program gave: its networks' runs, and the most bytes of stack in use at any time, `main` included."""

    networks: list[NetworkRun]
    stack_bytes: int


def build(folder: Path | str, on: str, into: Path | str | None = None) -> Path:
    """Compile the program that `codegen` wrote into `folder`, for the machine `on`.

    Returns:
        The ELF file, in a folder of its own (`program.make`), beside it what `stack.bound` reads.

    Raises:
        UnknownName: no such machine.
        StepSkipped: its compiler or make is missing.
        StepError: with the compiler's last lines.
    """
    board = machine(on)
    _needs(board.gcc)
    _needs("make")
    folder = Path(folder)
    product = f"{board.folder}/{program.describe(folder)['name']}.elf"
    settings = [f"BARE_CFLAGS={stack.CFLAG}"]
    return program.make(folder, into, product, compiler=board.gcc, key=compiler_version(on), settings=settings)


def stack_bound(elf: Path, on: str) -> stack.Bound:
    """The most stack that any path through a program of `build` can use. Raises as `stack.bound`, and UnknownName."""
    return stack.bound(elf, machine(on).gcc.removesuffix("gcc") + "nm")


def run(elf: Path, images: Sequence[np.ndarray], on: str, timeout_s: float = RUN_TIMEOUT_S) -> Result:
    """Run the program's networks, each on its images (N, *input shape) in the IR's order, as often as the board's memory asks for.

    Args:
        on: the machine that `elf` was built for, one of `MACHINES`.

    Raises:
        ValueError: images of another shape, or integers that an input's type does not hold.
        UnknownName, StepSkipped: no such machine, or QEMU is missing.
        StepError: the program trapped, hung or broke the protocol of its output; with its last words.
    """
    board = machine(on)
    _needs(board.qemu)
    networks = program.describe(elf.parent.parent)["networks"]
    results = [
        _run_part(board, elf, networks, [batch[part] for batch, part in zip(images, slices, strict=True)], timeout_s)
        for slices in _parts(networks, images, board.input_bytes)
    ]
    joined = [
        NetworkRun(*(np.concatenate(field) for field in zip(*runs, strict=True)))
        for runs in zip(*(result.networks for result in results), strict=True)
    ]
    return Result(joined, max(result.stack_bytes for result in results))


def compiler_version(on: str) -> str:
    """First line of the `--version` of the machine's gcc. Raises StepSkipped when it is missing."""
    gcc = machine(on).gcc
    _needs(gcc)
    return program.first_line([gcc, "--version"])


def _parts(networks: list[NetworkAbout], images: Sequence[np.ndarray], room: int) -> list[list[slice]]:
    """Slices of each network's images, in as few parts as fit into `room` bytes."""
    sizes = [sum(int(np.prod(tensor["shape"])) for tensor in network["inputs"]) for network in networks]
    most = max(len(batch) for batch in images)
    count, fixed = 1, 4 * (len(networks) + 1)
    while fixed + sum(s * -(-len(b) // count) for s, b in zip(sizes, images, strict=True)) > room:
        count += 1
        if count > most:
            raise ValueError(f"one image of each network takes more than the board's {room} bytes")
    return [[slice(len(b) * i // count, len(b) * (i + 1) // count) for b in images] for i in range(count)]


def _run_part(
    board: Machine, elf: Path, networks: list[NetworkAbout], images: list[np.ndarray], timeout_s: float
) -> Result:
    content = protocol.encode(networks, [[batch] for batch in images])
    words = execute(board, elf, np.uint32(len(content)).tobytes() + content, timeout_s)
    runs, stack_bytes = protocol.parse(words, networks, [len(batch) for batch in images], elf.name, stack=True)
    counts = [NetworkRun(r.outputs, np.rint(r.cycles / board.ticks).astype(np.int64)) for r in runs]
    return Result(counts, stack_bytes)


def execute(board: Machine, elf: Path, content: bytes, timeout_s: float = RUN_TIMEOUT_S) -> np.ndarray:
    """Run any program of the board with `content` as its input. Returns the words that it wrote: uint32 (n,).

    Raises:
        StepSkipped: QEMU is missing.
        StepError: the program trapped, hung or ended with another code than 0; with its last words.
    """
    _needs(board.qemu)
    with tempfile.TemporaryDirectory(prefix="mico-qemu-") as scratch:
        source, target = Path(scratch) / "input.bin", Path(scratch) / "output.bin"
        source.write_bytes(content)
        command = [
            *(board.qemu, *board.options, "-kernel", str(elf), "-display", "none", "-monitor", "none"),
            *("-serial", f"file:{target}"),
            *("-device", f"loader,file={source},addr={board.input_at:#x},force-raw=on"),
        ]
        try:
            program.checked(command, f"{elf.name} on {board.qemu}", timeout_s)
        except StepError as error:
            raise StepError(f"{error}{_last_words(_words(target), board)}") from None
        return _words(target)


def _words(path: Path) -> np.ndarray:
    """The whole words of a file; none when it is absent."""
    content = path.read_bytes() if path.is_file() else b""
    return np.frombuffer(content[: len(content) // 4 * 4], "<u4")


def _last_words(words: np.ndarray, board: Machine) -> str:
    """The end of what a failed program has written, and its trap in words."""
    if len(words) >= 3 and words[-3] == protocol.TRAPPED:
        cause = board.causes.get(int(words[-2]), f"cause {words[-2]}")
        return f"\ntrapped at 0x{words[-1]:08x}: {cause}; {len(words) - 3} words of output before{_ending(words[:-3])}"
    return f"\n{len(words)} words of output{_ending(words)}"


def _ending(words: np.ndarray) -> str:
    return f", the last ones {' '.join(f'{w:08x}' for w in words[-_LAST_WORDS:])}" if len(words) else ""


def _needs(tool: str) -> None:
    if shutil.which(tool) is None:
        raise StepSkipped(f"running on QEMU needs {tool}, which is not installed: {INSTALL}")


def _instructions(folder: Path, images: list[np.ndarray], on: str) -> list[np.ndarray]:
    return [network.instructions for network in run(build(folder, on), images, on).networks]


@register(
    "qemu",
    boards={
        "cortex-m3": "cortex-m",
        "cortex-m33": "cortex-m33",
        "cortex-m4": "cortex-m4",
        "cortex-m55": "cortex-m55",
        "cortex-m7": "cortex-m7",
        "full": "rv32",
        "fullcfu": "rv32",
        "fullcfu-dot": "rv32",
        "ibex": "rv32",
        "lite": "rv32",
    },
    unit="instructions",
)
class Qemu(Target):
    """Instructions of one call of a C kernel on QEMU: no cycles, for there is no pipeline; deterministic."""

    unit = "instructions"
    runtime = "baremetal"

    def run(self, program: Path, inputs: np.ndarray, hardware: Hardware, work: Path) -> Ran:
        on = self._machine(hardware)
        elf = build(program, on, work / "builds")
        (ran,) = run(elf, [inputs], on).networks
        flash = flash_bytes(elf, MACHINES[on].folder)
        return Ran(ran.outputs, by_node(program, ran.instructions), flash, stack_bound(elf, on).bytes)

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        on = self._machine(hardware)
        about = {
            "machine": on,
            "compiler": version_of(MACHINES[on].gcc),
            "cflags": MACHINES[on].cflags,
            "scratch": self.scratch,
        }
        return {**about, "kernels": self.kernels(tables, hardware, about)}

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, Any]
    ) -> dict[str, dict[str, str]] | None:
        gcc = MACHINES[self._machine(hardware)].gcc
        return compiled(tables, gcc, conditions["cflags"], self.scratch, hardware.core)

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        instructions = partial(_instructions, on=self._machine(hardware))
        return Measurement(in_programs(table, work, instructions, self.scratch, hardware.core, self.each))

    def _machine(self, hardware: Hardware) -> str:
        if hardware.core not in boards("qemu") or hardware.latency_unit != self.unit:
            allowed = "a device with a core, whose latency_unit is instructions"
            raise UsageError(f"profile.target is qemu, but hardware is {hardware.name!r}; allowed: {allowed}")
        return machine_of(hardware.core)
