"""Section of an array that is written as Verilog."""

from __future__ import annotations

from collections.abc import Mapping

from mico_runner.records import dataclass


@dataclass(frozen=True)
class Verilog:
    """A systolic array as Verilog, simulated on layers of a network.

    Attributes:
        network, input, classes, params: as in `allocate`.
        layers: that are simulated, by name.
        bits: weight bits and activation bits of the layers; where `codesign` chooses the network's bits, these count.
        sizes: rows and columns of arrays that are synthesised beside this one; none: nor is this one.
    """

    network: str
    params: Mapping[str, object]
    input: tuple[int, int, int]
    classes: int
    layers: tuple[str, ...]
    bits: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]
