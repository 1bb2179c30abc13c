"""What each layer of a network costs at each pair of bits on each design: bounds, and values where they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mico_runner import accelerators
from mico_runner.accelerators import spatial
from mico_runner.codesign import bounds
from mico_runner.codesign.designs import Designs
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import SHAPE

COLUMNS = ("cycles", "energy_pj")


@dataclass(frozen=True)
class Task:
    """What is to be run, and how well.

    Attributes:
        table: kernel table of the layers, one row each; their bits are not read.
        bits: pairs of weight and activation bits.
        noise: of a layer at each pair, (bits,).
        limit: of the network's noise.
    """

    table: pd.DataFrame
    bits: tuple[tuple[int, int], ...]
    noise: np.ndarray
    limit: float

    def unique(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of different layers (u,), and which of them each layer is (layers,)."""
        return unique_layers(self.table)

    def rows(self, layers: Iterable[int], pairs: Iterable[int]) -> pd.DataFrame:
        """The kernel table of these layers at these pairs of bits."""
        chosen = [self.bits[pair] for pair in pairs]
        table = self.table.iloc[list(layers)].reset_index(drop=True)
        return table.assign(weight_bits=[w for w, _ in chosen], act_bits=[a for _, a in chosen])

    def only(self, pair: int) -> Task:
        """The same with one pair of bits for all layers, whatever its noise."""
        return replace(
            self, bits=(self.bits[pair],), noise=self.noise[[pair]], limit=float(self.noise[pair]) * len(self.table)
        )


def unique_layers(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a kernel table that have different shapes (u,), and which of them each row is (rows,)."""
    keys = table[["kind", *SHAPE]].astype(str).agg(" ".join, axis=1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first, which


class Costs:
    """Cycles and energy of different layers at every pair of bits on every design: bounds, and values where they are asked for."""

    def __init__(self, task: Task, designs: Designs, objective: str) -> None:
        self.task, self.designs, self.objective = task, designs, objective
        self.first, self.which = task.unique()
        self.exact = designs.devices[0].architecture is None
        self._row, self.lower = self._exact() if self.exact else self._bounded()
        self._known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.mapped = 0

    def bound_of(self, design: int) -> np.ndarray:
        """float64 (2, different layers, bits) of `COLUMNS`."""
        found: np.ndarray = self.lower[self._row[design]]
        return found

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds that differ (n, 2, layers, bits), and which of them each design has."""
        return self.lower, self._row

    def known(self, design: int) -> tuple[np.ndarray, np.ndarray]:
        """(2, layers, bits) values where they are known and else bounds, and where they are known (layers, bits)."""
        if design not in self._known:
            lower = self.bound_of(design)
            self._known[design] = (lower.copy(), np.full(lower.shape[1:], self.exact))
        return self._known[design]

    def evaluate(self, design: int, layers: np.ndarray, pairs: np.ndarray) -> None:
        """Maps these layers at these pairs. Raises UsageError: one of them has no mapping."""
        values, done = self.known(design)
        device = self.designs.device(design)
        trace = accelerators.of(aimed(device, self.objective)).simulate(self.task.rows(self.first[layers], pairs))
        for number, column in enumerate(COLUMNS):
            values[number, layers, pairs] = trace[column].to_numpy(float)
        done[layers, pairs] = True
        self.mapped += len(layers)

    def _exact(self) -> tuple[np.ndarray, np.ndarray]:
        u, b = len(self.first), len(self.task.bits)
        rows = self.task.rows(np.repeat(self.first, b), np.tile(np.arange(b), u))
        found = np.full((len(self.designs), 2, u, b), np.inf)
        for number in range(len(self.designs)):
            trace = accelerators.of(self.designs.device(number)).simulate(rows)
            found[number] = [trace[column].to_numpy(float).reshape(u, b) for column in COLUMNS]
        return np.arange(len(found)), found

    def _bounded(self) -> tuple[np.ndarray, np.ndarray]:
        arrays = [device.architecture for device in self.designs.devices]
        sides = np.array([(a.rows, a.columns) for a in arrays if a is not None])[self.designs.shared]
        for number, key in enumerate(("architecture.rows", "architecture.columns")):
            if key in self.designs.keys:
                at = self.designs.keys.index(key)
                sides[:, number] = np.array(self.designs.values[at])[self.designs.points[:, at]]
        # Sizes of memories matter to a bound only where their energies follow them.
        sized = [at for at, key in enumerate(self.designs.keys) if key.endswith(".size")]
        of_size = self.designs.points[:, sized if self.designs.energy_by_size else []]
        kinds = np.column_stack([self.designs.shared, of_size])
        keys = np.column_stack([kinds, sides])
        distinct, first, row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        u, b = len(self.first), len(self.task.bits)
        found = np.empty((len(distinct), 2, u, b))
        for kind in np.unique(distinct[:, :-2], axis=0):
            mine = np.flatnonzero((distinct[:, :-2] == kind).all(axis=1))
            array = self.designs.device(int(first[mine[0]])).architecture
            if array is None:
                continue
            rows, columns = distinct[mine, -2], distinct[mine, -1]
            table = self.task.rows(np.repeat(self.first, b), np.tile(np.arange(b), u))
            for at, layer in enumerate(map(spatial.layer_of, table.itertuples())):
                found[mine, 0, at // b, at % b] = bounds.least_cycles(layer, array, rows, columns)
                found[mine, 1, at // b, at % b] = bounds.least_energy(layer, array, rows, columns)
        return np.asarray(row).reshape(-1), found


def aimed(device: Hardware, objective: str) -> Hardware:
    """The device whose mapper minimises the objective."""
    if device.architecture is None:
        return device
    return replace(device, architecture=replace(device.architecture, objective=objective))
