"""conv2d."""

from __future__ import annotations

from mico_runner.codegen.lowering import Lowering
from mico_runner.codegen.operators import register
from mico_runner.codegen.operators.fields import image, output_range, pair
from mico_runner.codegen.program import Weights
from mico_runner.quant.qgraph import QNode


@register("conv2d")
def conv2d(lowering: Lowering, node: QNode) -> None:
    """Convolution with groups, stride, padding, dilation; weight rows are (kh, kw, Cin / groups)."""
    source, output = lowering.buffer_of(node.inputs[0]), lowering.target(node)
    channels, in_h, in_w = image(node, source)
    kernel_h, kernel_w = node.weight.shape[2:]
    stride, padding, dilation = (pair(node, key) for key in ("stride", "padding", "dilation"))
    fields = {
        **{"in_h": in_h, "in_w": in_w, "in_c": channels},
        **{"out_h": output.shape[1], "out_w": output.shape[2], "out_c": output.shape[0]},
        **{"kernel_h": kernel_h, "kernel_w": kernel_w, "stride_h": stride[0], "stride_w": stride[1]},
        **{"pad_h": padding[0], "pad_w": padding[1], "dilation_h": dilation[0], "dilation_w": dilation[1]},
        "output": output_range(node, output),
    }
    groups = int(node.attrs["groups"])
    if groups == channels == output.shape[0] and groups > 1 and lowering.emit_depthwise(node, source, output, fields):
        return
    rows = node.weight.transpose(0, 2, 3, 1).reshape(len(node.weight), -1)
    if groups == 1 and lowering.emit_tiled(node, source, output, fields, rows):
        return
    fields = {**fields, "groups": groups, "input": source.tag}
    lowering.emit(node.name, "conv2d", [source], output, fields, Weights.of(node, rows))
