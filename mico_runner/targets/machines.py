"""The boards that QEMU emulates: their tools, their memory, and the instructions that their clock counts."""

from __future__ import annotations

from typing import NamedTuple

from mico_runner.codegen.emit import ARM_CFLAGS, ARM_TARGETS, RV32_CFLAGS, RV32_TARGET
from mico_runner.errors import UnknownName
from mico_runner.targets import boards


class Machine(NamedTuple):
    """An emulated board; its addresses are those of codegen/boards.

    Attributes:
        folder: in codegen/boards.
        gcc, qemu: the tools that it needs.
        cflags: the compiler's options, as a generated Makefile has them.
        options: of qemu; -icount's shift makes the virtual nanoseconds 2^shift per instruction.
        input_at, input_bytes: where the input is loaded, and the room there.
        ticks: of the board's clock per instruction.
        causes: what its traps mean.
    """

    folder: str
    gcc: str
    cflags: str
    qemu: str
    options: tuple[str, ...]
    input_at: int
    input_bytes: int
    ticks: float
    causes: dict[int, str]


_RISCV_CAUSES = {
    0: "instruction address misaligned",
    1: "no instruction there",
    2: "illegal instruction",
    3: "breakpoint",
    4: "load address misaligned",
    5: "load of an address where nothing is",
    6: "store address misaligned",
    7: "store to an address where nothing is",
}
_ARM_CAUSES = {3: "hard fault", 4: "memory fault", 5: "bus fault", 6: "usage fault"}


def _cortex(folder: str, machine: str, input_at: int = 0x21000000, counter_hz: float = 25e6) -> Machine:
    """A board with a Cortex-M, whose FPGA has a counter."""
    return Machine(
        folder=folder,
        gcc="arm-none-eabi-gcc",
        cflags=f"{ARM_TARGETS[folder]} {ARM_CFLAGS}",
        qemu="qemu-system-arm",
        options=("-machine", machine, "-semihosting", "-icount", "shift=10"),
        input_at=input_at,
        input_bytes=16 << 20,
        ticks=1024e-9 * counter_hz,  # 2^10 ns an instruction
        causes=_ARM_CAUSES,
    )


MACHINES = {
    "rv32": Machine(
        folder="rv32",
        gcc="riscv64-unknown-elf-gcc",
        cflags=f"{RV32_TARGET} {RV32_CFLAGS}",
        qemu="qemu-system-riscv32",
        options=(
            *("-machine", "virt", "-m", "128M", "-bios", "none", "-icount", "shift=0"),
            *("-cpu", "rv32,m=on,a=off,f=off,d=off,c=off,mmu=off,pmp=off"),  # RV32IM and nothing else
        ),
        input_at=0x84000000,
        input_bytes=64 << 20,
        ticks=1.0,
        causes=_RISCV_CAUSES,
    ),
    "cortex-m3": _cortex("cortex-m", "mps2-an385"),
    "cortex-m4": _cortex("cortex-m4", "mps2-an386"),
    "cortex-m7": _cortex("cortex-m7", "mps2-an500", input_at=0x60000000),
    "cortex-m33": _cortex("cortex-m33", "mps2-an505", input_at=0x80000000, counter_hz=20e6),
    "cortex-m55": _cortex("cortex-m55", "mps3-an547", input_at=0x60000000, counter_hz=20e6),
}


def machine(name: str) -> Machine:
    """Raises UnknownName."""
    if name not in MACHINES:
        raise UnknownName("QEMU machine", name, MACHINES)
    return MACHINES[name]


def machine_of(core: str) -> str:
    """The machine that runs programs for a core, one of those that the target's `boards` have."""
    return machine_for(boards("qemu")[core])


def machine_for(board: str) -> str:
    """The machine of a folder of codegen/boards."""
    return next(name for name, about in MACHINES.items() if about.folder == board)
