"""requant."""

from __future__ import annotations

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import output_range, scale
from mico_runner.quant.qgraph import QNode


@register("requant")
def requant(lowering: Lowering, node: QNode) -> None:
    """Elementwise change of type."""
    source, output = lowering.buffer_of(node.inputs[0]), lowering.target(node)
    fields = {"size": output.size, "input": source.tag, "scale": scale(node), "output": output_range(node, output)}
    lowering.emit(node.name, "requant", [source], output, fields)
