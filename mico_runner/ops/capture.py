"""What operators work with while a network is captured: the call that torch traced, and the graph under construction."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch

from mico_runner.ops.node import Node

BATCH = 2  # of the captured sample; not 1, so that an operator that mixes samples shows in the shapes
LEFT: Any = NotImplemented  # what a function of `Operator.APART` gives for a call that it leaves as it is

PLACE = "mico_batch"  # in the meta of a traced call: the `BatchPlace` of its output
WHOLE = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)  # types of whole numbers
OTHER_VALUES = (
    "mico_other_values"  # in the meta of a traced call: what is captured differs where nothing that reads it sees that
)


class Refused(Exception):
    """Why a call cannot be expressed; `frontend` adds the node and the source line."""


class BatchPlace(NamedTuple):
    """Where the batch is in a tensor of torch's.

    Attributes:
        dimension: it is this one, or part of it.
        inner: of a dimension that holds n * batch, neighbours differ in the sample; else it holds batch * n.
    """

    dimension: int = 0
    inner: bool = False


@dataclass
class Call:
    """One ATen call: its arguments by schema name; tensors are names (`str`), weights are torch tensors.

    Attributes:
        reads: the arguments that are computed from the network's input.
        batch, inner: the output's `BatchPlace`; an operator that moves the batch says so. Where that dimension is batch * n, as
            windows and heads are often put, the tensor has n in its place here.
    """

    node: torch.fx.Node
    builder: Builder
    path: str  # of the module that made the call, "" for one in the user's own forward
    source: str
    args: dict[str, Any]
    reads: list[torch.fx.Node]
    batch: int = field(init=False)
    inner: bool = field(init=False)

    def __post_init__(self) -> None:
        self.batch, self.inner = self.place_read

    def __getitem__(self, key: str) -> Any:
        return self.args[key]

    @property
    def target(self) -> str:
        """Name of the ATen operator, without its overload: "conv2d"."""
        return str(self.node.target).split(".")[1]

    @property
    def place(self) -> BatchPlace:
        """Of its output."""
        return BatchPlace(self.batch, self.inner)

    @property
    def place_read(self) -> BatchPlace:
        """Of its first computed argument."""
        return _place(self.reads[0]) if self.reads else BatchPlace()

    @property
    def batch_read(self) -> int:
        """Which dimension of its first computed argument is the batch, or holds it."""
        return self.place_read.dimension

    @property
    def sizes_read(self) -> tuple[int, ...]:
        """Torch's sizes of its first computed argument, batch included."""
        return _sizes(self.reads[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Output shape without batch, (1,) of one number for each sample; refuses an output in which the batch is not to be found."""
        shape = _sizes(self.node)
        if not all(type(s) is int for s in shape):
            raise Refused(f"dynamic shape {tuple(shape)}; shapes must be fixed")
        if not shape or shape[self.batch] % BATCH:
            raise Refused(f"the batch must stay a dimension: shape {tuple(shape)}")
        if tuple(shape) == (BATCH,):
            return (1,)
        rest = (shape[self.batch] // BATCH,) if shape[self.batch] > BATCH else ()
        return (*shape[: self.batch], *rest, *shape[self.batch + 1 :])

    def axis(self, dim: int) -> int:
        """A dimension of torch's as an axis of its first computed argument without batch; -1 for the batch."""
        dim %= len(self.sizes_read)
        if dim == self.batch_read:
            return -1
        return dim if self.is_merged else dim - (dim > self.batch_read)

    @property
    def is_merged(self) -> bool:
        """Whether the batch of its first computed argument is part of a dimension that holds more."""
        return self.sizes_read[self.batch_read] != BATCH

    def tensor(self, value: Any) -> str:
        """The name of an input tensor; a constant becomes a node."""
        if isinstance(value, torch.Tensor):
            return self._constant(value)
        if not isinstance(value, str):
            raise Refused("both operands must be tensors; numbers are not supported here")
        return value

    def constant(self, value: Any) -> np.ndarray | None:
        """A number or parameter as float64, aligned with the batch-less output; None for a tensor computed from the input.

        Raises Refused: its values differ between samples.
        """
        if isinstance(value, str):
            return None
        if not isinstance(value, torch.Tensor):
            return np.asarray(value, np.float64)
        found, rank = as_doubles(value), len(_sizes(self.node))
        if found.ndim <= rank - 1 - self.batch:
            return found
        found = found.reshape((1,) * (rank - found.ndim) + found.shape)
        if found.shape[self.batch] > BATCH:  # batch * n
            found = found.reshape(*found.shape[: self.batch], BATCH, -1, *found.shape[self.batch + 1 :])
        elif len(self.shape) == rank > 1:
            return found
        if not (found == found.take([0], axis=self.batch)).all():
            raise Refused("a constant differs between the samples of a batch")
        aligned: np.ndarray = found.take(0, axis=self.batch)
        return aligned

    def broadcast(self) -> None:
        """Of an elementwise call: its output's batch is where the operands, aligned at their last dimensions, have it."""
        rank = len(_sizes(self.node))
        places = {(p.dimension + rank - len(_sizes(n)), p.inner) for n in self.reads for p in [_place(n)]}
        if len(places) > 1:
            raise Refused("its operands have the batch in different dimensions")
        ((self.batch, self.inner),) = places

    def aligned(self, tensor: str) -> str:
        """An operand of an elementwise call with as many dimensions as its output."""
        shape = self.builder.shapes[tensor]
        return self.reshape(tensor, (*(1,) * (len(self.shape) - len(shape)), *shape))

    def _constant(self, value: torch.Tensor) -> str:
        found = as_doubles(value)
        if self.batch == 0 and found.ndim > 1 and found.shape[0] > BATCH and self.is_merged:  # batch * n
            parts = (-1, BATCH) if self.inner else (BATCH, -1)
            found = np.moveaxis(found.reshape(*parts, *found.shape[1:]), int(self.inner), 0)
        if self.batch != 0 or found.ndim < 2 or found.shape[0] not in (1, BATCH) or not (found == found[:1]).all():
            raise Refused(f"a constant of shape {tuple(value.shape)} is no tensor with a batch in front")
        return self.builder.emit(
            f"{self.name}.constant",
            "constant",
            [self.builder.input],
            found.shape[1:],
            self.source,
            attrs={"value": found[0]},
        )

    def input(self, key: str = "self") -> str:
        return self.tensor(self.args[key])

    def rank(self, tensor: str) -> int:
        return len(self.builder.shapes[tensor])

    def emit(self, op: str, inputs: list[str], shape: tuple[int, ...], **fields: Any) -> str:
        return self.builder.emit(self.name, op, inputs, shape, self.source, **fields)

    def reshape(self, tensor: str, shape: tuple[int, ...]) -> str:
        return self.builder.reshape(tensor, shape, self.source)

    @property
    def name(self) -> str:
        """The module's path, else torch's name for the call, kept clear of module paths."""
        return self.path or self.builder.free(self.node.name)


def unique(name: str, taken: Container[str]) -> str:
    """`name`, with "@2", "@3", ... behind it where it is taken."""
    first, count = name, 1
    while name in taken:
        count += 1
        name = f"{first}@{count}"
    return name


class Builder:
    """Collects nodes; tensors are called after the node that makes them.

    Attributes:
        input: an input of the network, which nodes read that depend on nothing.
        whole: tensors that must be stored as the whole numbers that they hold, and their range (`ops.whole`).
    """

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], reserved: set[str]) -> None:
        self.reserved = reserved  # paths of modules, kept for the nodes they make
        self.nodes: list[Node] = []
        self.producer: dict[str, Node] = {}
        self.input = next(iter(inputs))
        self.shapes: dict[str, tuple[int, ...]] = dict(inputs)
        self.whole: dict[str, tuple[int, int, int]] = {}

    def emit(
        self, node_name: str, op: str, inputs: list[str], shape: tuple[int, ...], source: str, **fields: Any
    ) -> str:
        """Append a node and return the name of its output tensor."""
        name = unique(node_name, self.shapes)
        node = Node(name, op, tuple(inputs), name, source=source, **fields)
        self.nodes.append(node)
        self.producer[name] = node
        self.shapes[name] = shape
        return name

    def elementwise(self, node_name: str, op: str, inputs: list[str], source: str, **fields: Any) -> str:
        """Emit before the reshapes that made the inputs, so that it stands next to the operator it can be fused with."""
        roots = [self.root(t) for t in inputs]
        shape = self.shapes[inputs[0]]
        if len({self.shapes[t] for t in roots}) > 1:
            return self.emit(node_name, op, inputs, shape, source, **fields)
        output = self.emit(node_name, op, roots, self.shapes[roots[0]], source, **fields)
        return self.reshape(output, shape, source)

    def reshape(self, tensor: str, shape: tuple[int, ...], source: str, node_name: str = "reshape") -> str:
        """`tensor` in another shape of as many elements; reshapes of reshapes and to the same shape leave no node."""
        if prod(shape) != prod(self.shapes[tensor]):
            raise ValueError(f"{self.shapes[tensor]} does not reshape to {shape}")
        root = self.root(tensor)
        if self.shapes[root] == tuple(shape):
            return root
        return self.emit(node_name, "reshape", [root], tuple(shape), source, attrs={"shape": tuple(shape)})

    def root(self, tensor: str) -> str:
        """The tensor before the reshape that made this one; its elements stand in the same order."""
        node = self.producer.get(tensor)
        return node.inputs[0] if node is not None and node.op == "reshape" else tensor

    def free(self, name: str) -> str:
        """`name`, changed when a module is called so."""
        return f"{name}_" if name in self.reserved else name


def _place(node: torch.fx.Node) -> BatchPlace:
    found: BatchPlace = node.meta.get(PLACE, BatchPlace())
    return found


def _sizes(node: torch.fx.Node) -> tuple[int, ...]:
    value = node.meta["val"]
    return tuple((value[0] if isinstance(value, list | tuple) else value).shape)


def bind(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name, defaults filled in from the operator's schema."""
    schema = target._schema.arguments
    bound = {a.name: a.default_value for a in schema if a.has_default_value()}
    bound.update({a.name: value for a, value in zip(schema, args, strict=False)})
    return {**bound, **kwargs}


def as_array(value: torch.Tensor | None) -> np.ndarray | None:
    """A weight or bias as float32."""
    if value is None:
        return None
    if not isinstance(value, torch.Tensor):
        raise Refused("weights and bias must be parameters, not computed from the input")
    return np.array(value.detach().numpy(), dtype=np.float32, order="C")


def as_doubles(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def pair(values: Any) -> tuple[int, int]:
    values = [values] if isinstance(values, int) else list(values)
    return (int(values[0]), int(values[-1]))
