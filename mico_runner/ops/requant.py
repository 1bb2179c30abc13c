"""requant: a change of type, which quantisation puts between operators; no network is written with it."""

from __future__ import annotations

import numpy as np

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import requantise
from mico_runner.ops.base import Example, Operator, Row, Shapes, same_scale
from mico_runner.ops.fast import Kernel, requantiser
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.reach import ELEMENTWISE, Reach


@register("requant")
class Requant(Operator):
    """Elementwise change of type: r from acc = q."""

    FAMILIES = ("requant",)
    DNNWEAVER = "TypeCast"
    BETWEEN = True
    PER_TOKEN = True

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        return requantise(x[0], node, made)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        requant = requantiser(node, made)
        return lambda x: requant(x[0])

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        return ELEMENTWISE if len(shapes[node.output]) == 3 else None

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        scale, made = c.scale(node), c.output_range(node, output)
        to.emit(
            node,
            "requant",
            [source],
            output,
            {"size": output.size, "input": source.tag, "scale": scale, "output": made},
        )

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return x[0]

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        shape = (row["in_channels"], row["in_h"], row["in_w"])
        return Example(shape, shape, constants=same_scale(1))
