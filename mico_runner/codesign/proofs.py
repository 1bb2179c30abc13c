"""Mappings of single layers with a proof: the mapper with growing budgets, against a bound that no mapping can beat.

A layer is proven when the mapping found costs what the bound says, or when the mapper has seen the whole space of mappings. All budgets
are numbers of mappings, so that the outcome does not depend on the speed of the computer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mico_runner.accelerators import spatial
from mico_runner.accelerators.spatial import Layer
from mico_runner.codesign import bounds
from mico_runner.codesign.knapsack import EXACT
from mico_runner.hardware import Architecture

OBJECTIVES = ("cycles", "energy")


@dataclass(frozen=True)
class Proof:
    """A layer's best mapping found, and what is known of all others.

    Attributes:
        value, bound: cost of the mapping, and what no mapping of the space costs less than.
        seen, space: mappings evaluated in the last search, and how many there are.
    """

    value: float
    bound: float
    seen: int
    space: int

    @property
    def gap(self) -> float:
        """Share of the value by which another mapping might still be better."""
        return 0.0 if self.value <= self.bound * (1 + 2 * EXACT) else 1 - self.bound / self.value


def prove(layer: Layer, array: Architecture, objective: str, budgets: Sequence[int], gap: float = 0.0) -> Proof:
    """The best mapping of a layer for the cycles or the energy, by one budget of mappings after the other until its gap is small enough.

    Raises:
        UsageError: no mapping is valid.
    """
    rows, columns = np.array([array.rows]), np.array([array.columns])
    least = {"cycles": bounds.least_cycles, "energy": bounds.least_energy}[objective]
    low = float(least(layer, array, rows, columns)[0])
    proof = None
    for budget in budgets:  # samples differ, so that a larger one may miss what a smaller one has found
        best = spatial.best(layer, replace(array, objective=objective, mappings=budget))
        value = float(best.cycles) if objective == "cycles" else best.energy_pj
        whole = best.seen == best.space
        value = value if proof is None else min(value, proof.value)
        proof = Proof(value, value if whole else low, best.seen, best.space)
        if whole or proof.gap <= gap:
            break
    if proof is None:
        raise ValueError("no budgets; allowed: at least one")
    return proof
