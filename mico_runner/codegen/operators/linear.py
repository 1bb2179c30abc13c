"""linear."""

from __future__ import annotations

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import output_range
from mico_runner.codegen.program import Weights
from mico_runner.quant.qgraph import QNode


@register("linear")
def linear(lowering: Lowering, node: QNode) -> None:
    """Fully connected layer over the last dimension; columns follow the order of a flattened HWC input."""
    source, output = lowering.buffer_of(node.inputs[0]), lowering.target(node)
    outputs, inputs = node.weight.shape
    weight = node.weight if source.order is None else node.weight[:, source.order]
    written = output
    if len(source.shape) == 3:  # acts on W, which HWC does not keep together
        source = lowering.row_major(node, source)
        written = lowering.temporary(f"{node.name}_rows", output, (output.size,))
    image = {
        **{"in_h": source.size // inputs, "in_w": 1, "in_c": inputs},
        **{"out_h": source.size // inputs, "out_w": 1, "out_c": outputs},
        **{"kernel_h": 1, "kernel_w": 1, "stride_h": 1, "stride_w": 1, "pad_h": 0, "pad_w": 0},
        **{"dilation_h": 1, "dilation_w": 1, "output": output_range(node, written)},
    }
    fields = {
        **{"rows": source.size // inputs, "inputs": inputs, "outputs": outputs},
        **{"input": source.tag, "output": output_range(node, written)},
    }
    if not lowering.emit_tiled(node, source, written, image, weight):
        lowering.emit(node.name, "linear", [source], written, fields, Weights.of(node, weight))
    if written is not output:
        lowering.from_row_major(node, written, output)
