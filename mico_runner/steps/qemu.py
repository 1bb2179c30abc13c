"""What the simulate step does on QEMU: every chosen image through the program of the device's instruction set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mico_runner import quant
from mico_runner.errors import StepError
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph
from mico_runner.steps.base import StepContext
from mico_runner.steps.inputs import device_of, device_targets, present
from mico_runner.steps.rtl import program_for, report_memory
from mico_runner.targets import machines, program, qemu

if TYPE_CHECKING:
    from mico_runner.data.dataset import Split

TOLERANCE = "1%"  # counts repeat exactly; the compiler's version may differ
_AT_ONCE = 50  # images of one run of the program: parts for several processes
_SHOWN = 10  # outputs of an image in a message


class _Part(NamedTuple):
    outputs: np.ndarray
    expected: np.ndarray
    instructions: np.ndarray
    stack_bytes: int


@dataclass(frozen=True)
class _OnQemu:
    """What the program and the integer reference make of some images."""

    elf: Path
    machine: str
    deployed: QGraph

    def __call__(self, integers: np.ndarray) -> _Part:
        result = qemu.run(self.elf, [integers], self.machine)
        (run,) = result.networks
        return _Part(run.outputs, reference.run(self.deployed, integers), run.instructions, result.stack_bytes)


class Ran(NamedTuple):
    """What a program did on QEMU.

    Attributes:
        by_layer: columns layer, measured (instructions of each node, medians over the images).
        stack_bytes: used at most.
    """

    elf: Path
    machine: str
    by_layer: pd.DataFrame
    stack_bytes: int


def compared(ctx: StepContext, deployed: QGraph, images: Split, folder: str = "") -> Ran:
    """Run the images on the device's machine; `folder`: of the codegen step, of another point than the choice.

    Raises:
        StepError: other outputs than the integer reference's; a program that traps, hangs or breaks its protocol.
        StepSkipped: QEMU or the compiler is missing.
    """
    machine = machines.machine_of(present(device_of(ctx.spec).core))
    elf = qemu.build(program_for(ctx, deployed, "baremetal", folder), machine, ctx.work / folder / "qemu-builds")
    integers = quant.quantize_input(deployed, images.floats())
    parts = [integers[at : at + _AT_ONCE] for at in range(0, len(integers), _AT_ONCE)]
    ran = list(ctx.map(_OnQemu(elf, machine, deployed), parts, here=True))
    outputs, expected, instructions = (np.concatenate([part[of] for part in ran]) for of in range(3))
    used = max(part.stack_bytes for part in ran)
    wrong = np.flatnonzero((outputs != expected).reshape(len(expected), -1).any(axis=1))
    if len(wrong):
        first = int(wrong[0])
        found, right = (np.array2string(x[first].ravel()[:_SHOWN]) for x in (outputs, expected))
        raise StepError(
            f"on QEMU ({machine}) {len(wrong)} of {len(expected)} images have other outputs than the integer reference; "
            f"image {first}: {found} instead of {right}"
        )
    table = pd.DataFrame(program.by_node(elf.parent.parent, instructions).items(), columns=["layer", "measured"])
    return Ran(elf, machine, table, used)


def check(ctx: StepContext, deployed: QGraph, images: Split) -> pd.DataFrame:
    """Run the images on the device's machine, and report. Returns `Ran.by_layer`.

    Raises:
        StepError: as `compared`; or the stack has no bound.
        StepSkipped: as `compared`.
    """
    elf, machine, table, used = compared(ctx, deployed, images)
    table.to_csv(ctx.dir / "qemu.csv", index=False)
    total = float(table["measured"].sum())
    ctx.metric("simulate.qemu_mismatches", 0, "images", "lower")
    ctx.metric("simulate.qemu_instructions", total, "instructions", "lower", tolerance=TOLERANCE)
    ctx.metric("simulate.stack_bytes", used, "bytes", "lower", tolerance=TOLERANCE)
    worst = qemu.stack_bound(elf, machine)
    if used > worst.bytes:
        raise StepError(f"{used} bytes of stack were used, more than the call graph's {worst.bytes}")
    ctx.metric("simulate.stack_bound_bytes", worst.bytes, "bytes", "lower", tolerance=TOLERANCE)
    if device_targets(ctx.spec)[0] == "qemu":  # else RTL's program is the one that the device gets
        report_memory(ctx, program.flash_bytes(elf, machines.MACHINES[machine].folder), worst.bytes)
    ctx.log(
        f"QEMU {machine}: {len(images)} images, all outputs equal to the integer reference; {total:.0f} instructions an image "
        f"(no cycles), {used} bytes of stack, at most {worst.bytes} on any path ({' > '.join(worst.path)})"
    )
    return table
