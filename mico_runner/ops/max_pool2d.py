"""max_pool2d; adaptive and one-dimensional maxima are windows of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import c, register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.arithmetic import windows
from mico_runner.ops.base import Example, Quantiser, Row, Shapes, sample
from mico_runner.ops.capture import Call, Refused, pair
from mico_runner.ops.conv_groups import ConvGroups
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.pool import Pool, as_image, as_windows, output_size, overhang, reduced, window_of, window_shapes
from mico_runner.ops.take import taken


@register("max_pool2d")
class MaxPool2d(Pool):
    """Maximum over the taps inside the input; the type does not change. With `ceil` the last windows may overhang it."""

    ATEN = (
        *("max_pool2d.default", "max_pool1d.default", "adaptive_max_pool2d.default", "adaptive_max_pool1d.default"),
        *("amax.default", "max.dim", "amin.default", "min.dim"),
    )
    ATTRS = ("kernel", "stride", "padding", "ceil")
    KEEPS_TYPE = True
    SELECTS = True
    DNNWEAVER = "MaxPooling"
    FAMILIES = ("max_pool2d",)

    def capture(self, call: Call) -> str | list[str]:
        if call.target.startswith("adaptive"):
            return [self._adaptive(call)]
        if call.target in ("amax", "amin"):
            return self._largest(call)
        if call.target in ("max", "min"):
            return [self._largest(call)]
        if pair(call["dilation"]) != (1, 1):
            raise Refused(f"dilation {call['dilation']} in pooling is not supported")
        return self.emit_windows(call)

    def _largest(self, call: Call) -> str:
        """Over any dimensions but the batch; the least is the largest of the negative, negative."""
        least = "min" in call.target
        found = emit_affine(call, call.input(), factor=-1.0) if least else call.input()
        tensor = as_windows(call, found, reduced(call, call["dim"]))
        channels, *size = call.builder.shapes[tensor]
        window = (1, *size) if len(size) == 1 else (size[0], size[1])
        tensor = call.reshape(tensor, (channels, *window))
        attrs = {"kernel": window, "stride": window, "padding": (0, 0), "ceil": False}
        found = call.reshape(call.emit(self.name, [tensor], (channels, 1, 1), attrs=attrs), call.shape)
        return emit_affine(call, found, factor=-1.0) if least else found

    def _adaptive(self, call: Call) -> str:
        """Windows side by side; those that overlap are laid side by side first, short ones with their last element again."""
        tensor, target, kernel = as_image(call, call.input()), output_size(call), []
        for axis, (n, m) in enumerate(zip(call.builder.shapes[tensor][1:], target, strict=True), start=1):
            starts, ends = [i * n // m for i in range(m)], [-(-(i + 1) * n // m) for i in range(m)]
            longest = max(end - start for start, end in zip(starts, ends, strict=True))
            index = [min(start + j, end - 1) for start, end in zip(starts, ends, strict=True) for j in range(longest)]
            tensor = taken(call, tensor, axis, index)
            kernel.append(longest)
        window = (kernel[0], kernel[1])
        attrs = {"kernel": window, "stride": window, "padding": (0, 0), "ceil": False}
        shape = (call.builder.shapes[tensor][0], *target)
        return call.reshape(call.emit(self.name, [tensor], shape, attrs=attrs), call.shape)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        largest: torch.Tensor = F.max_pool2d(x[0], *window_of(node), ceil_mode=node.attrs.get("ceil", False))
        return largest

    def quantise(self, q: Quantiser, step: Any) -> None:
        q.pass_on(step, step.node.inputs[0])

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        low, right = overhang(node, x[0].shape[2:])
        wide = np.pad(x[0], ((0, 0), (0, 0), (0, low), (0, right)), constant_values=made.qmin)
        found = windows(wide, *window_of(node), fill=made.qmin)
        largest: np.ndarray = found.max((4, 5))
        return largest

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        return lambda x: _largest(x[0], node)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        fields = {"window": c.window(node, source, output)}
        if to.dot_unit and source.tag == output.tag != "MICO_S32":
            signed = int(source.tag == "MICO_S8")
            to.emit(node, "max_pool2d_dot", [source], output, {**fields, "is_signed": signed})
        else:
            to.emit(node, "max_pool2d", [source], output, {**fields, "input": source.tag, "output": output.tag})

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield from super().samples(rng)
        for size, kernel, out in (((7, 8), (2, 2), (4, 4)), ((6, 9), (3, 3), (3, 4)), ((5, 5), (3, 2), (2, 3))):
            attrs = {"kernel": kernel, "stride": (2, 2), "padding": (0, 0), "ceil": True}
            yield sample(self.name, [(3, *size)], (3, *out), attrs)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        kernel, stride, padding = window_of(node)
        ceil = int(node.attrs.get("ceil", False))
        return to.add("MaxPool", x, kernel_shape=kernel, strides=stride, pads=padding * 2, ceil_mode=ceil)

    def conv_group(self, to: ConvGroups, node: Node) -> None:
        kernel, stride, padding = window_of(node)
        if padding != (0, 0) or any(overhang(node, to.image(node.inputs[0])[1:])):
            raise Refused(f"a maximum with padding {padding} or windows that overhang; allowed: neither")
        to.max_pool(node.output, kernel, stride)

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        return Example(*window_shapes(row))


def _largest(x: torch.Tensor, node: QNode) -> torch.Tensor:
    """Maximum over rows, then over columns: on a CPU several times as fast as torch's max_pool2d, which also finds the indices."""
    (kh, kw), (sh, sw), (ph, pw) = window_of(node)
    low, right = overhang(node, tuple(x.shape[2:]))
    if ph or pw or low or right:
        x = F.pad(x, (pw, pw + right, ph, ph + low), value=-torch.inf)
    rows, columns = ((n - k) // s * s + 1 for n, k, s in zip(x.shape[2:], (kh, kw), (sh, sw), strict=True))
    x = functools.reduce(torch.maximum, [x[:, :, i : i + rows : sh] for i in range(kh)])
    return functools.reduce(torch.maximum, [x[..., j : j + columns : sw] for j in range(kw)])
