"""Operators that give the elements of a tensor other places and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.tflite_file.activations import activation, finished
from mico_runner.formats.tflite_file.layout import (
    Made,
    Order,
    Use,
    Value,
    arranged,
    gathered,
    natural,
    reads,
    spread,
    without,
)
from mico_runner.ops.capture import Refused

_REFLECT = 0  # of TFLite's two ways to mirror: without the element at the edge


@reads("QUANTIZE", "DEQUANTIZE", "CAST")
def unchanged(use: Use) -> Made:
    """The module computes with real numbers throughout."""
    return Made(lambda x: x, use.value().order)


@reads("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(use: Use) -> Made:
    """To the shape that the file says of its output; where only dimensions of size 1 come or go, no element moves."""
    value, made = use.value(), use.made[0]
    if prod(value.shape) != prod(made):
        raise Refused(f"{list(value.shape)} does not reshape to {list(made)}")
    if (kept := _same_elements(value, made)) is not None:
        sizes = [made[d] for d in kept[1:]]
        return Made(lambda x: x.reshape(x.shape[0], *sizes), kept)
    if value.order[0] != 0:
        raise Refused("the batch is not its first dimension")

    def function(x: torch.Tensor) -> torch.Tensor:
        return arranged(x, value.order, natural(value.rank)).reshape(-1, *made[1:])

    return Made(function, natural(len(made)))


def _same_elements(value: Value, made: tuple[int, ...]) -> Order | None:
    """The order in which the output is held when its elements stay where they are; None where that cannot be."""
    if value.order[0] != 0 or value.shape[:1] != (1,) or made[:1] != (1,):
        return None
    before, after = ([d for d, n in enumerate(shape) if d and n != 1] for shape in (value.shape, made))
    if [value.shape[d] for d in before] != [made[d] for d in after]:
        return None
    moved = [after[before.index(d)] for d in value.order if d in before]
    return (0, *moved, *(d for d in range(1, len(made)) if d not in after))


@reads("TRANSPOSE")
def transpose(use: Use) -> Made:
    """Nothing but other names for the dimensions of what is held."""
    value, permutation = use.value(), use.whole(1)
    if sorted(permutation) != list(range(value.rank)):
        raise Refused(f"the permutation {permutation} of {value.rank} dimensions")
    return Made(lambda x: x, tuple(permutation.index(d) for d in value.order))


@reads("CONCATENATION")
def concatenation(use: Use) -> Made:
    computed = [v for v in use.inputs if v is not None and v.constant is None]
    if not computed:
        raise Refused("at least one of its inputs must be computed")
    order, dim, act = computed[0].order, computed[0].dim(use.option("Axis")), activation(use)
    constants = {
        f"constant{i}": spread(v.constant, order)
        for i, v in enumerate(use.inputs)
        if v is not None and v.constant is not None
    }

    def function(*x: torch.Tensor, **constants: torch.Tensor) -> torch.Tensor:
        held = iter([arranged(t, v.order, order) for t, v in zip(x, computed, strict=True)])
        parts = []
        for i in range(len(use.inputs)):
            constant = constants.get(f"constant{i}")
            parts.append(next(held) if constant is None else constant.expand(x[0].shape[0], *constant.shape[1:]))
        return finished(torch.cat(parts, dim), act)

    return Made(function, order, constants)


@reads("SPLIT", "SPLIT_V")
def split(use: Use) -> Made:
    """SPLIT: axis, tensor. SPLIT_V: tensor, sizes, axis. The sizes are those of the outputs."""
    plain = use.operator.kind == "SPLIT"
    value, axis = use.value(1 if plain else 0), use.whole(0 if plain else 2)[0]
    dim, sizes = value.dim(axis), [shape[value.axis(axis)] for shape in use.made]
    return Made(lambda x: x.split(sizes, dim), value.order)


@reads("SLICE")
def cut(use: Use) -> Made:
    value, begin, size = use.value(), use.whole(1), use.whole(2)
    ends = [b + n if n >= 0 else m for b, n, m in zip(begin, size, value.shape, strict=True)]
    return _picked(value, [range(b, e) for b, e in zip(begin, ends, strict=True)], [])


@reads("STRIDED_SLICE")
def strided_slice(use: Use) -> Made:
    """Python's slices; bit i of a mask says that there is no begin, no end, or that dimension i vanishes."""
    value, (begin, end, step) = use.value(), (use.whole(i) for i in (1, 2, 3))
    if use.option("EllipsisMask") or use.option("NewAxisMask"):
        raise Refused("an ellipsis and new axes are not supported")
    masks = [use.option(f"{name}Mask") for name in ("Begin", "End", "ShrinkAxis")]
    picked, lost = [], []
    for i, size in enumerate(value.shape):
        no_begin, no_end, shrinks = (i >= len(begin) or mask >> i & 1 for mask in masks)
        if i < len(begin) and shrinks:
            picked.append(range(begin[i] % size, begin[i] % size + 1))
            lost.append(i)
        else:
            found = slice(None if no_begin else begin[i], None if no_end else end[i], step[i] if i < len(step) else 1)
            picked.append(range(size)[found])
    return _picked(value, picked, lost)


