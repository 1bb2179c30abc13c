"""dilate: zeros between the elements of the spatial dimensions, as transposed convolutions read their input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import Call, Refused, as_array
from mico_runner.ops.movement import ZERO, Movement
from mico_runner.ops.node import Node, QNode
from mico_runner.ops.permute import permuted


@register("dilate")
class Dilate(Movement):
    """`around`[i] = (before, between, behind): zeros of spatial dimension i; before and behind may be negative, which cuts."""

    ATEN = ("conv_transpose1d.default", "conv_transpose2d.input")
    ATTRS = ("around",)

    def capture(self, call: Call) -> str:
        """A transposed convolution is a convolution with the weights turned round, over the dilated input."""
        weight, groups = call["weight"], int(call["groups"])
        if not isinstance(weight, torch.Tensor):
            raise Refused("the weights of a convolution must be parameters, not computed from the input")
        rank = weight.ndim - 2
        tensor = call.input("input")
        if rank == 1 and call.is_merged and call.batch_read == 0:
            return self._rows(call, tensor, weight)
        if call.rank(tensor) != rank + 1:
            raise Refused(f"it needs inputs of shape {'(N, C, L)' if rank == 1 else '(N, C, H, W)'}")
        stride, padding, extra, dilation = (  # one number for each spatial dimension
            _each(call[key], rank) for key in ("stride", "padding", "output_padding", "dilation")
        )
        edge = [d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True)]
        around: tuple[tuple[int, int, int], ...] = tuple(
            (e, s - 1, e + x) for e, s, x in zip(edge, stride, extra, strict=True)
        )
        channels, *size = call.builder.shapes[tensor]
        shape, one = call.shape, (1,) * (2 - rank)
        around, size = (*((0, 0, 0),) * (2 - rank), *around), [*one, *size]
        tensor = call.reshape(tensor, (channels, *size))
        wide = tuple((n - 1) * (b + 1) + 1 + low + high for n, (low, b, high) in zip(size, around, strict=True))
        if any(low or between or high for low, between, high in around):
            name, put = f"{call.name}.dilate", {"around": around}
            tensor = call.builder.emit(name, self.name, [tensor], (channels, *wide), call.source, attrs=put)
        turned = _turned(weight, groups)
        weights = as_array(turned.reshape(*turned.shape[:2], *one, *turned.shape[2:]))
        made = (shape[0], *one, *shape[1:])
        attrs = {"stride": (1, 1), "padding": (0, 0), "dilation": (*one, *dilation), "groups": groups}
        found = call.emit("conv2d", [tensor], made, attrs=attrs, weight=weights, bias=as_array(call["bias"]))
        return call.reshape(found, shape)

    def _rows(self, call: Call, tensor: str, weight: torch.Tensor) -> str:
        """Parts of samples (n, C, L) are the rows of one image (C, n, L)."""
        groups, build = int(call["groups"]), call.builder
        count, channels, length = build.shapes[tensor]
        (stride,), (padding,), (extra,), (dilation,) = (
            _each(call[key], 1) for key in ("stride", "padding", "output_padding", "dilation")
        )
        edge = dilation * (weight.shape[2] - 1) - padding
        image = permuted(call, tensor, (1, 0, 2))
        wide = (length - 1) * stride + 1 + 2 * edge + extra
        put = {"around": ((0, 0, 0), (edge, stride - 1, edge + extra))}
        image = build.emit(f"{call.name}.dilate", self.name, [image], (channels, count, wide), call.source, attrs=put)
        attrs = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, dilation), "groups": groups}
        made = (call.shape[1], count, call.shape[2])
        rows = as_array(_turned(weight, groups).unsqueeze(2))
        found = call.emit("conv2d", [image], made, attrs=attrs, weight=rows, bias=as_array(call["bias"]))
        return permuted(call, found, (1, 0, 2))

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        """At least 2: a signed bit has no zero."""
        return max(wanted, 2)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        for axis, (low, between, high) in enumerate(node.attrs["around"], start=1):
            size = list(index.shape)
            size[axis] = (size[axis] - 1) * (between + 1) + 1
            wide = np.full(size, ZERO, np.int64)
            wide[(slice(None),) * axis + (slice(None, None, between + 1),)] = index
            pads = [(0, 0)] * index.ndim
            pads[axis] = (max(low, 0), max(high, 0))
            wide = np.pad(wide, pads, constant_values=ZERO)
            index = wide.take(range(max(-low, 0), wide.shape[axis] - max(-high, 0)), axis=axis)
        return np.ascontiguousarray(index)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield sample(self.name, [(3, 4, 5)], (3, 9, 5), {"around": ((1, 1, 1), (0, 0, 0))})
        yield sample(self.name, [(2, 3, 3)], (2, 7, 6), {"around": ((0, 2, 0), (-1, 2, 0))})


def _turned(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The weights of the convolution: (Cout, Cin / groups, ...), the window turned round."""
    turned = weight.flip(tuple(range(2, weight.ndim)))
    return turned.reshape(groups, -1, *turned.shape[1:]).transpose(1, 2).flatten(0, 1)


def _each(values: int | list[int], count: int) -> tuple[int, ...]:
    values = [values] if isinstance(values, int) else list(values)
    return tuple(values * count if len(values) == 1 else values)
