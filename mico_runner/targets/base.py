"""The contract of a target, an entry of this package.

`@register("rtl", boards={"ibex": "rtl"})` on a class says which cores, as device profiles name them, it runs programs on, and for which
folder of codegen/boards these are linked. A target without boards is the machine itself. The keyword is a literal: device profiles and
specs are checked with it, and for that no file of this package is imported.
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


class Target(ABC):
    """Times kernels.

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

        Raises:
            UsageError: the target cannot run a kernel.
        """
