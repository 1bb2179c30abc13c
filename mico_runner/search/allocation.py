"""Bits for a network that is known by its layers alone: the least quantisation noise within cost limits, solved exactly.

Without data there is no accuracy. What stands for it is the signal-to-quantisation-noise ratio (SQNR) of the output, which for a chain of
layers follows from those of all weights and activations: 1 / SQNR = sum of 1 / SQNR_i (D. Lin, S. Talathi, V. Annapureddy, "Fixed Point
Quantization of Deep Convolutional Networks", ICML 2016). The noise therefore adds up over the layers, as costs do, and the best
allocation is a multiple-choice knapsack. Each quantiser is the best uniform one for normally distributed values (J. Max, "Quantizing for
Minimum Distortion", IRE Trans. 1960). A layer that is more sensitive than others is not known as such: that takes data, and `search`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from scipy import optimize, stats

from mico_runner.amounts import apart
from mico_runner.errors import StepError
from mico_runner.quant.qgraph import LayerBits
from mico_runner.search import milp
from mico_runner.search.rounding import LOSS_DIGITS, SLACK, significant
from mico_runner.search.space import Space

TERNARY = 1.5


@cache
def noise(bits: float) -> float:
    """Mean squared error of the best symmetric uniform quantiser of a standard normal variable, 1 / SQNR."""
    levels = 3 if bits == TERNARY else 2 ** int(bits)

    def error(step: float) -> float:
        edges = step * (np.arange(levels - 1) - (levels - 2) / 2)
        values = step * (np.arange(levels) - (levels - 1) / 2)
        low, high = np.append(-np.inf, edges), np.append(edges, np.inf)
        mass = stats.norm.cdf(high) - stats.norm.cdf(low)
        mean = stats.norm.pdf(low) - stats.norm.pdf(high)  # of x over the interval
        return float(1 - 2 * values @ mean + values**2 @ mass)

    least = optimize.minimize_scalar(error, bounds=(1e-3, 4.0), method="bounded", options={"xatol": 1e-10}).fun
    return float(significant(np.array(least), LOSS_DIGITS))


def noise_table(space: Space) -> np.ndarray:
    """Noise of each layer at each choice, weights and activations together, (layers, choices)."""
    by_choice = [noise(bits.weight) + noise(bits.activation) for bits in space.choices]
    return np.tile(by_choice, (len(space.layers), 1))


def sqnr(space: Space, config: np.ndarray) -> float:
    """SQNR of the output in dB, higher is better."""
    return float(-10 * np.log10(_total(noise_table(space), config)))


def cliffs(space: Space, cost: np.ndarray, most: float) -> list[tuple[str, LayerBits, LayerBits, float]]:
    """Where one bit less, of weights or activations, divides a layer's cost by more than `most`: the schedule's doing, not the bits'.

    Args:
        cost: (layers, choices).

    Returns:
        The layer, its bits before and after, and the quotient, the largest first.
    """
    found = []
    for more in range(len(space.choices)):
        for less in range(len(space.choices)):
            before, after = space.choices[more], space.choices[less]
            if sorted((before.weight - after.weight, before.activation - after.activation)) != [0, 1]:
                continue
            for layer in np.flatnonzero(space.mask[:, more] & space.mask[:, less]):
                quotient = cost[layer, more] / cost[layer, less]
                if quotient > most:
                    found.append((space.layers[layer], before, after, float(quotient)))
    return sorted(found, key=lambda cliff: -cliff[3])


def best(space: Space, limits: Mapping[str, tuple[np.ndarray, float]]) -> np.ndarray:
    """The configuration (layers,) of the highest SQNR whose costs, tables (layers, choices), stay within their limits.

    Raises StepError: none does; it names the lowest values that each cost can reach by itself.
    """
    config = milp.allocate(space, noise_table(space), limits.values())
    if config is None:
        pairs = {name: (lowest_total(space, table), high) for name, (table, high) in limits.items()}
        lowest = "; ".join(
            f"{name} reaches {apart(low, high, '{:,.4g}'.format)}, limit {apart(high, low, '{:,.4g}'.format)}"
            for name, (low, high) in pairs.items()
        )
        raise StepError(f"no bits keep all limits together; each alone: {lowest}")
    return config


def lowest_total(space: Space, table: np.ndarray) -> float:
    """The least total cost that any configuration has."""
    return float(np.where(space.mask, table, np.inf).min(axis=1).sum())


def best_uniform(space: Space, limits: Mapping[str, tuple[np.ndarray, float]]) -> np.ndarray | None:
    """The same with one pair of bits for all layers; None where none keeps the limits or pinned layers forbid it."""
    found: list[tuple[float, np.ndarray]] = []
    for choice in np.flatnonzero(space.mask.all(axis=0)):
        config = np.full(len(space.layers), choice)
        if all(_total(table, config) <= high * (1 + SLACK) for table, high in limits.values()):
            found.append((_total(noise_table(space), config), config))
    return min(found, key=lambda item: item[0])[1] if found else None


def front(
    space: Space, table: np.ndarray, limits: Mapping[str, tuple[np.ndarray, float]], points: int
) -> list[np.ndarray]:
    """Best configurations at `points` limits of one cost, evenly from the lowest value it can have to that of the most bits."""
    highest = _total(table, best(space, limits))
    found: list[np.ndarray] = []
    for high in np.linspace(lowest_total(space, table), highest, points):
        config = milp.allocate(space, noise_table(space), [*limits.values(), (table, high * (1 + 1e-9))])
        if config is not None and not any(np.array_equal(config, other) for other in found):
            found.append(config)
    return found


def totals(tables: Mapping[str, np.ndarray], config: np.ndarray) -> dict[str, float]:
    """Total of each cost under a configuration."""
    return {name: _total(table, config) for name, table in tables.items()}


def describe(space: Space, configs: Sequence[np.ndarray], tables: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """A row per configuration: sqnr_db and the total of each cost."""
    return [{"sqnr_db": sqnr(space, config), **totals(tables, config)} for config in configs]


def _total(table: np.ndarray, config: np.ndarray) -> float:
    return float(np.take_along_axis(table, config[:, None], axis=1).sum())
