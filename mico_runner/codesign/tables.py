"""Layers whose costs stand in tables: every layer takes one choice, the costs add up, and a budget limits one of their sums.

This is the problem of ConfuciuX (S.-C. Kao, G. Jeong, T. Krishna, MICRO 2020): processing elements and a filter tile for each layer, least
latency or energy within an area or a power. As the layers share nothing but the budget, it is a multiple-choice knapsack.

A table of costs is a CSV file with a header: first the columns that describe a layer, then those of the choices, then costs. The list
of layers is a CSV file with a header, whose columns are those of a layer in the same order; their names may differ.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

from mico_runner.codesign import knapsack
from mico_runner.codesign.heuristics import HEURISTICS, Genes
from mico_runner.data.files import read_text
from mico_runner.errors import UsageError, did_you_mean

TABLE = "table"  # the axis of several tables, in outputs


@dataclass(frozen=True)
class Costs:
    """Costs of a network's layers.

    Attributes:
        layers: the network's layers in their order.
        axes: the values of each choice; with several tables, `TABLE` and their names first.
        columns: cost -> float64 (layers, *values of each axis); NaN: there is no such choice.
    """

    layers: tuple[str, ...]
    axes: dict[str, tuple[object, ...]]
    columns: dict[str, np.ndarray]

    def flat(self, column: str) -> np.ndarray:
        """(layers, choices)."""
        return self.columns[column].reshape(len(self.layers), -1)

    def choice(self, index: int) -> dict[str, object]:
        """The values of a choice by axis."""
        sizes = [len(values) for values in self.axes.values()]
        at = np.unravel_index(index, sizes)
        return {name: values[int(i)] for (name, values), i in zip(self.axes.items(), at, strict=True)}


@dataclass(frozen=True)
class Case:
    """One objective within one budget, solved.

    Attributes:
        budget: of the resource.
        choice: of each layer, int64 (layers,).
        value, bound: as in `knapsack.Solution`.
        uniform: value of the best design with one choice for all layers; infinite where none keeps the budget.
        heuristics: value that each reached, infinite where it found no design within the budget.
        seconds: processor time of the exact search.
    """

    objective: str
    resource: str
    share: float
    budget: float
    choice: np.ndarray
    value: float
    bound: float
    gap: float
    uniform: float
    heuristics: dict[str, float]
    seconds: float


def read(costs: dict[str, Path], layers: Path, choices: Sequence[str], columns: Sequence[str]) -> Costs:
    """A network's costs.

    Args:
        costs: tables by name.
        choices: columns of the choices.
        columns: costs that are read.

    Raises:
        UsageError: a file cannot be read, lacks a column or a layer, repeats a choice or holds something else than numbers.
    """
    parts = {name: _table(path, choices, columns) for name, path in costs.items()}
    described = [list(table.columns[: table.columns.get_loc(choices[0])]) for table in parts.values()]
    network = _numbers(layers, _csv(layers))
    for path, names in zip(costs.values(), described, strict=True):
        if len(names) != len(network.columns):
            text = f"{len(network.columns)} columns describe a layer; allowed: {len(names)}, as in {path}: {', '.join(names)}"
            raise UsageError(f"{layers}:1: found {text}")
    axes = {name: sorted(set().union(*(part[name] for part in parts.values()))) for name in choices}
    shape = (len(network), len(parts), *map(len, axes.values()))
    found = {column: np.full(shape, np.nan) for column in columns}
    for number, (path, names, table) in enumerate(zip(costs.values(), described, parts.values(), strict=True)):
        by_layer = dict(iter(table.groupby(names, sort=False)))
        for at, row in enumerate(network.itertuples(index=False)):
            key = tuple(row) if len(names) > 1 else (row[0],)
            if key not in by_layer:
                raise UsageError(f"{layers}:{at + 2}: layer {key} is not in {path}; allowed: layers of that table")
            rows = by_layer[key]
            places = tuple(np.searchsorted(axes[name], rows[name]) for name in choices)
            for column in columns:
                found[column][at, number][places] = rows[column]
    names_of = tuple(" ".join(f"{value:g}" for value in row) for row in network.itertuples(index=False))
    known: dict[str, tuple[object, ...]] = {name: tuple(values) for name, values in axes.items()}
    if len(parts) == 1:
        return Costs(names_of, known, {column: values[:, 0] for column, values in found.items()})
    return Costs(names_of, {TABLE: tuple(costs), **known}, found)


def corners(costs: Costs) -> np.ndarray:
    """Choices at the ends of every axis, of each table: the uniform designs that a budget lies between."""
    ends = [
        range(len(values)) if name == TABLE else sorted({0, len(values) - 1}) for name, values in costs.axes.items()
    ]
    sizes = [len(values) for values in costs.axes.values()]
    return np.array([np.ravel_multi_index(point, sizes) for point in product(*ends)])


def budget(costs: Costs, resource: str, share: float) -> float:
    """The least that a uniform corner design takes, and this share of the way to the most. Raises UsageError: no corner has costs."""
    totals = costs.flat(resource)[:, corners(costs)].sum(axis=0)
    totals = totals[np.isfinite(totals)]
    if not len(totals):
        raise UsageError(f"{resource}: no design with the least or most of every choice for all layers; allowed: one")
    return float(totals.min() + share * (totals.max() - totals.min()))


def solve(
    costs: Costs, objective: str, resource: str, share: float, compare: Sequence[str], evaluations: int, seed: int
) -> Case:
    """The least sum of the objective within a budget of the resource, proven, and what heuristics reach.

    Raises:
        UsageError: no choice keeps the budget.
    """
    limit = budget(costs, resource, share)
    value, use = costs.flat(objective), costs.flat(resource)
    there = np.isfinite(value) & np.isfinite(use)
    kept = [np.flatnonzero(row) for row in there]
    groups = [
        knapsack.Group(value[layer, at], use[layer, at][:, None]) for layer, at in enumerate(kept)
    ]  # fmt: skip
    start = process_time()
    found = knapsack.solve(groups, [limit])
    seconds = process_time() - start
    if found is None:
        raise UsageError(f"{resource}: no design keeps the budget of {limit:g}; allowed: a larger share than {share:g}")
    choice = np.array([at[option] for at, option in zip(kept, found.choice, strict=True)])
    uniform = np.where(use.sum(axis=0) <= limit * (1 + knapsack.SLACK), value.sum(axis=0), np.inf)
    reached = {}
    for name in compare:
        genes = _genes(costs, value, np.where(there, use, np.inf), limit)
        reached[name] = HEURISTICS[name](genes, evaluations, seed)
    return Case(
        objective=objective,
        resource=resource,
        share=share,
        budget=limit,
        choice=choice,
        value=found.value,
        bound=found.bound,
        gap=found.gap,
        uniform=float(np.nanmin(uniform, initial=np.inf)),
        heuristics=reached,
        seconds=seconds,
    )


def _genes(costs: Costs, value: np.ndarray, use: np.ndarray, limit: float) -> Genes:
    """A gene per layer and axis; the first design takes each layer's least use."""
    sizes = np.array([len(values) for values in costs.axes.values()])
    steps = np.append(np.cumprod(sizes[::-1])[::-1][1:], 1)
    layers = np.arange(len(value))

    def values(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        option = points.reshape(len(points), len(value), len(sizes)) @ steps
        cost, used = value[layers, option].sum(axis=1), use[layers, option].sum(axis=1)
        excess = np.where(used <= limit * (1 + knapsack.SLACK), 0.0, used / limit - 1)
        return np.where(np.isfinite(used), cost, np.inf), np.where(np.isfinite(excess), excess, 1e9)

    least = np.argmin(use, axis=1)
    first = np.stack(np.unravel_index(least, sizes), axis=1).ravel()
    return Genes(np.tile(sizes, len(value)), values, first)


def _table(path: Path, choices: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """A table of costs, checked."""
    table = _csv(path)
    for name in (*choices, *columns):
        if name not in table.columns:
            near = did_you_mean(name, list(table.columns)).rstrip(";")
            raise UsageError(f"{path}:1: no column {name!r}; allowed: {', '.join(table.columns)}{near}")
    first = table.columns.get_loc(choices[0])
    described = list(table.columns[:first])
    if not described:
        raise UsageError(f"{path}:1: {choices[0]!r} is the first column; allowed: columns of the layer before it")
    table = _numbers(path, table[[*described, *choices, *columns]])
    twice = table.duplicated([*described, *choices])
    if twice.any():
        line = int(twice.to_numpy().argmax()) + 2
        raise UsageError(f"{path}:{line}: layer and choice stand there before; allowed: once")
    return table


def _csv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(io.StringIO(read_text(path)), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UsageError(f"{path}: {str(error).strip()}; allowed: a CSV file with a header") from None
    if not len(table):
        raise UsageError(f"{path}: no rows; allowed: at least one below the header")
    return table


def _numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table as float64. Raises UsageError: a value is no number from 0 on."""
    made: pd.DataFrame = table.apply(pd.to_numeric, errors="coerce")
    bad = ~(np.isfinite(made.to_numpy(float)) & (made.to_numpy(float) >= 0))
    if bad.any():
        row, column = (int(at[0]) for at in np.nonzero(bad))
        found = table.iloc[row, column]
        raise UsageError(f"{path}:{row + 2}: {table.columns[column]} is {found!r}; allowed: a number from 0")
    return made.astype(float)
