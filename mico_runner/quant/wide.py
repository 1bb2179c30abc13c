"""Which tensors are stored at 16 bits, because 8 would cost their readers more than those round away themselves.

A norm brings each row to one size, so that the rounding of a small row grows with it: one step serves all rows of a tensor. For each
such reader the error of its output is measured on rows of the calibration images, once from its input as 8 bits round it, once from
the rounding of the output to 8 bits. Where the first is more, it reads 16 bits, and so do all sums, factors and copies on the way to
it: a residual stream has 16 bits from end to end, and is rounded once for a layer that reads it. Then both factors of a gate have as
many, so that of three roundings the product's is left. A network without norms has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from mico_runner.graph.fusion import FusedNode
from mico_runner.graph.ir import Graph
from mico_runner.ops import operator
from mico_runner.ops.arithmetic import to_integers
from mico_runner.quant.qgraph import INPUT_BITS, QType


def wide_tensors(
    graph: Graph, steps: Sequence[FusedNode], rows: Mapping[str, np.ndarray], type_at: Callable[[str, int], QType]
) -> frozenset[str]:
    """Names of the tensors.

    Args:
        rows: what norms read on calibration images, by node: (samples, length).
        type_at: a tensor's type at so many bits.
    """
    found = set[str]()
    for step in reversed(steps):
        of = operator(step.node.op)
        passes_on = (of.WIDE or of.KEEPS_TYPE) and not of.ROWS and step.output in found
        if passes_on or (of.ROWS and _pays(step, rows[step.node.name], type_at)):
            found |= set(step.node.inputs)
    if found:
        found |= {tensor for step in steps if _gates(graph, step) for tensor in step.node.inputs}
    return frozenset(found - set(graph.inputs))


def _gates(graph: Graph, step: FusedNode) -> bool:
    shapes = {graph.shapes[tensor] for tensor in step.node.inputs}
    return operator(step.node.op).GATES and len(shapes) == 1 and len(shapes.pop()) == 2


def _pays(step: FusedNode, rows: np.ndarray, type_at: Callable[[str, int], QType]) -> bool:
    """Whether 8 bits of the input make a larger error in the output than 8 bits of the output itself."""
    x = rows.astype(np.float64)
    exact, found = (
        operator(step.node.op).real(step.node, [torch.from_numpy(values)]).numpy()
        for values in (x, _rounded(x, type_at(step.node.inputs[0], INPUT_BITS)))
    )
    own = _rounded(exact, type_at(step.output, INPUT_BITS))
    return float(((found - exact) ** 2).mean()) > float(((own - exact) ** 2).mean())


def _rounded(x: np.ndarray, kind: QType) -> np.ndarray:
    """Real values as the integers of a type stand for them."""
    return to_integers(x, kind) * kind.scale
