"""What pools share: windows over an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.ops.base import Operator, Row, Shapes, sample
from mico_runner.ops.capture import Call, Refused, pair
from mico_runner.ops.node import Node, QNode
from mico_runner.ops.pad import padded
from mico_runner.ops.reach import Reach


class Pool(Operator):
    """Windows over an image, a channel at a time."""

    ATTRS: tuple[str, ...] = ("kernel", "stride", "padding")  # pairs (height, width); padding counts as zeros

    def emit_windows(self, call: Call) -> str:
        """A pooling call as a node; zeros lie where windows overhang the input, but for an operator that knows `ceil`."""
        kernel = pair(call["kernel_size"])
        stride = pair(call["stride"]) if call["stride"] else kernel
        padding = pair(call["padding"])
        if call.target.endswith("1d"):
            kernel, stride, padding = (1, kernel[1]), (1, stride[1]), (0, padding[1])
        tensor = as_image(call, call.input())
        channels, *size = call.builder.shapes[tensor]
        shape = (channels, *output_size(call))
        whole = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
        attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
        if whole != shape[1:]:
            if "ceil" in self.ATTRS:
                attrs["ceil"] = True
            else:
                low, right = beyond(size, shape[1:], kernel, stride, padding)
                tensor = padded(call, tensor, (0, right, 0, low))
        elif "ceil" in self.ATTRS:
            attrs["ceil"] = False
        return call.reshape(call.emit(self.name, [tensor], shape, attrs=attrs), call.shape)

    def scales(self, node: Node) -> bool:
        return True

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        return window_row(node, shapes, node.attrs["kernel"]) | {
            "kind": self.name,
            "out_channels": shapes[node.output][0],
        }

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        """None with zeros around the image, which a pool does not take for numbers, or windows that overhang it."""
        whole = len(shapes[node.output]) == 3 and not node.attrs.get("ceil", False)
        padding = node.attrs["padding"]
        return Reach(node.attrs["kernel"], node.attrs["stride"], padding) if whole and not any(padding) else None

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for _ in range(4):
            channels, *size = (int(v) for v in rng.integers(4, 9, 3))
            kernel, stride = (tuple(int(v) for v in rng.integers(1, 4, 2)) for _ in range(2))
            padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
            out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
            attrs = dict(zip(self.ATTRS, (kernel, stride, padding, False), strict=False))
            yield sample(self.name, [(channels, *size)], (channels, *out), attrs)


Pair = tuple[int, int]


def beyond(size: Sequence[int], made: Sequence[int], *window: Sequence[int]) -> list[int]:
    """By how much the last windows (kernel, stride, padding) overhang an input with its padding, by dimension."""
    wanted = ((m - 1) * s + k - n - 2 * p for n, m, k, s, p in zip(size, made, *window, strict=True))
    return [max(0, n) for n in wanted]


def as_image(call: Call, tensor: str) -> str:
    """What a pooling call reads as (C, H, W), be it one-dimensional, or of parts of samples: its channels do not meet.

    Raises Refused: it has not as many dimensions as the call is for.
    """
    one_d = call.target.endswith("1d")
    if len(call.sizes_read) != (3 if one_d else 4) or call.batch_read != 0:
        raise Refused(f"it needs inputs of shape {'(N, C, L)' if one_d else '(N, C, H, W)'}")
    size = call.sizes_read[2:]
    channels = prod(call.builder.shapes[tensor]) // prod(size)
    return call.reshape(tensor, (channels, *(1,) * one_d, *size))


def output_size(call: Call) -> tuple[int, int]:
    """Height and width of what a pooling call makes."""
    return (1, call.shape[-1]) if call.target.endswith("1d") else (call.shape[-2], call.shape[-1])


def reduced(call: Call, dims: int | list[int] | None) -> list[int]:
    """Axes, batch left out, of the dimensions that a call reduces, all of them for None; the output's batch moves along.

    Raises Refused: the batch is one of them.
    """
    rank = len(call.sizes_read)
    given = [dims] if isinstance(dims, int) else list(dims or range(rank))
    axes = sorted({call.axis(d) for d in given})
    if axes[0] < 0 or call.batch_read in (d % rank for d in given):
        raise Refused(f"a {call.target} over the batch is not supported")
    if not call["keepdim"]:
        call.batch -= sum(d % rank < call.batch for d in given)
    return axes


def as_windows(call: Call, tensor: str, dims: list[int]) -> str:
    """These axes as all there is to (C, H, W) or (C, L) but C: they are put last, where they are columns."""
    rank, shape = call.rank(tensor), call.builder.shapes[tensor]
    if (rank, dims) in [(3, [1, 2]), (2, [1])]:
        return tensor
    order = (*(d for d in range(rank) if d not in dims), *dims)
    if order != tuple(range(rank)):
        sizes = tuple(shape[d] for d in order)
        name = f"{call.name}.permute"
        tensor = call.builder.emit(name, "permute", [tensor], sizes, call.source, attrs={"order": order})
    count = prod(shape[d] for d in dims)
    return call.reshape(tensor, (prod(shape) // count, count))


def averaged(call: Call, tensor: str, dims: list[int]) -> str:
    """The means over these axes, as (C, 1, 1)."""
    tensor = as_windows(call, tensor, dims)
    return average_windows(call, tensor, call.builder.shapes[tensor][1:])


def average_windows(call: Call, tensor: str, window: tuple[int, ...]) -> str:
    """The means of windows side by side on (C, H, W) or (C, L), as (C, H', W')."""
    size = call.builder.shapes[tensor]
    if len(size) == 2:
        size, window = (size[0], 1, size[1]), (1, *window)
    tensor = call.reshape(tensor, size)
    shape = (size[0], size[1] // window[0], size[2] // window[1])
    attrs = {"kernel": window, "stride": window, "padding": (0, 0)}
    return call.emit("avg_pool2d", [tensor], shape, attrs=attrs)


def overhang(node: Node | QNode, size: tuple[int, ...]) -> list[int]:
    """How far the last window lies beyond an input (H, W) and its padding, 0 but for nodes with `ceil`: it begins within it."""
    if not node.attrs.get("ceil"):
        return [0, 0]
    found = []
    for n, k, s, p in zip(size, *window_of(node), strict=True):
        count = -(-(n + 2 * p - k) // s) + 1
        count -= (count - 1) * s >= n + p
        found.append(max((count - 1) * s + k - n - 2 * p, 0))
    return found


def window_of(node: Node | QNode) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding of a pool."""
    return node.attrs["kernel"], node.attrs["stride"], node.attrs["padding"]


