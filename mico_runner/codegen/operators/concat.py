"""concat."""

from __future__ import annotations

from math import prod

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import output_range, scale
from mico_runner.quant.qgraph import QNode

_AXIS_IN_HWC = (2, 0, 1)  # of C, H, W


@register("concat")
def concat(lowering: Lowering, node: QNode) -> None:
    """One call per input, each requantised with its own multiplier and shift into its part of the output."""
    output = lowering.target(node)
    axis = _AXIS_IN_HWC[node.attrs["axis"]] if len(output.shape) == 3 else node.attrs["axis"]
    rows, row, offset = prod(output.memory_shape[:axis]), prod(output.memory_shape[axis:]), 0
    for i, tensor in enumerate(node.inputs):
        source = lowering.buffer_of(tensor)
        part = prod(source.memory_shape[axis:])
        fields = {
            **{"rows": rows, "part": part, "row": row, "offset": offset, "input": source.tag},
            **{"scale": scale(node, i), "output": output_range(node, output)},
        }
        lowering.emit(node.name, "concat", [source], output, fields)
        offset += part
