"""avg_pool2d."""

from __future__ import annotations

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import output_range, scale, window
from mico_runner.quant.qgraph import QNode


@register("avg_pool2d")
def avg_pool2d(lowering: Lowering, node: QNode) -> None:
    """Mean over the window: the multiplier holds the division."""
    source, output = lowering.buffer_of(node.inputs[0]), lowering.target(node)
    fields = {
        **{"window": window(node, source, output), "input": source.tag},
        **{"scale": scale(node), "output": output_range(node, output)},
    }
    lowering.emit(node.name, "avg_pool2d", [source], output, fields)
