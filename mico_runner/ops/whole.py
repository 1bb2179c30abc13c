"""Whole numbers: tokens, and what is computed of them before a table is read or they are compared.

They are stored as themselves, at as many bits as they need, so that sums, products and differences of them are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mico_runner.ops import operator
from mico_runner.ops.capture import Builder, Refused
from mico_runner.ops.node import Node

NEAR = (-128, 127)  # of a difference whose sign alone counts: it is clipped to this
MOST = (1 << 15) - 1


class Range(NamedTuple):
    """Whole numbers from `low` to `high`; each element of a tensor may be up to `common`, and some up to `high`."""

    low: int
    high: int
    common: int


UNKNOWN = Range(0, 255, 2)  # an input that is only compared: a byte, of which small numbers are likely to be told apart


def store_whole(build: Builder, tensor: str, made: Range) -> None:
    """Store a tensor as the whole numbers that it holds, of which a reader knows a range; so all that it is made of.

    Raises Refused: something makes it that does not give whole numbers, or they are too many.
    """
    low, high, common = made
    if (known := build.whole.get(tensor)) is not None:
        low, high, common = max(low, known[0]), min(high, known[1]), min(common, known[2])
    if low < -MOST or high > 2 * MOST + 1 or (low < 0 and high > MOST):
        raise Refused(f"whole numbers from {low} to {high} do not fit 16 bits")
    build.whole[tensor] = (low, high, common)
    if (node := build.producer.get(tensor)) is not None:
        for source, found in _parts(node, Range(low, high, common)):
            if not _is_truth(build, source):
                store_whole(build, source, found)


def store_sign(build: Builder, tensor: str, sources: list[str]) -> None:
    """Store a difference of whole numbers, of which the sign alone counts, and exactly what it is made of."""
    build.whole[tensor] = (*NEAR, NEAR[1])
    for source in sources:
        if _first(build, source) in build.producer:
            store_whole(build, source, Range(0, MOST, MOST))


def _first(build: Builder, tensor: str) -> str:
    """The tensor whose elements this one holds."""
    while (node := build.producer.get(tensor)) is not None and operator(node.op).KEEPS_TYPE:
        tensor = node.inputs[0]
    return tensor


def _is_truth(build: Builder, tensor: str) -> bool:
    """Whether a tensor is 0 or 1, which integers of any scale are exactly."""
    node = build.producer.get(tensor)
    return node is not None and (node.op == "comparison" or (node.op == "relu" and node.attrs["max"] == 1))


def _parts(node: Node, made: Range) -> list[tuple[str, Range]]:
    """What a node's inputs hold where its output holds whole numbers of a range. Raises Refused."""
    if operator(node.op).KEEPS_TYPE:
        return [(tensor, made) for tensor in node.inputs]
    if node.op == "affine" and node.attrs["below"] is None:
        factor, term = (np.asarray(node.attrs[key]) for key in ("factor", "term"))
        least, most = int(term.min()), int(term.max())  # tokens, which the network is given, are not negative
        if (factor == 1).all() and (term == np.rint(term)).all():
            return [(node.inputs[0], Range(max(made.low - most, 0), made.high - least, max(made.common - most, 0)))]
        if (factor == factor.flat[0]).all() and all((v == np.rint(v)).all() for v in (factor, term)) and factor.any():
            times = int(factor.flat[0])
            high = made.high - least if times > 0 else most - made.low
            return [(node.inputs[0], Range(0, high, max((made.common - most) // times if times > 0 else high, 0)))]
    if node.op in ("add", "mul"):  # of numbers that are not negative
        return [(tensor, Range(0, made.high, made.common)) for tensor in node.inputs]
    if node.op in ("comparison", "constant", "matmul"):  # truth values, and sums of them
        return []
    raise Refused(
        f"the numbers that it reads must be an input of the network, or sums and products of it; {node.op} makes them"
    )
