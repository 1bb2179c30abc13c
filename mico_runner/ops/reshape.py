"""reshape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import BATCH, BatchPlace, Call, Refused
from mico_runner.ops.conv_groups import ConvGroups
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole


@register("reshape")
class Reshape(Operator):
    """The same integers in another `shape`, batch left out; the order of elements is that of NCHW."""

    ATEN = (
        *("view.default", "_unsafe_view.default", "reshape.default", "flatten.using_ints", "unflatten.int"),
        *("squeeze.default", "squeeze.dim", "squeeze.dims", "unsqueeze.default"),
    )
    ATTRS = ("shape",)
    KEEPS_TYPE = True
    VIEW = True
    DNNWEAVER = "Flatten"
    NO_KERNEL = "it costs nothing but where the order of elements in memory changes"

    def capture(self, call: Call) -> str:
        call.batch, call.inner = _place(call)
        return call.reshape(call.input(), call.shape)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].reshape(len(x[0]), *node.attrs["shape"])

    def quantise(self, q: Quantiser, step: Any) -> None:
        q.pass_on(step, step.node.inputs[0])

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        return x[0].reshape(len(x[0]), *node.attrs["shape"])

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        return lambda x: x[0].reshape(len(x[0]), *node.attrs["shape"])

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        """No code, or a copy where HWC puts the elements in another order.

        A flattened image that is read in any order only stays in HWC order: the weights of its readers are permuted instead.
        """
        source, shape = to.buffer_of(node.inputs[0]), tuple(node.attrs["shape"])
        if c.same_order(source.shape, shape):
            to.where[node.output] = replace(source, shape=shape)
            return
        flat = shape[-1] == source.size and len(shape) < 3
        if flat and to.any_order(node.output):
            to.where[node.output] = replace(source, shape=shape, order=c.memory_order(source.shape))
            return
        vector = to.row_major(node, source)
        if c.same_order(vector.shape, shape):
            to.where[node.output] = replace(vector, shape=shape)
            return
        to.from_row_major(node, vector, to.target(node))

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("Reshape", [x[0], to.constant(whole(-1, *node.attrs["shape"]))])

    def conv_group(self, to: ConvGroups, node: Node) -> None:
        if len(node.attrs["shape"]) != 1:
            raise Refused(f"a reshape to {node.attrs['shape']}; allowed: flattening")
        to.view(node.inputs[0], node.output)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for source, target in (((3, 4, 5), (60,)), ((60,), (3, 4, 5)), ((3, 4, 5), (5, 12)), ((2, 3, 4), (4, 3, 2))):
            yield sample(self.name, [source], target, {"shape": target})


def _place(call: Call) -> BatchPlace:
    """Where the batch is in the output: as many elements stand before it as in the input."""
    sizes, batch = tuple(call.node.meta["val"].shape), call.batch
    before = prod(call.sizes_read[:batch])
    if call.inner:
        before *= call.sizes_read[batch] // BATCH
    for dimension, size in enumerate(sizes):
        start = prod(sizes[:dimension])
        if start == before and size % BATCH == 0:
            return BatchPlace(dimension)
        if start * size == before * BATCH and size % BATCH == 0:
            return BatchPlace(dimension, inner=True)
    raise Refused(f"the batch must stay a dimension, or the first or last part of one: shape {sizes}")
