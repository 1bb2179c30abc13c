"""Dataflows: which loops of a layer may run side by side on an array of elements, and what stays in the elements.

A layer is the nest N (samples), G (groups), M (filters of a group), C (channels of a group), P, Q (rows and columns of the output),
R, S (rows and columns of the kernel). Names as in V. Sze et al., "Efficient Processing of Deep Neural Networks", Proc. IEEE 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from mico_runner.errors import UsageError

DIMENSIONS = ("N", "G", "M", "C", "P", "Q", "R", "S")


@dataclass(frozen=True)
class Dataflow:
    """What a mapping may do.

    Attributes:
        rows, columns: dimensions that may run side by side along each axis of the array.
        stationary: operand that stays in the elements while the memory outside them walks over the others' tiles; "": any.
        outside, inside: dimensions whose turns all happen in the memory just outside the elements, or inside an element.
        unrolled: dimensions that lie along the rows whole.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    stationary: str = ""
    outside: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    unrolled: tuple[str, ...] = ()


_ALL = DIMENSIONS
DATAFLOWS: Mapping[str, Dataflow] = {
    "weight_stationary": Dataflow(("C", "R", "S", "G"), ("M", "G"), "weights"),
    # A result stays in its element until it is finished: the sums' loops have no turns further out.
    "output_stationary": Dataflow(("P", "Q", "N", "G"), ("M", "G"), "outputs", outside=("C", "R", "S")),
    "input_stationary": Dataflow(("C", "R", "S", "G"), ("P", "Q", "N", "G"), "inputs"),
    # Y.-H. Chen et al., Eyeriss, ISCA 2016 and JSSC 2017: an element convolves one row of the kernel with one row of the input; the
    # kernel's rows lie along the array's rows, output rows along its columns; what is left of the array takes further sets.
    "row_stationary": Dataflow(
        ("R", "P", "M", "C", "G"), ("P", "M", "G"), "weights", outside=("Q",), inside=("S",), unrolled=("R",)
    ),
    "free": Dataflow(_ALL, _ALL),
}


def unrollings(dimensions: Mapping[str, int], dataflow: Dataflow, rows: int, columns: int) -> list[dict[str, int]]:
    """Every way to lay a layer on the array, as {dimension: factor}: fewest steps first, padding included, then fewest elements.

    A dimension that does not divide is padded to whole turns. Only factors that save a turn count.

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
    found: dict[tuple[int, ...], tuple[int, int]] = {}
    for down, across in product(along_rows, along_columns):
        pairs = [(down.get(d, 1), across.get(d, 1), extent) for d, extent in dimensions.items()]
        if any(a * b - extent >= min(a, b) for a, b, extent in pairs):
            continue  # a whole row or column of the array would see padding only
        side = tuple(a * b for a, b, _ in pairs)
        turns = [-(-extent // factor) for factor, (_, _, extent) in zip(side, pairs, strict=True)]
        found.setdefault(side, (prod(turns), prod(side)))
    ranked = sorted(found, key=lambda side: (*found[side], side))
    return [{d: n for d, n in zip(dimensions, side, strict=True) if n > 1} for side in ranked]


def _along(
    dimensions: Mapping[str, int], allowed: tuple[str, ...], limit: int, whole: tuple[str, ...]
) -> list[dict[str, int]]:
    """Factors along one axis of the array."""
    names = [d for d in allowed if dimensions.get(d, 1) > 1]
    choices = [
        [dimensions[d]] if d in whole else sorted({-(-dimensions[d] // turns) for turns in range(1, dimensions[d] + 1)})
        for d in names
    ]
    found = []

    def extend(at: int, room: int, side: dict[str, int]) -> None:
        if at == len(names):
            found.append(side)
            return
        for factor in choices[at]:
            if factor > room:
                break
            extend(at + 1, room // factor, {**side, names[at]: factor})

    extend(0, limit, {})
    return found
