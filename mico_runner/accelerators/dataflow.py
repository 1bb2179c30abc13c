"""Dataflows: which loops of a layer may run side by side on an array of elements, and what stays in the elements.

A layer is the nest N (samples), G (groups), M (filters of a group), C (channels of a group), P, Q (rows and columns of the output),
R, S (rows and columns of the kernel). Names as in V. Sze et al., "Efficient Processing of Deep Neural Networks", Proc. IEEE 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from mico_runner.errors import UsageError

DIMENSIONS = ("N", "G", "M", "C", "P", "Q", "R", "S")


@dataclass(frozen=True)
class Dataflow:
    """The freedom of a mapping.

    Attributes:
        rows, columns: dimensions that may run side by side along each axis of the array.
        stationary: operand that stays in the elements while the memory outside them walks over the others' tiles; "": any.
        outside, inside: dimensions whose turns all happen in the memory just outside the elements, or inside an element.
        near: dimensions whose turns happen in either of these.
        unrolled: dimensions that lie along the rows whole.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    stationary: str = ""
    outside: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    unrolled: tuple[str, ...] = ()


_WAYS = 300
_ALL = DIMENSIONS
DATAFLOWS: Mapping[str, Dataflow] = {
    "weight_stationary": Dataflow(("C", "R", "S", "G"), ("M", "G"), "weights"),
    # A result stays in its element until it is finished: the sums' loops have no turns further out.
    "output_stationary": Dataflow(("P", "Q", "N", "G"), ("M", "G"), "outputs", near=("C", "R", "S")),
    "input_stationary": Dataflow(("C", "R", "S", "G"), ("P", "Q", "N", "G"), "inputs"),
    # Y.-H. Chen et al., Eyeriss, ISCA 2016 and JSSC 2017: an element convolves one row of the kernel with one row of the input; the
    # kernel's rows lie along the array's rows, output rows along its columns; what is left of the array takes further sets.
    "row_stationary": Dataflow(
        ("R", "P", "M", "C", "G"), ("P", "M", "G"), "weights", outside=("Q",), inside=("S",), unrolled=("R",)
    ),
    "free": Dataflow(_ALL, _ALL),
}


@dataclass(frozen=True)
class Unrollings:
    """Ways to lay a layer on the array.

    Attributes:
        best: the first ones as {dimension: factor}, fewest steps first, padding included, then fewest elements.
        temporal: what remains of each dimension for temporal loops, for all ways, (ways, dimensions), in the same order.
    """

    best: list[dict[str, int]]
    temporal: np.ndarray


def unrollings(
    dimensions: Mapping[str, int], dataflow: Dataflow, rows: int, columns: int, most: int = 64
) -> Unrollings:
    """Every way to lay a layer on the array that a dataflow allows, the `most` best ones in full.

    A dimension that does not divide is padded to whole turns. Only factors that save a turn count. Of the ways to fill one axis, the
    300 fullest are combined with those of the other.

    Raises:
        UsageError: a dimension that the dataflow lays along the rows whole is longer than they are.
    """
    for dimension in dataflow.unrolled:
        if dimensions.get(dimension, 1) > rows:
            raise UsageError(
                f"no valid mapping: dimension {dimension} lies along the array's rows whole; found "
                f"{dimensions[dimension]}, allowed: at most {rows}"
            )
    along_rows = _along(dimensions, dataflow.rows, rows, dataflow.unrolled)
    along_columns = _along(dimensions, dataflow.columns, columns, ())
    extents = np.array(list(dimensions.values()))
    sides = []
    for down in along_rows:
        side = down * along_columns
        # a whole row or column of the array would see padding only
        sides.append(side[(side - extents < np.minimum(down, along_columns)).all(axis=1)])
    side = np.unique(np.concatenate(sides), axis=0)
    temporal = -(-extents // side)
    order = np.lexsort((*side.T[::-1], side.prod(axis=1), temporal.prod(axis=1)))
    best = [{d: int(n) for d, n in zip(dimensions, way, strict=True) if n > 1} for way in side[order[:most]]]
    return Unrollings(best, temporal[order])


def _along(dimensions: Mapping[str, int], allowed: tuple[str, ...], limit: int, whole: tuple[str, ...]) -> np.ndarray:
    """Factors of every dimension along one axis of the array, (ways, dimensions), the fullest ones."""
    names = list(dimensions)
    found = [(1,) * len(names)]
    for at, name in enumerate(names):
        if name not in allowed:
            continue
        extent = dimensions[name]
        factors = [extent] if name in whole else sorted({-(-extent // turns) for turns in range(1, extent + 1)})
        found = [
            (*way[:at], factor, *way[at + 1 :]) for way in found for factor in factors if prod(way) * factor <= limit
        ]
    return np.array(sorted(found, key=lambda way: (-prod(way), way))[:_WAYS])
