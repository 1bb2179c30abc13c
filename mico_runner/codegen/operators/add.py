"""add."""

from __future__ import annotations

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import output_range
from mico_runner.quant.qgraph import QNode


@register("add")
def add(lowering: Lowering, node: QNode) -> None:
    """Sum of two tensors of one shape, each with its own multiplier, one shift."""
    a, b = (lowering.buffer_of(tensor) for tensor in node.inputs)
    output = lowering.target(node)
    fields = {
        **{"size": output.size, "input_a": a.tag, "input_b": b.tag},
        **{"multiplier_a": int(node.multiplier[0]), "multiplier_b": int(node.multiplier[1])},
        **{"shift": int(node.shift[0]), "output": output_range(node, output)},
    }
    lowering.emit(node.name, "add", [a, b], output, fields)
