"""pad: zeros around a tensor, which a convolution that reads it adds itself where it can; other values are copies and constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import register
from mico_runner.ops.affine import LEAST
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import OTHER_VALUES, Call, Refused, pair
from mico_runner.ops.fast import Kernel
from mico_runner.ops.movement import ZERO, Movement
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.take import taken


@register("pad")
class Pad(Movement):
    """Zeros before and behind each dimension; `pad` in torch's order, the last dimension first."""

    ATEN = (
        *("pad.default", "constant_pad_nd.default"),
        *("reflection_pad1d.default", "reflection_pad2d.default"),
        *("replication_pad1d.default", "replication_pad2d.default"),
    )
    ATTRS = ("pad",)

    def capture(self, call: Call) -> str:
        tensor, around = call.input(), tuple(call["pad" if "pad" in call.args else "padding"])
        rank = call.rank(tensor)
        if any(around[2 * rank :]):
            raise Refused("padding the batch is not supported")
        around = around[: 2 * rank]
        if not any(around):
            return tensor
        if min(around) < 0:
            tensor, around = _cropped(call, tensor, around), tuple(max(n, 0) for n in around)
        mode = call.args.get("mode", call.target.partition("_pad")[0])
        if mode in _INDEXED:
            return _indexed(call, tensor, around, _INDEXED[mode])
        if call["value"] and call["value"] <= LEAST and _only_maxima_read(call, around):
            call.node.meta[OTHER_VALUES] = True
            return _indexed(
                call, tensor, around, "edge"
            )  # no maximum sees which of its own elements stands there again
        if call["value"]:
            return _with_value(call, tensor, around, float(call["value"]))
        if not any(around):
            return tensor
        return call.emit(self.name, [tensor], call.shape, attrs={"pad": around})

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        """At least 2: a signed bit has no zero."""
        return max(wanted, 2)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return F.pad(x[0], node.attrs["pad"])

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        return lambda x: F.pad(x[0], node.attrs["pad"])

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        around = list(zip(node.attrs["pad"][::2], node.attrs["pad"][1::2], strict=True))
        around += [(0, 0)] * (len(shape) - len(around))
        return np.pad(np.arange(int(np.prod(shape))).reshape(shape), around[::-1], constant_values=ZERO)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield sample(self.name, [(3, 4, 5)], (3, 7, 6), {"pad": (0, 1, 2, 1)})
        yield sample(self.name, [(3, 4, 5)], (6, 4, 5), {"pad": (0, 0, 0, 0, 1, 2)})
        yield sample(self.name, [(4, 5)], (4, 7), {"pad": (1, 1)})


def _only_maxima_read(call: Call, around: tuple[int, ...]) -> bool:
    """Whether all that reads the call takes maxima over windows, each with an element of the input in it."""
    readers = list(call.node.users)
    return all(
        str(each.target).startswith("aten.max_pool") and min(pair(each.args[1])) > max(around) for each in readers
    )


# Modes that repeat elements: what numpy calls them.
_INDEXED = {
    **{"reflect": "reflect", "reflection": "reflect", "replicate": "edge", "replication": "edge"},
    "circular": "wrap",
}


def _cropped(call: Call, tensor: str, around: tuple[int, ...]) -> str:
    """Negative padding leaves elements out."""
    for i, (low, high) in enumerate(zip(around[::2], around[1::2], strict=True)):
        axis = call.rank(tensor) - 1 - i
        length = call.builder.shapes[tensor][axis]
        tensor = taken(call, tensor, axis, range(max(-low, 0), length - max(-high, 0)))
    return tensor


def _indexed(call: Call, tensor: str, around: tuple[int, ...], mode: Any) -> str:
    for i, ends in enumerate(zip(around[::2], around[1::2], strict=True)):
        axis = call.rank(tensor) - 1 - i
        index: np.ndarray = np.pad(np.arange(call.builder.shapes[tensor][axis]), ends, mode=mode)
        tensor = taken(call, tensor, axis, index.tolist())
    return tensor


def _with_value(call: Call, tensor: str, around: tuple[int, ...], value: float) -> str:
    """A value other than zero comes from constants beside the tensor."""
    if not np.isfinite(value):
        raise Refused(f"padding with {value} is not supported; allowed: finite values")
    build = call.builder
    for i, ends in enumerate(zip(around[::2], around[1::2], strict=True)):
        parts, shape, axis = [tensor], list(build.shapes[tensor]), call.rank(tensor) - 1 - i
        for at, count in enumerate(ends):
            edge = (*shape[:axis], count, *shape[axis + 1 :])
            fill = {"value": np.full(edge, value)}
            if count:
                name = f"{call.name}.constant"
                made = build.emit(name, "constant", [build.input], edge, call.source, attrs=fill)
                parts.insert(0 if at == 0 else len(parts), made)
        shape[axis] += sum(ends)
        if len(parts) > 1:
            tensor = call.emit("concat", parts, tuple(shape), attrs={"axis": axis})
    return tensor


def padded(call: Call, tensor: str, around: tuple[int, ...]) -> str:
    """Zeros that another operator's call asks for, as a node of their own."""
    sizes = list(call.builder.shapes[tensor])
    for i, (low, high) in enumerate(zip(around[::2], around[1::2], strict=True)):
        sizes[-1 - i] += low + high
    name = f"{call.name}.pad"
    return call.builder.emit(name, "pad", [tensor], tuple(sizes), call.source, attrs={"pad": around})
