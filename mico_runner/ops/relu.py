"""relu and ReLU6."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mico_runner.ops import operator, register
from mico_runner.ops.arithmetic import multiplier_and_shift
from mico_runner.ops.base import Operator, Quantiser, Row, Shapes, elements_row, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.conv_groups import ConvGroups
from mico_runner.ops.draft import Draft
from mico_runner.ops.node import INPUT_BITS, Node


@register("relu")
class Relu(Operator):
    """max(0, x), and not above `max` where that is given (6.0). It becomes part of the operator in front, else a `requant`.

    In integers the unsigned type of the output does the clamping.
    """

    ATEN = (
        "relu.default",
        "relu6.default",
        "hardtanh.default",
        "clamp.default",
        "clamp_min.default",
        "clamp_max.default",
    )
    ATTRS = ("max",)
    MERGES = True
    DNNWEAVER = "LeakyReLU"

    def capture(self, call: Call) -> str:
        low: float | None = 0.0
        high: float | None = 6.0 if call.target == "relu6" else None
        if not call.target.startswith("relu"):
            low = call.args.get("min", call.args.get("min_val"))
            high = call.args.get("max", call.args.get("max_val"))
        if low is None or low != 0 or high not in (None, 6.0):
            limits = {"low": low, "high": high}
            return call.builder.elementwise(call.name, "clip", [call.input()], call.source, attrs=limits)
        top = None if high is None else 6.0
        return call.builder.elementwise(call.name, self.name, [call.input()], call.source, attrs={"max": top})

    def rewrite(self, draft: Draft) -> bool:
        """relu(max_pool(x)) becomes max_pool(relu(x)), the same numbers: the ReLU can then be part of the layer before."""
        nodes, readers = draft.nodes, draft.readers()
        pools = {n.output: i for i, n in enumerate(nodes) if operator(n.op).SELECTS and readers[n.output] == 1}
        found = next((i for i, n in enumerate(nodes) if n.op == self.name and n.inputs[0] in pools), None)
        if found is None:
            return False
        relu, pool = nodes[found], nodes[pools[nodes[found].inputs[0]]]
        # The pool keeps the tensor that later nodes read; the ReLU makes the one between.
        nodes[nodes.index(pool)] = replace(relu, inputs=pool.inputs, output=pool.output)
        nodes[found] = replace(pool, inputs=(pool.output,), output=relu.output)
        draft.shapes[pool.output] = draft.shapes[pool.inputs[0]]
        draft.origin.pop(pool.output, None)
        return True

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].clamp(min=0, max=node.attrs["max"])

    def scales(self, node: Node) -> bool:
        return node.attrs["max"] is None

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        """Of one that stands alone."""
        return elements_row(shapes[node.inputs[0]]) | {"kind": "requant"}

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], INPUT_BITS)
        factor = q.type_of(tensor).scale / q.made(step).scale
        q.add(step, (tensor,), op="requant", constants=multiplier_and_shift(np.array([factor])))

    def conv_group(self, to: ConvGroups, node: Node) -> None:
        if node.attrs["max"] is not None:
            raise Refused("a ReLU with an upper limit; allowed: one without")
        to.relu(node.output)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, top in (((5,), None), ((3, 4, 5), 6.0)):
            yield sample(self.name, [shape], shape, {"max": top})
