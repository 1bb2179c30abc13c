"""take: elements of one dimension by their numbers, in any order and more than once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

import numpy as np
import torch

from mico_runner.ops import register
from mico_runner.ops.base import Shapes, sample
from mico_runner.ops.capture import BATCH, Call, Refused
from mico_runner.ops.movement import Movement
from mico_runner.ops.node import Node, QNode


@register("take")
class Take(Movement):
    """Element i of dimension `axis` is element `index`[i] of the input's, batch left out."""

    ATEN = ("index_select.default", "index.Tensor")
    ATTRS = ("axis", "index")

    def capture(self, call: Call) -> str:
        tensor = call.input()
        if call.target == "index_select":
            return self._along(call, tensor, int(call["dim"]), call["index"])
        given = [dim for dim, index in enumerate(call["indices"]) if index is not None]
        if len(given) == 1:
            return self._along(call, tensor, given[0], call["indices"][given[0]])
        return self._places(call, tensor, given)

    def _places(self, call: Call, tensor: str, given: list[int]) -> str:
        """Elements of several dimensions side by side, behind the batch, by constant indices: those of one that they make together."""
        index = [call["indices"][dim] for dim in given]
        if call.batch_read in given and not call.is_merged:
            return self._of_samples(call, tensor, given, index)
        if given != list(range(given[0], given[-1] + 1)) or call.batch_read >= given[0] or call.is_merged:
            raise Refused("the dimensions that tensors index must lie side by side, behind the batch")
        if not all(isinstance(i, torch.Tensor) and i.dtype == torch.int64 for i in index):
            raise Refused("an index must be a constant of whole numbers")
        return self._flat(call, tensor, call.axis(given[0]), index)

    def _of_samples(self, call: Call, tensor: str, given: list[int], index: list[torch.Tensor]) -> str:
        """The same of a tensor whose samples an index counts, as `x[torch.arange(n)[:, None], places]` does."""
        (samples,) = (i for dim, i in zip(given, index, strict=True) if dim == call.batch_read)
        others = [i for dim, i in zip(given, index, strict=True) if dim != call.batch_read]
        rank = max(i.ndim for i in index)
        counted = isinstance(samples, torch.Tensor) and torch.equal(samples.flatten(), torch.arange(BATCH))
        if (
            not counted
            or call.batch_read
            or given != list(range(len(given)))
            or any(isinstance(i, str) for i in others)
        ):
            raise Refused("choosing samples of the batch is not supported")
        at = rank - samples.ndim + [*samples.shape].index(BATCH)
        aligned = [i.reshape(*(1,) * (rank - i.ndim), *i.shape) for i in others]
        if any(i.shape[at] != 1 for i in aligned):
            raise Refused("an index that differs between samples is not supported")
        call.batch = at
        return self._flat(call, tensor, 0, [i.squeeze(at) for i in aligned])

    def _flat(self, call: Call, tensor: str, first: int, index: list[torch.Tensor]) -> str:
        """Elements of dimensions side by side from `first` on."""
        shape = call.builder.shapes[tensor]
        sizes = shape[first : first + len(index)]
        places = np.broadcast_arrays(*(i.numpy() % size for i, size in zip(index, sizes, strict=True)))
        flat = np.ravel_multi_index(places, sizes).ravel()
        joined = call.reshape(tensor, (*shape[:first], prod(sizes), *shape[first + len(sizes) :]))
        return call.reshape(taken(call, joined, first, flat), call.shape)

    def _along(self, call: Call, tensor: str, dim: int, index: torch.Tensor | str) -> str:
        axis = call.axis(dim)
        if axis < 0 or dim % len(call.sizes_read) == call.batch_read:
            raise Refused("choosing samples of the batch is not supported")
        if not isinstance(index, torch.Tensor) or index.is_floating_point() or index.dtype == torch.bool:
            raise Refused("an index must be a constant of whole numbers")
        length = call.builder.shapes[tensor][axis]
        found = taken(call, tensor, axis, [int(i) % length for i in index.reshape(-1)])
        if dim < call.batch_read:
            call.batch += index.ndim - 1
        return call.reshape(found, call.shape)

    def sources(self, node: Node | QNode, shape: tuple[int, ...]) -> np.ndarray:
        index = np.arange(int(np.prod(shape))).reshape(shape)
        return np.ascontiguousarray(index.take(node.attrs["index"], axis=node.attrs["axis"]))

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        yield sample(self.name, [(5,)], (4,), {"axis": 0, "index": (4, 0, 0, 2)})
        yield sample(self.name, [(3, 4, 5)], (3, 6, 5), {"axis": 1, "index": (1, 0, 1, 2, 3, 2)})
        yield sample(self.name, [(3, 4, 5)], (2, 4, 5), {"axis": 0, "index": (2, 0)})


def taken(call: Call, tensor: str, axis: int, index: Iterable[int]) -> str:
    """These elements of one dimension; the tensor itself where they are all of it, in order."""
    shape = list(call.builder.shapes[tensor])
    chosen = tuple(int(i) for i in index)
    if chosen == tuple(range(shape[axis])):
        return tensor
    shape[axis] = len(chosen)
    attrs = {"axis": axis, "index": chosen}
    return call.builder.emit(f"{call.name}.take", "take", [tensor], tuple(shape), call.source, attrs=attrs)
