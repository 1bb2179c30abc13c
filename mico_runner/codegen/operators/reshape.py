"""reshape."""

from __future__ import annotations

from dataclasses import replace

from mico_runner.codegen.lowering import Lowering, memory_order, same_order
from mico_runner.codegen.operators import register
from mico_runner.quant.qgraph import QNode


@register("reshape")
def reshape(lowering: Lowering, node: QNode) -> None:
    """The same integers, another shape: no code, or a copy where HWC puts the elements in another order.

    A flattened image that only linear layers read stays in HWC order; their columns are permuted instead.
    """
    source, shape = lowering.buffer_of(node.inputs[0]), lowering.graph.tensors[node.output].shape
    if same_order(source.shape, shape):
        lowering.where[node.output] = replace(source, shape=shape)
        return
    readers = lowering.readers(node.output)
    flat = shape[-1] == source.size and len(shape) < 3
    if flat and readers and all(r.op == "linear" for r in readers) and node.output != lowering.graph.output:
        lowering.where[node.output] = replace(source, shape=shape, order=memory_order(source.shape))
        return
    vector = lowering.row_major(node, source)
    if same_order(vector.shape, shape):
        lowering.where[node.output] = replace(vector, shape=shape)
        return
    lowering.from_row_major(node, vector, lowering.target(node))
