"""Members of the kernels' structs that several operators share."""

from __future__ import annotations

from typing import Any

from mico_runner.codegen.program import Buffer
from mico_runner.errors import StepError
from mico_runner.quant.qgraph import QNode


def output_range(node: QNode, output: Buffer) -> dict[str, Any]:
    """`mico_range`: the integers that the node may write."""
    high = output.type.qmax if node.relu_max is None else min(output.type.qmax, int(node.relu_max))
    return {"type": output.tag, "min": output.type.qmin, "max": high, "sign": int(output.type.is_sign)}


def scale(node: QNode, index: int = 0) -> dict[str, int]:
    """`mico_scale`."""
    return {"multiplier": int(node.multiplier[index]), "shift": int(node.shift[index])}


def window(node: QNode, source: Buffer, output: Buffer) -> dict[str, int]:
    """`mico_window` of a pooling node."""
    channels, in_h, in_w = image(node, source)
    kernel, stride, padding = (pair(node, key) for key in ("kernel", "stride", "padding"))
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise StepError(f"codegen: node {node.name!r} ({node.op}): padding {padding} is over half the kernel {kernel}")
    return {
        **{"in_h": in_h, "in_w": in_w, "channels": channels, "out_h": output.shape[1], "out_w": output.shape[2]},
        **{"kernel_h": kernel[0], "kernel_w": kernel[1], "stride_h": stride[0], "stride_w": stride[1]},
        **{"pad_h": padding[0], "pad_w": padding[1]},
    }


def image(node: QNode, source: Buffer) -> tuple[int, int, int]:
    """(C, H, W) of an image."""
    if len(source.shape) != 3:
        raise StepError(f"codegen: node {node.name!r} ({node.op}) needs an input (C, H, W), got shape {source.shape}")
    return source.shape


def pair(node: QNode, key: str) -> tuple[int, int]:
    """An attribute of (height, width)."""
    value = node.attrs[key]
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
