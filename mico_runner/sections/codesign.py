"""Sections of what a network and its accelerator are designed together with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
class Codesign:
    """Attributes: compare: heuristics beside the exact search, at so many `evaluations` each."""

    tables: TabledCosts | None
    compare: tuple[str, ...]
    evaluations: int
