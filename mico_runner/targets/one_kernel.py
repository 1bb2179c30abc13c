"""A network of one kernel, from a row of a kernel table."""

from __future__ import annotations

from typing import Required, TypedDict, Unpack

import numpy as np

from mico_runner.ops import base, maker
from mico_runner.ops.families import FAMILIES
from mico_runner.quant.qgraph import QGraph, QNode, QTensor, QType


class Columns(TypedDict, total=False):
    """Columns of a kernel table; without the others a size is 1, the output has as many channels as the input, bits are 8.

    `in_h` and `in_w` are sizes with the padding already in them; the kernel itself runs unpadded, a depthwise one with half its size as
    padding, as in networks. `batch` is rows of a linear layer, 1 for all others; `act_bits` are of the unsigned input activations.
    """

    in_channels: Required[int]
    out_channels: int | None
    in_h: int
    in_w: int
    kernel_h: int
    kernel_w: int
    stride: int
    groups: int
    batch: int
    weight_bits: float
    act_bits: int


def single_layer(kind: str, *, rng: np.random.Generator, **columns: Unpack[Columns]) -> QGraph:
    """A network of one kernel with random weights.

    Args:
        kind: a family of `ops.families`.

    Raises:
        ValueError: for a kind, or a batch, that has no kernel.
    """
    if kind not in FAMILIES:
        raise ValueError(f"no kernel of kind {kind!r}; there are {', '.join(FAMILIES)}")
    batch, channels = columns.get("batch", 1), columns["in_channels"]
    if batch != 1 and not FAMILIES[kind].tokens:
        raise ValueError(f"{kind} kernels take one image at a time, not a batch of {batch}")
    outs = columns.get("out_channels")
    row: base.Row = {
        **base.ONE,
        "batch": batch,
        "in_channels": channels,
        "out_channels": channels if outs is None else outs,
    }
    for size in ("in_h", "in_w", "kernel_h", "kernel_w", "stride", "groups"):
        if size in columns:
            row[size] = columns[size]
    weight_bits, of = columns.get("weight_bits", 8), maker(kind)
    found = of.example(kind, row, weight_bits, rng)
    weighted = weight_bits if FAMILIES[kind].weighted else None
    node = QNode(kind, of.name, ("x",) * found.reads, "y", found.attrs, found.constants, weight_bits=weighted)
    activation = QType(columns.get("act_bits", 8), False, 1.0)
    tensors = {"x": QTensor(found.source, activation), "y": QTensor(found.target, activation)}
    return QGraph(kind, ("x",), ("y",), (node,), tensors)
