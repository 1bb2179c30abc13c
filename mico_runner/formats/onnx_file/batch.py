"""A network for any number of samples, from a file that may have fixed one.

Exporters write the shapes of their one sample into the arguments of Reshape. Each node is tried on shapes with a batch that is a large
prime: where that number went tells which size of a constant shape is the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.inputs import InputShape
from mico_runner.formats.onnx_file.network import OnnxNetwork, OnnxNode, Value

MANY = 1_000_003  # a prime that is in no size of a network
TOLERANCE = 1e-4  # of the largest output: two samples at once and one at a time differ by rounding
SEED = 0


def settle_batch(network: OnnxNetwork, shapes: Sequence[InputShape]) -> None:
    """Make every shape that is a constant of the file one for any batch.

    Raises UsageError: a node cannot be computed, or not for more samples than one.
    """
    changed: list[OnnxNode] = []
    fixed = not all(shape.free for shape in shapes)

    def before(node: OnnxNode, values: list[Value | None]) -> None:
        x = values[0] if values else None
        if not isinstance(x, torch.Tensor):
            return
        if node.kind == "Reshape" and 1 in node.known:
            target = _for_any_batch(tuple(x.shape), node.known[1], bool(node.get("allowzero", 0)), fixed)
            if target is not None:
                node.known[1] = np.array(target, np.int64)
                changed.append(node)
        if node.kind == "Squeeze" and 1 not in node.known and "axes" not in node.attributes:
            node.attributes["axes"] = [i for i, n in enumerate(x.shape) if n == 1]

    with _quiet(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        network.run([torch.empty(MANY, *s.sizes, dtype=torch.int64 if s.whole else None) for s in shapes], before)
    if changed:
        _compare(network, shapes, changed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch logs a page where shapes do not fit; the error that is raised says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _for_any_batch(sizes: tuple[int, ...], target: np.ndarray, allow_zero: bool, fixed: bool) -> list[int] | None:
    """The target of a reshape from these sizes, with -1 where the batch goes; None: it is right as it is."""
    wanted = [int(n) for n in np.asarray(target).ravel()]
    places = [i for i, n in enumerate(sizes) if n % MANY == 0]
    if len(places) != 1 or not (fixed or (wanted[:1] == [1] and places == [0])):
        return None
    (place,) = places
    one = [n // MANY if i == place else n for i, n in enumerate(sizes)]  # the file's own sizes
    if not allow_zero:
        wanted = [one[i] if n == 0 and i < len(one) else n for i, n in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = prod(n for n in wanted if n != -1)
        if not rest or prod(one) % rest:
            return None
        wanted[wanted.index(-1)] = prod(one) // rest
    if prod(wanted) != prod(one):
        return None
    # The batch is the outer part of its dimension, or the inner one: a dimension of one in its place tells.
    starts = (prod(one[:place]), prod(one[: place + 1]))
    units = [_unit_at(start, wanted) for start in starts]
    others = [_boundary_at(start, wanted, one[place + 1 :]) for start in starts]
    found = next((i for i in (*units, *others) if i is not None), None)
    return None if found is None else [-1 if i == found else n for i, n in enumerate(wanted)]


def _unit_at(start: int, wanted: list[int]) -> int | None:
    """The first dimension of one with `start` elements before it."""
    return next((i for i, n in enumerate(wanted) if n == 1 and prod(wanted[:i]) == start), None)


def _boundary_at(start: int, wanted: list[int], behind: list[int]) -> int | None:
    """The dimension that takes the batch, which has `start` elements before it and these sizes behind it."""
    if start == prod(wanted):
        return len(wanted) - 1
    found = next((i for i in range(len(wanted)) if prod(wanted[:i]) == start), None)
    # A boundary can be the end of one dimension or the begin of the next; rows of a matrix are samples, its columns are not.
    if found and (wanted[found:] == behind or found == len(wanted) - 1):
        return found - 1
    return found


def _compare(network: OnnxNetwork, shapes: Sequence[InputShape], changed: list[OnnxNode]) -> None:
    """Raises UsageError: two samples at once are not what the file computes of each."""
    generator = torch.Generator().manual_seed(SEED)
    inputs = [
        torch.randint(2, (2, *shape.sizes), generator=generator)
        if shape.whole
        else torch.randn(2, *shape.sizes, generator=generator)
        for shape in shapes
    ]
    with torch.no_grad():
        both = torch.utils._pytree.tree_leaves(network(*inputs))
        each = [torch.utils._pytree.tree_leaves(network(*(x[i : i + 1] for x in inputs))) for i in range(2)]
    for found, first, second in zip(both, *each, strict=True):
        right = torch.cat([first, second]) if first.ndim else first
        scale = float(right.nan_to_num().abs().max()) if right.numel() else 0.0
        if found.shape != right.shape or not torch.allclose(
            found, right, rtol=0, atol=TOLERANCE * scale, equal_nan=True
        ):
            raise UsageError(
                f"{changed[0].place}: the file is for one sample, and its reshapes do not say where the batch is; export it with a free"
                " batch dimension (torch.onnx.export: dynamic_shapes, or dynamic_axes)"
            )
