"""A network as rows of the kernel table (`mico_runner.kernel_table`): what a latency predictor is asked."""

from __future__ import annotations

from typing import Any

from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph, Node, weight_of

_ONE = dict.fromkeys(("in_h", "in_w", "kernel_h", "kernel_w", "stride", "groups"), 1)


def kernel_rows(graph: Graph, batch: int) -> list[dict[str, Any]]:
    """One row per kernel call, without bits: kind, layer (the node's name) and the shape columns of `mico_runner.kernel_table`.

    Sizes are after padding. A dilated kernel is given its dilated extent. A linear layer over tokens has batch * tokens samples.
    ReLU is part of the kernel before it; reshape costs nothing; concat has no kernel of its own in any profile and makes no row.

    Raises:
        UsageError: different strides in height and width where both matter: the kernel table has one stride.
    """
    makers = {"conv2d": _conv, "linear": _linear, "max_pool2d": _pool, "avg_pool2d": _pool, "add": _add}
    rows = []
    for node in graph.nodes:
        if node.op in makers:
            rows.append({"layer": node.name, "kind": node.op, "batch": batch} | makers[node.op](graph, node, batch))
    return rows


def _conv(graph: Graph, node: Node, batch: int) -> dict[str, int]:
    out_channels, _, kh, kw = weight_of(node).shape
    dilation = node.attrs["dilation"]
    extent = tuple(d * (k - 1) + 1 for k, d in zip((kh, kw), dilation, strict=True))
    return _window(graph, node, extent) | {"out_channels": out_channels, "groups": node.attrs["groups"]}


def _pool(graph: Graph, node: Node, batch: int) -> dict[str, int]:
    return _window(graph, node, node.attrs["kernel"]) | {"out_channels": graph.shapes[node.output][0]}


def _window(graph: Graph, node: Node, extent: tuple[int, int]) -> dict[str, int]:
    channels, *size = graph.shapes[node.inputs[0]]
    height, width = (n + 2 * p for n, p in zip(size, node.attrs["padding"], strict=True))
    outputs = graph.shapes[node.output][1:]
    sizes = list(zip((height, width), extent, outputs, strict=True))
    stride = next((s for s in node.attrs["stride"] if all((n - k) // s + 1 == out for n, k, out in sizes)), None)
    if stride is None:
        where = f"{node.source}: " if node.source else ""
        raise UsageError(
            f"{where}node {node.name!r}: stride {node.attrs['stride']}: latency profiles know one stride for both axes"
        )
    row = {"in_channels": channels, "in_h": height, "in_w": width, "kernel_h": extent[0], "kernel_w": extent[1]}
    return row | {"stride": stride, "groups": 1}


def _linear(graph: Graph, node: Node, batch: int) -> dict[str, int]:
    *tokens, _ = graph.shapes[node.output]
    count = batch
    for n in tokens:
        count *= n
    weight = weight_of(node)
    return _ONE | {"batch": count, "in_channels": weight.shape[1], "out_channels": weight.shape[0]}


def _add(graph: Graph, node: Node, batch: int) -> dict[str, int]:
    return _elements(graph, node.output)


def elementwise_row(graph: Graph, tensor: str, kind: str, batch: int) -> dict[str, Any]:
    """The row of a kernel that goes over a tensor once and is no node of the network, as `kernel_rows` gives rows of nodes."""
    return {"layer": tensor, "kind": kind, "batch": batch} | _elements(graph, tensor)


def _elements(graph: Graph, tensor: str) -> dict[str, int]:
    channels, height, width = (*graph.shapes[tensor], 1, 1)[:3]
    return _ONE | {"in_channels": channels, "out_channels": channels, "in_h": height, "in_w": width}