@reads("GATHER")
def gather(use: Use) -> Made:
    value, indices = use.value(), use.constant(1)
    axis = value.axis(use.option("Axis"))
    if (
        indices.ndim > 1
        or use.option("BatchDims")
        or (indices.size and not 0 <= indices.min() <= indices.max() < value.shape[axis])
    ):
        raise Refused(f"indices of shape {indices.shape}; allowed: a number or a list of numbers within the dimension")
    picked: list[Sequence[int]] = [range(n) for n in value.shape]
    picked[axis] = [int(i) for i in indices.ravel()]
    return _picked(value, picked, [axis] if indices.ndim == 0 else [])


@reads("REVERSE_V2")
def reverse(use: Use) -> Made:
    value = use.value()
    dims = [value.dim(axis) for axis in use.whole(1)]
    return Made(lambda x: x.flip(dims), value.order)


@reads("UNPACK")
def unpack(use: Use) -> Made:
    value = use.value()
    axis = value.axis(use.option("Axis"))
    return Made(lambda x: x.unbind(value.dim(axis)), without(value.order, [axis]))


@reads("PACK")
def pack(use: Use) -> Made:
    values = [use.value(i) for i in range(len(use.inputs))]
    rank = len(use.made[0])
    axis = use.option("Axis") % rank
    if axis == 0 or any(v.order[0] != 0 for v in values):
        raise Refused("it works over the batch, which is not supported")

    def function(*x: torch.Tensor) -> torch.Tensor:
        held = [arranged(t, v.order, natural(v.rank)) for t, v in zip(x, values, strict=True)]
        return torch.stack(held, axis)

    return Made(function, natural(rank))


@reads("PAD", "PADV2")
def pad(use: Use) -> Made:
    value, around = use.value(), use.constant(1).reshape(-1, 2)
    number = float(use.constant(2).ravel()[0]) if use.given(2) else 0.0
    if len(around) != value.rank or around[value.order[0]].any():
        raise Refused(f"{len(around)} paddings for {value.rank} dimensions; the batch cannot have any")
    sides = [int(n) for d in reversed(value.order[1:]) for n in around[d]]
    while sides[-2:] == [0, 0]:
        del sides[-2:]
    return Made(lambda x: F.pad(x, sides, value=number) if sides else x, value.order)


@reads("MIRROR_PAD")
def mirror_pad(use: Use) -> Made:
    value, around = use.value(), use.constant(1).reshape(-1, 2)
    if len(around) != value.rank or (around < 0).any() or (around > np.array(value.shape)[:, None]).any():
        raise Refused(f"the padding {around.tolist()} of the shape {list(value.shape)}")
    picked = [
        _mirrored(n, low, high, use.option("Mode") == _REFLECT)
        for n, (low, high) in zip(value.shape, around.tolist(), strict=True)
    ]
    return _picked(value, picked, [])


def _mirrored(size: int, low: int, high: int, reflect: bool) -> list[int]:
    """Indices of a dimension with those of its mirror images in front and behind."""
    skip = 1 if reflect else 0
    before, behind = range(low - 1 + skip, skip - 1, -1), range(size - 1 - skip, size - 1 - skip - high, -1)
    return [*before, *range(size), *behind]


@reads("TILE", "BROADCAST_TO")
def repeated(use: Use) -> Made:
    """Dimensions of size 1, repeated to the size that the file says of the output."""
    value, made = use.value(), use.made[0]
    if len(made) != value.rank or any(n not in (1, m) for n, m in zip(value.shape, made, strict=True)):
        raise Refused(f"from {list(value.shape)} to {list(made)}: only dimensions of size 1 can be repeated")
    sizes = [made[d] for d in value.order[1:]]
    return Made(lambda x: x.expand(x.shape[0], *sizes), value.order)


def _picked(value: Value, picked: Sequence[Sequence[int]], lost: Sequence[int]) -> Made:
    """Of each dimension of the file's tensor these elements; those in `lost`, of one element, vanish. Raises Refused."""
    batch = value.order[0]
    if list(picked[batch]) != [0] or batch in lost:
        raise Refused("it works over the batch, which is not supported")
    chosen = [(value.dim(d), picked[d]) for d in range(value.rank) if d != batch]
    dims = sorted((value.dim(d) for d in lost), reverse=True)

    def function(x: torch.Tensor) -> torch.Tensor:
        for dim, indices in chosen:
            x = gathered(x, dim, indices)
        for dim in dims:
            x = x.squeeze(dim)
        return x

    return Made(function, without(value.order, lost))
