"""conv2d, and conv1d as one of height 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import requantise, windows
from mico_runner.ops.base import Example, Row, Shapes, random_weights, same_scale, sample
from mico_runner.ops.capture import Call, Refused, as_array, pair
from mico_runner.ops.conv_groups import ConvGroups
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import Node, QNode, QType, weight_of, weights_of
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.pad import padded
from mico_runner.ops.permute import permuted
from mico_runner.ops.pool import window_row, window_shapes
from mico_runner.ops.reach import Reach
from mico_runner.ops.weighted import Weighted


@register("conv2d")
class Conv2d(Weighted):
    """Convolution: acc = bias + the sum of w * q over the taps inside the input, requantised.

    `weight` (Cout, Cin / groups, kh, kw), `bias` (Cout,); attributes are pairs (height, width), `groups` a number.
    """

    ATEN = ("conv2d.default", "conv2d.padding", "conv1d.default", "conv1d.padding")
    ATTRS = ("stride", "padding", "dilation", "groups")
    DNNWEAVER = "Convolution"
    FAMILIES = ("conv2d", "depthwise")

    def capture(self, call: Call) -> str:
        weight, groups = call["weight"], int(call["groups"])
        if not isinstance(weight, torch.Tensor):
            raise Refused("the weights of a convolution must be parameters, not computed from the input")
        one_d = call.target == "conv1d"
        stride, dilation = pair(call["stride"]), pair(call["dilation"])
        pad, uneven = _padding(call["padding"], [int(k) for k in weight.shape[2:]], dilation)
        tensor, shape = call.input("input"), call.shape
        if len(call.sizes_read) != len(pad) + 2 or call.batch_read != 0:
            raise Refused(f"it needs inputs of shape {'(N, C, L)' if one_d else '(N, C, H, W)'}")
        if uneven:
            tensor = padded(call, tensor, uneven)
        parts = call.builder.shapes[tensor][0] if call.is_merged else 0
        if parts:
            reach = [d * (int(k) - 1) + 1 for k, d in zip(weight.shape[2:], dilation[-len(pad) :], strict=True)]
            tensor, lines = _one_image(call, tensor, pad[0], reach[0], stride[-len(pad)])
            pad, shape = [0, *pad[1:]], (shape[1], lines, *shape[3:])
        before = call.builder.producer.get(tensor)
        if before is not None and before.op == "pad" and not parts:
            tensor, pad, weight = _without_pad(call, before, pad, weight, groups)
        made = shape
        if one_d:
            channels, length = call.builder.shapes[tensor]
            tensor = call.reshape(tensor, (channels, 1, length))
            weight, stride, dilation, pad = weight.unsqueeze(2), (1, stride[1]), (1, dilation[1]), [0, *pad]
            shape = (shape[0], 1, shape[1])
        attrs = {"stride": stride, "padding": tuple(pad), "dilation": dilation, "groups": groups}
        output = call.emit(
            self.name, [tensor], shape, attrs=attrs, weight=as_array(weight), bias=as_array(call["bias"])
        )
        output = call.reshape(output, made)
        return _apart(call, output, parts) if parts else output

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        weight = torch.as_tensor(weight_of(node), dtype=x[0].dtype)
        bias = None if node.bias is None else torch.as_tensor(node.bias, dtype=x[0].dtype)
        return F.conv2d(x[0], weight, bias, *(node.attrs[name] for name in self.ATTRS))

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        """Sizes are after padding; a dilated kernel is given its dilated extent."""
        out_channels, _, kh, kw = weight_of(node).shape
        extent = tuple(d * (k - 1) + 1 for k, d in zip((kh, kw), node.attrs["dilation"], strict=True))
        row = window_row(node, shapes, (extent[0], extent[1]))
        return {**row, "kind": self.name, "out_channels": out_channels, "groups": node.attrs["groups"]}

    def channels_read(self, node: Node) -> np.ndarray | None:
        groups, rows = node.attrs["groups"], weight_of(node)
        return np.arange(len(rows)) * groups // len(rows) if rows.shape[1] == 1 else None

    def patches(self, node: Node, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Gathers what these positions read: all windows of a large image would be kernel height * width times the image."""
        a, kernel, sizes = node.attrs, weight_of(node).shape[2:], x.shape[2:]
        out_h, out_w = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(sizes, a["padding"], a["dilation"], kernel, a["stride"], strict=True)
        )
        image, places = rows // (out_h * out_w), (rows // out_w % out_h, rows % out_w)
        y, z = (
            at[:, None] * s - p + torch.arange(k) * d
            for at, s, p, k, d in zip(places, a["stride"], a["padding"], kernel, a["dilation"], strict=True)
        )
        inside = ((y >= 0) & (y < sizes[0]))[:, :, None] & ((z >= 0) & (z < sizes[1]))[:, None, :]
        y, z = y.clamp(0, sizes[0] - 1), z.clamp(0, sizes[1] - 1)
        found = x[image[:, None, None], :, y[:, :, None], z[:, None, :]]  # (rows, kh, kw, channels)
        found = torch.where(inside[..., None], found, 0.0).permute(0, 3, 1, 2)
        return found.reshape(len(rows), a["groups"], -1)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        weight, bias = weights_of(node)
        groups, (out, per_group, kh, kw) = node.attrs["groups"], weight.shape
        found = windows(x[0], (kh, kw), node.attrs["stride"], node.attrs["padding"], 0, node.attrs["dilation"])
        n, _, ho, wo = found.shape[:4]
        columns = found.reshape(n, groups, per_group, ho, wo, kh, kw).transpose(0, 1, 2, 5, 6, 3, 4)
        # Products in float64 are exact: accumulators stay below 2^31.
        columns = columns.reshape(n, groups, per_group * kh * kw, ho * wo).astype(np.float64)
        rows = weight.reshape(groups, out // groups, per_group * kh * kw).astype(np.float64)
        acc = (rows @ columns).reshape(n, out, ho, wo).astype(np.int64) + bias.reshape(-1, 1, 1)
        return requantise(acc, node, made)

    def products(self, node: QNode, inputs: slice, bias: torch.Tensor | None, dtype: torch.dtype) -> Kernel:
        whole, groups = node.constants["weight"], node.attrs["groups"]
        weight, options = torch.as_tensor(whole[:, inputs]).to(dtype), [node.attrs[name] for name in self.ATTRS]
        if weight.shape == whole.shape:
            return lambda x: F.conv2d(x[0].to(dtype), weight, bias, *options)

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            n, _, *size = x[0].shape
            part = x[0].reshape(n, groups, -1, *size)[:, :, inputs].flatten(1, 2)
            return F.conv2d(part.to(dtype), weight, bias, *options)

        return kernel

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        """Weight rows are (kh, kw, Cin / groups)."""
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        channels, in_h, in_w = c.image(node, source)
        weight, _ = weights_of(node)
        kernel_h, kernel_w = weight.shape[2:]
        stride, padding, dilation = (c.pair(node, key) for key in ("stride", "padding", "dilation"))
        out_c, out_h, out_w = output.shape
        window = (kernel_h, kernel_w), stride, padding, dilation, int(node.attrs["groups"])
        geometry = c.ConvGeometry(in_h, in_w, channels, out_h, out_w, out_c, *window)
        rows = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
        if not to.emit_convolution(node, source, output, geometry, rows):
            kinds = {"output": c.output_range(node, output), "groups": geometry.groups, "input": source.tag}
            to.emit(node, "conv2d", [source], output, {**geometry.members(), **kinds}, rows=rows)

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        if len(shapes[node.output]) != 3 or node.weight is None:
            return None
        kernel, dilation = node.weight.shape[2:], node.attrs["dilation"]
        height, width = (d * (int(k) - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        return Reach((height, width), node.attrs["stride"], node.attrs["padding"])

    def one_row(self, node: QNode, strip: bool = False) -> QNode:
        return replace(node, attrs=node.attrs | {"padding": (0, 0 if strip else node.attrs["padding"][1])})

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        a, (weight, bias) = node.attrs, to.weights(node, read[0], made)
        return to.add(
            "Conv",
            [x[0], weight, bias],
            strides=a["stride"],
            pads=a["padding"] * 2,
            dilations=a["dilation"],
            group=a["groups"],
        )

    def conv_group(self, to: ConvGroups, node: Node) -> None:
        a, weight = node.attrs, weight_of(node)
        if a["groups"] != 1 or a["dilation"] != (1, 1):
            raise Refused(f"a convolution of {a['groups']} groups and dilation {a['dilation']}; allowed: 1 and (1, 1)")
        ordered = weight.transpose(0, 2, 3, 1)
        to.convolution(node.name, node.output, ordered, node.bias, a["stride"], a["padding"])

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        """Unpadded; a depthwise one has half its size as padding, as in networks."""
        source, target, attrs = window_shapes(row)
        kh, kw = attrs.pop("kernel")
        groups = row["in_channels"] if family == "depthwise" else row["groups"]
        attrs |= {"dilation": (1, 1), "groups": groups}
        if family == "depthwise":
            attrs["padding"] = (kh // 2, kw // 2)
            source = (source[0], source[1] - 2 * (kh // 2), source[2] - 2 * (kw // 2))
        weight = random_weights((target[0], source[0] // groups, kh, kw), weight_bits, rng)
        bias = np.zeros(target[0], np.int32)
        return Example(source, target, attrs, {"weight": weight, "bias": bias, **same_scale(target[0])})

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for groups in (1, 1, 2, 6):
            channels, outputs = (6, 6) if groups == 6 else (groups * int(v) for v in rng.integers(1, 4, 2))
            kernel, stride, dilation, padding = (
                tuple(int(v) for v in rng.integers(low, high, 2)) for low, high in ((1, 4), (1, 3), (1, 3), (0, 2))
            )
            size = [int(v) for v in rng.integers(6, 10, 2)]
            out = [
                (n + 2 * p - d * (k - 1) - 1) // s + 1
                for n, k, s, d, p in zip(size, kernel, stride, dilation, padding, strict=True)
            ]
            attrs: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            weight = rng.normal(size=(outputs, channels // groups, *kernel)).astype(np.float32)
            bias = rng.normal(size=outputs).astype(np.float32)
            yield sample(self.name, [(channels, *size)], (outputs, *out), attrs, weight=weight, bias=bias)


def pointwise(node: Node, weight: np.ndarray, bias: np.ndarray) -> Node:
    """`node` as a depthwise 1 x 1 convolution: a factor (C, 1, 1, 1) and a term (C,) for each channel."""
    attrs = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": len(weight)}
    return replace(node, op="conv2d", attrs=attrs, weight=weight, bias=bias)


def _one_image(call: Call, tensor: str, pad: int, reach: int, stride: int) -> tuple[str, int]:
    """Parts of a sample (n, C, L, ...) one after the other along L, so that one convolution serves all, and its output's length.

    Zeros keep them apart, as many as make each part a multiple of the stride; `reach` is the dilated extent of the kernel.
    """
    count, channels, length, *rest = call.builder.shapes[tensor]
    room = -(-max(length + 2 * pad, reach) // stride) * stride  # of a part
    behind = room - length - pad
    if reach > stride or pad or behind:
        tensor = padded(call, tensor, (0, 0) * len(rest) + (pad, behind))
    order = (1, 0, 2, *range(3, 3 + len(rest)))
    tensor = call.reshape(permuted(call, tensor, order), (channels, count * room, *rest))
    more = max(reach - stride, 0)  # so that the last part has as many output lines as the others
    if more:
        tensor = padded(call, tensor, (0, 0) * len(rest) + (0, more))
    return tensor, count * room // stride


def _apart(call: Call, tensor: str, count: int) -> str:
    """The output of `_one_image`'s image as parts (n, C, L, ...) again: lines that span two parts are left out."""
    channels, lines, *rest = call.builder.shapes[tensor]
    tensor = call.reshape(tensor, (channels, count, lines // count, *rest))
    wanted = call.shape[2]
    if wanted < lines // count:
        size, cut = (channels, count, wanted, *rest), {"axis": 2, "start": 0, "stop": wanted, "step": 1}
        tensor = call.builder.emit(f"{call.name}.slice", "slice", [tensor], size, call.source, attrs=cut)
    return permuted(call, tensor, (1, 0, 2, *range(3, 3 + len(rest))))


def _without_pad(
    call: Call, pad: Node, padding: list[int], weight: torch.Tensor, groups: int
) -> tuple[str, list[int], torch.Tensor]:
    """The tensor before a `pad` node, where the convolution can add these zeros itself: as padding, or as weights left out."""
    around, kept = pad.attrs["pad"], (pad.output, padding, weight)
    pairs = list(zip(around[::2], around[1::2], strict=True))
    pairs += [(0, 0)] * (len(padding) + 1 - len(pairs))
    spatial, channels = pairs[: len(padding)], pairs[len(padding)]
    if any(low != high for low, high in spatial) or (any(channels) and groups != 1):
        return kept
    count = call.builder.shapes[pad.inputs[0]][0]
    padding = [p + low for p, (low, _) in zip(padding, spatial[::-1], strict=True)]
    return pad.inputs[0], padding, weight[:, channels[0] : channels[0] + count]


def _padding(padding: Any, kernel: list[int], dilation: tuple[int, int]) -> tuple[list[int], tuple[int, ...]]:
    """Zeros on both sides of each dimension, and what an even kernel needs behind, as a `pad` node has it."""
    if padding == "valid":
        return [0] * len(kernel), ()
    if padding != "same":
        return list(pair(padding))[: len(kernel)], ()
    total = [d * (k - 1) for k, d in zip(kernel, dilation[-len(kernel) :], strict=True)]
    if not any(t % 2 for t in total):
        return [t // 2 for t in total], ()
    return [0] * len(kernel), tuple(n for t in reversed(total) for n in (t // 2, t - t // 2))