def window_row(node: Node, shapes: Shapes, extent: tuple[int, int]) -> Row:
    """Shape columns of a kernel that moves a window over an image, `out_channels` left out.

    Raises UsageError: different strides in height and width where both matter; the kernel table has one stride.
    """
    channels, *size = shapes[node.inputs[0]]
    height, width = (n + 2 * p for n, p in zip(size, node.attrs["padding"], strict=True))
    sizes = list(zip((height, width), extent, shapes[node.output][1:], strict=True))
    stride = next((s for s in node.attrs["stride"] if all((n - k) // s + 1 == out for n, k, out in sizes)), None)
    if stride is None:
        where = f"{node.source}: " if node.source else ""
        raise UsageError(
            f"{where}node {node.name!r}: stride {node.attrs['stride']}: latency profiles know one stride for both axes"
        )
    row: Row = {"in_channels": channels, "in_h": height, "in_w": width, "kernel_h": extent[0], "kernel_w": extent[1]}
    return {**row, "stride": stride, "groups": 1}


def window_shapes(row: Row) -> tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]:
    """Shapes of input and output, and the attributes of a pool, of a kernel whose input has its padding in it already."""
    source = (row["in_channels"], row["in_h"], row["in_w"])
    kernel, stride = (row["kernel_h"], row["kernel_w"]), row["stride"]
    target = (row["out_channels"], *((n - k) // stride + 1 for n, k in zip(source[1:], kernel, strict=True)))
    return source, target, {"kernel": kernel, "stride": (stride, stride), "padding": (0, 0)}
