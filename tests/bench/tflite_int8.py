"""An integer network of 8 bits as a .tflite file of int8, for LiteRT to be timed on: the operators of the bench's networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mico_runner.ops.onnx import scale_of
from mico_runner.ops.pool import window_of
from mico_runner.quant.qgraph import INPUT_BITS, QGraph, QNode, QType, weights_of
from tests.formats.tflite_builder import File

_ZERO = -128  # of unsigned types: q is stored as q - 128


def model(graph: QGraph) -> bytes:
    """The file: NHWC, int8 in and out, per-channel weights.

    A layer with a stride and padding on both sides pads as TFLite does ("same"), which is the same work on other pixels. What has more
    than 8 bits, as a network's output, is stored in steps so much larger.

    Raises:
        KeyError: for an operator that no network of the bench has.
    """
    return _Writer(graph).data()


class _Writer:
    def __init__(self, graph: QGraph) -> None:
        self._graph, self._file = graph, File()
        self._at: dict[str, int] = {}  # tensor -> its index in the file
        self._image: dict[str, tuple[int, ...]] = {}  # flattened tensor -> (C, H, W) of what it was

    def data(self) -> bytes:
        start = self._graph.tensors[self._graph.input]
        self._at[self._graph.input] = self._file.input(*_nhwc(start.shape), **_about(start.type))
        for node in self._graph.nodes:
            self._at[node.output] = _OPERATORS[node.op](self, node)
        return self._file.data(self._at[self._graph.output])

    def _type(self, tensor: str) -> QType:
        return self._graph.tensors[tensor].type

    def _shape(self, tensor: str) -> tuple[int, ...]:
        return _nhwc(self._graph.tensors[tensor].shape)

    def _add(self, kind: str, node: QNode, inputs: list[int], **options: object) -> int:
        made: int = self._file.operator(
            kind, inputs, self._shape(node.output), made=_about(self._type(node.output)), **options
        )
        return made

    def _weighted(self, node: QNode, weight: np.ndarray, axis: int) -> list[int]:
        """Indices of input, weights and bias."""
        read, made = self._type(node.inputs[0]), self._type(node.output)
        scale = np.broadcast_to(scale_of(node, read, made), (weight.shape[axis],))
        bias = weights_of(node)[1].astype(np.int32)
        return [
            self._at[node.inputs[0]],
            self._file.tensor(weight.shape, weight.astype(np.int8), scale=scale, axis=axis),
            self._file.tensor(bias.shape, bias, scale=scale * read.scale),
        ]

    def conv2d(self, node: QNode) -> int:
        a, weight = node.attrs, weights_of(node)[0]
        sizes = zip(("H", "W"), a["stride"], a["dilation"], strict=True)
        options = {
            name: value
            for side, stride, dilation in sizes
            for name, value in ((f"Stride{side}", stride), (f"Dilation{side}Factor", dilation))
        } | {"Padding": int(a["padding"] == (0, 0))}
        if a["groups"] == 1:
            return self._add("CONV_2D", node, self._weighted(node, weight.transpose(0, 2, 3, 1), 0), **options)
        channels_last = weight.transpose(1, 2, 3, 0)  # one input channel a group: (1, kernel_h, kernel_w, outputs)
        inputs = self._weighted(node, channels_last, 3)
        return self._add("DEPTHWISE_CONV_2D", node, inputs, **options, DepthMultiplier=1)

    def linear(self, node: QNode) -> int:
        weight = weights_of(node)[0]
        if (image := self._image.get(node.inputs[0])) is not None:
            weight = weight.reshape(len(weight), *image).transpose(0, 2, 3, 1).reshape(len(weight), -1)
        return self._add("FULLY_CONNECTED", node, self._weighted(node, weight, 0))

    def reshape(self, node: QNode) -> int:
        source = self._graph.tensors[node.inputs[0]].shape
        if len(source) == 3:
            self._image[node.output] = source
        shape = self._file.constant(self._shape(node.output), np.int32)
        return self._add("RESHAPE", node, [self._at[node.inputs[0]], shape])

    def add(self, node: QNode) -> int:
        return self._add("ADD", node, [self._at[tensor] for tensor in node.inputs])

    def pool(self, kind: str, node: QNode) -> int:
        (kh, kw), (sh, sw), padding = window_of(node)
        options = {"FilterHeight": kh, "FilterWidth": kw, "StrideH": sh, "StrideW": sw}
        return self._add(kind, node, [self._at[node.inputs[0]]], **options, Padding=int(padding == (0, 0)))

    def pad(self, node: QNode) -> int:
        """Zeros around an image, whose dimensions are listed from the last on."""
        around = list(zip(node.attrs["pad"][::2], node.attrs["pad"][1::2], strict=True))
        across, down, depth = (*around, (0, 0), (0, 0))[:3]
        sizes = self._file.constant([(0, 0), down, across, depth], np.int32)
        return self._add("PAD", node, [self._at[node.inputs[0]], sizes])

    def requant(self, node: QNode) -> int:
        return self._add("QUANTIZE", node, [self._at[node.inputs[0]]])


_OPERATORS: dict[str, Callable[[_Writer, QNode], int]] = {
    "conv2d": _Writer.conv2d,
    "linear": _Writer.linear,
    "reshape": _Writer.reshape,
    "add": _Writer.add,
    "avg_pool2d": lambda to, node: to.pool("AVERAGE_POOL_2D", node),
    "max_pool2d": lambda to, node: to.pool("MAX_POOL_2D", node),
    "pad": _Writer.pad,
    "requant": _Writer.requant,
}


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, *shape[1:], shape[0]) if len(shape) == 3 else (1, *shape)


def _about(made: QType) -> dict[str, object]:
    scale = made.scale * 2 ** max(0, made.bits - INPUT_BITS)
    return {"kind": "INT8", "scale": scale, "zero": 0 if made.signed else _ZERO}
