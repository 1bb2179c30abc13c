"""max_pool2d."""

from __future__ import annotations

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import window
from mico_runner.quant.qgraph import QNode


@register("max_pool2d")
def max_pool2d(lowering: Lowering, node: QNode) -> None:
    """Maximum over the taps inside the input; the type does not change."""
    source, output = lowering.buffer_of(node.inputs[0]), lowering.target(node)
    fields = {"window": window(node, source, output)}
    if lowering.dot_unit and source.tag == output.tag != "MICO_S32":
        fields["is_signed"] = int(source.tag == "MICO_S8")
        lowering.emit(node.name, "max_pool2d_dot", [source], output, fields)
        return
    fields = {**fields, "input": source.tag, "output": output.tag}
    lowering.emit(node.name, "max_pool2d", [source], output, fields)
