"""Which bits are tried, under which limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mico_runner.records import dataclass
from mico_runner.sections.bits import Bits


@dataclass(frozen=True)
class Pin:
    """Bits of one layer that are fixed."""

    weight_bits: Bits | None = None
    activation_bits: int | None = None


@dataclass(frozen=True)
class Space:
    """Bits that are tried for every layer, except those of `pinned` layers."""

    weight_bits: tuple[Bits, ...]
    activation_bits: tuple[int, ...]
    pinned: Mapping[str, Pin]


@dataclass(frozen=True)
class Limit:
    """A limit of a cost: in its unit, or as a share of that of the 8-bit network when `relative_to` is "int8"."""

    max: float
    relative_to: str | None


@dataclass(frozen=True)
class LatencyLimit(Limit):
    """Attributes: risk: probability that the limit is kept; None: the expected latency counts."""

    risk: float | None


@dataclass(frozen=True)
class QualityLimit:
    """Attributes: relative_to: "float" or "int8"; max_drop: by how much it may be worse; min, max: in the unit of the task's measure."""

    relative_to: str
    max_drop: float | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class AllocateConstraints:
    energy: Limit | None = None
    latency: Limit | None = None
    flash_bytes: Limit | None = None


@dataclass(frozen=True)
class Allocate:
    """Bits of a network that is known by its layers alone.

    Attributes:
        input: channels, height, width.
        over: the cost that the front runs over.
        points: of the front.
    """

    network: str
    params: Mapping[str, Any]
    input: tuple[int, int, int]
    classes: int
    space: Space
    constraints: AllocateConstraints
    over: str
    points: int


@dataclass(frozen=True)
class SearchConstraints:
    """The limits that there are, in the order in which the search hears of them."""

    latency: LatencyLimit | None = None
    energy: Limit | None = None
    edp: Limit | None = None
    flash_bytes: Limit | None = None
    ram_bytes: Limit | None = None
    bops: Limit | None = None
    quality: QualityLimit | None = None


@dataclass(frozen=True)
class Budget:
    """Networks that may be evaluated, and seconds that this may take."""

    evaluations: int
    seconds: float | None


@dataclass(frozen=True)
class Search:
    """Bits for each layer.

    Attributes:
        objectives: the most important first.
        compare: further algorithms at the same budget.
        choice: which point of the front.
        rounding: of weights while bits are searched; None: that of `quantization.weights`, as what is deployed has.
    """

    space: Space
    algorithm: str
    params: Mapping[str, Any]
    objectives: tuple[str, ...]
    constraints: SearchConstraints
    budget: Budget
    compare: tuple[str, ...]
    enumerate: bool
    choice: str
    rounding: str | None
