"""The contract of a target, an entry of this package: `conditions` and `run` are required.

`@register("rtl", boards={"ibex": "rtl"}, unit="cycles")` on a class says which cores, as device profiles name them, it runs programs on,
for which folder of codegen/boards these are linked, and the unit of its latencies: such a target stands for devices of that unit. A
target without boards is the machine itself. The keywords are literals: device profiles and specs are checked with them, and for that no
file of this package is imported.

A spec names a target in `simulate`, which runs the deployed program with `run` and compares its outputs with the integer reference's,
and in `profile`, which times kernels with `measure`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mico_runner.hardware import Hardware


@dataclass(frozen=True)
class Measurement:
    """Latency of every row of a kernel table.

    Attributes:
        latency: (rows,), in the target's unit.
        spread: (rows,) range between the quartiles over the median; None when the target is deterministic.
    """

    latency: np.ndarray
    spread: np.ndarray | None = None


@dataclass(frozen=True)
class Ran:
    """What one network's program gave on its samples.

    Attributes:
        outputs: int32 (N, *output shape), in the IR's order: element for element those of `quant.reference.run`.
        layers: node -> its latency in the target's unit, the median over the samples, in the program's order.
        flash_bytes, stack_bytes: of the linked program, and the most that its stack can use; of targets with `boards`.
    """

    outputs: np.ndarray
    layers: dict[str, float]
    flash_bytes: int | None = None
    stack_bytes: int | None = None


class KernelTimer(ABC):
    """Times kernels, for profiles.

    Args:
        scratch: as of `codegen.generate`.
        each: calls a function for every item, in order, as `map` does: what is deterministic may run on other processes.

    Attributes:
        unit: of its latencies: "cycles", "instructions" or "ns".
    """

    unit: str

    def __init__(self, scratch: str = "two_rows", each: Callable[..., Iterable[Any]] = map) -> None:
        self.scratch, self.each = scratch, each

    @abstractmethod
    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, object]:
        """What the latencies depend on besides the rows and the device profile: the simulator, or machine, compiler and kernels.

        Args:
            tables: the kernel table of each kind.

        Raises:
            UsageError: the target cannot run the kernels.
        """

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, object]
    ) -> dict[str, dict[str, str]] | None:
        """The kernels of each kind's rows as this project's code makes them today, as `kernel_code.describe`.

        Args:
            conditions: as `conditions` gave them, perhaps on another machine.

        Returns:
            None when the target runs no kernels, or its compiler is missing.
        """
        return None

    @abstractmethod
    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        """Latency of the rows of a kernel table; `work` is a folder for its files.

        Args:
            repeats: timings of one kernel, where they are not all the same.

        Raises:
            UsageError: the target cannot run a kernel.
        """


class Target(KernelTimer):
    """Runs programs, and times kernels.

    Attributes:
        runtime: of the programs that it runs, as `codegen.generate`: "baremetal" where it has `boards`, "host" elsewhere.
        deterministic: whether the same program takes the same time again.
    """

    runtime = "host"
    deterministic = True

    @abstractmethod
    def run(self, program: Path, inputs: np.ndarray, hardware: Hardware, work: Path) -> Ran:
        """Compile the program of one network and run it.

        Args:
            program: the folder that `codegen.generate` wrote for `runtime` and the core of `hardware`.
            inputs: quantised samples (N, *input shape) in the IR's order.
            work: a folder for its files.

        Raises:
            StepSkipped: a tool is missing; the message names the command that installs it.
            StepError: the program does not compile, or it crashed, hung or wrote something else than it should.
            UsageError: the target does not run programs of this device.
        """

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        """As `KernelTimer.measure`: a program for each kernel, `run` on one random sample. A target that takes many at once is faster."""
        from mico_runner.targets.one_by_one import measured  # it needs code generation, which plans do not

        return Measurement(*measured(self, table, hardware, repeats, work))
