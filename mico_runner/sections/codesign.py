"""Sections of what a network and its accelerator are designed together with."""

from __future__ import annotations

from collections.abc import Mapping

from mico_runner.records import dataclass


@dataclass(frozen=True)
class TabledNetwork:
    """A network whose layers' costs stand in tables, each a name of the catalog or the path of a CSV file.

    Attributes:
        costs: a row per layer and choice; of several tables every layer takes one.
        layers: the layers in their order, repeated ones as often as they occur.
    """

    costs: tuple[str, ...]
    layers: str


@dataclass(frozen=True)
class TabledCosts:
    """Networks whose layers' costs stand in tables.

    Attributes:
        choices: columns that say what is chosen; those before the first of them describe the layer.
        objectives: columns that are minimised, each for itself.
        resources: columns that a budget limits, each for itself.
        shares: a budget is the least that a uniform corner design takes, and this share of the way to the most.
    """

    networks: Mapping[str, TabledNetwork]
    choices: tuple[str, ...]
    objectives: tuple[str, ...]
    resources: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Engines:
    """What each engine on an FPGA may have: products side by side along each dimension, and KiB of its buffer of weights."""

    channels: tuple[int, ...]
    filters: tuple[int, ...]
    pixels: tuple[int, ...]
    weight_kib: tuple[int, ...]


@dataclass(frozen=True)
class Mappings:
    """Mappings of each layer on the device as it is.

    Attributes:
        budgets: mappings that are seen, one number after the other, until the layer's gap is small enough.
        gap: share of the cost by which another mapping may be better.
    """

    budgets: tuple[int, ...]
    gap: float


@dataclass(frozen=True)
class ShapedNetwork:
    """A network that is known by its layers' shapes.

    Attributes:
        input: channels, height, width.
        params: of the network.
    """

    input: tuple[int, int, int]
    classes: int
    params: Mapping[str, object]


@dataclass(frozen=True)
class TriedBits:
    """Bits that are tried for every layer, or engine.

    Attributes:
        noise_of: (weight bits, activation bits) whose quantisation noise, when every layer has them, is the most allowed.
    """

    weight_bits: tuple[int, ...]
    activation_bits: tuple[int, ...]
    noise_of: tuple[int, int]


@dataclass(frozen=True)
class ResourceLimits:
    """Shares of what the device itself takes: area, elements (or units), bits of memory on the chip; None: no limit."""

    area: float | None
    elements: float | None
    memory: float | None


@dataclass(frozen=True)
class Certificate:
    """When a search may end.

    Attributes:
        gap: share of the value by which a design that is left out may be better.
        designs: the most that are mapped; None: any number.
    """

    gap: float
    designs: int | None


@dataclass(frozen=True)
class Codesign:
    """Network and accelerator designed together, over one of four spaces: `tables`, `engines`, `mappings`, `vary`.

    Attributes:
        vary: dotted key of the device's profile -> values, or {"scale": shares of its own value}.
        energy_by_size: whether energies of memories whose size varies follow it.
        networks: by their name in the zoo.
        objectives: cycles, energy, edp, each for itself.
        compare: heuristics beside the exact search, at so many `evaluations` each.
    """

    tables: TabledCosts | None
    engines: Engines | None
    mappings: Mappings | None
    vary: Mapping[str, object] | None
    energy_by_size: bool
    networks: Mapping[str, ShapedNetwork]
    bits: TriedBits
    objectives: tuple[str, ...]
    limits: ResourceLimits
    certificate: Certificate
    compare: tuple[str, ...]
    evaluations: int
