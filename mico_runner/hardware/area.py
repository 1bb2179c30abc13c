"""Silicon area of a simulated accelerator, part by part: units and memories whose device profile states a figure.

What no part states is not guessed: the area is then not known, and `missing` names the parts. Wiring, control and pads are in none
of the parts unless the profile's `rest_um2` has them. The outermost memory lies outside the chip.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, prod
from typing import Any

from mico_runner.hardware import kinds
from mico_runner.hardware.parameters import SRAMS
from mico_runner.hardware.profile import Hardware


@dataclass(frozen=True)
class Part:
    """`count` instances of `um2_each` square micrometres; None where no figure is stated."""

    name: str
    count: int
    um2_each: float | None

    @property
    def um2(self) -> float:
        return 0.0 if self.um2_each is None else self.count * self.um2_each

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {"part": self.name, "count": self.count, "um2_each": self.um2_each, "um2": self.um2}


@dataclass(frozen=True)
class Area:
    """The parts of a chip.

    Attributes:
        parts: units first ("mac"), then memories, outermost first, then "rest" where the profile states it.
    """

    parts: tuple[Part, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts without a figure."""
        return tuple(part.name for part in self.parts if part.um2_each is None)

    @property
    def um2(self) -> float | None:
        """Sum over the parts, rounded once, so that their order does not matter; None unless all are known."""
        return None if self.missing or not self.parts else fsum(part.um2 for part in self.parts)


def area_of(device: Hardware) -> Area:
    """Area of a device; one that is not simulated has no parts."""
    array = device.architecture
    if array is not None:
        elements = array.rows * array.columns
        inner = [Part(s.name, elements if s.per_element else 1, s.area_um2) for s in array.stores[1:]]
        return Area((Part("mac", elements, array.mac_area_um2), *inner))
    sides = kinds.accelerators()[device.kind].meta.get("units") if device.simulated else None
    if sides is None:
        return Area(())

    def stated(name: str) -> float | None:
        return device.value(name) if name in device.parameters else None

    units = prod(int(device.value(side)) for side in sides)
    rest = stated("rest_um2")
    parts = [Part("mac", units, stated("mac_um2"))]
    for memory in (name for name in SRAMS if f"{name}_bytes" in device.parameters):
        per_bit = stated(f"{memory}_um2_per_bit")
        if per_bit is not None or rest is None:  # otherwise it is part of the rest
            parts.append(Part(memory, 1, per_bit and 8 * device.value(f"{memory}_bytes") * per_bit))
    return Area((*parts, *([] if rest is None else [Part("rest", 1, rest)])))
