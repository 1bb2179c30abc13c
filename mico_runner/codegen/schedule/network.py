"""What a schedule is made for: operations in order, the tensors between them, and what of its inputs each operation reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from mico_runner.graph.costs import macs
from mico_runner.graph.fusion import fused
from mico_runner.graph.ir import Graph
from mico_runner.ops import operator
from mico_runner.ops.reach import Reach

ALIGNMENT = 4  # bytes: every buffer begins at a multiple


def aligned(size: int) -> int:
    """Bytes that a buffer of this size takes of the arena."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Tensor:
    """A tensor in memory.

    Attributes:
        bytes: all of it.
        size: (height, width) of an image; None for others.
        caller: it lies in the caller's memory, which the arena does not count.
    """

    bytes: int
    size: tuple[int, int] | None = None
    caller: bool = False


@dataclass(frozen=True)
class Operation:
    """One call of a layer-by-layer program.

    Attributes:
        reads: names of tensors.
        reach: of an operation whose output can be made row by row; None of others.
        beside: zeros may stand beside the image: its kernel knows them from padding.
        scratch, row_scratch: bytes that its kernel works in: for all of the output, for one row.
    """

    name: str
    reads: tuple[str, ...]
    makes: str
    macs: int = 0
    reach: Reach | None = None
    beside: bool = True
    scratch: int = 0
    row_scratch: int = 0


@dataclass(frozen=True)
class Network:
    """Operations in an order in which they can run; `outputs` are tensors that outlive them."""

    name: str
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    outputs: tuple[str, ...]

    @property
    def macs(self) -> int:
        return sum(operation.macs for operation in self.operations)

    def last_reads(self) -> dict[str, int]:
        """The last operation that reads each tensor; the number of operations for outputs."""
        found = {name: i for i, operation in enumerate(self.operations) for name in operation.reads}
        return found | dict.fromkeys(self.outputs, len(self.operations))


def of_graph(graph: Graph) -> Network:
    """A captured network as its int8 program without kernels' scratch: a byte an element; inputs and outputs are the caller's.

    A ReLU that quantisation folds into the operator in front of it is no operation, nor is a view.
    """
    names: dict[str, str] = {}  # tensor -> the one in whose memory it lies

    def memory(tensor: str) -> str:
        return names.get(tensor, tensor)

    operations = []
    for step in fused(graph):
        node, kind = step.node, operator(step.node.op)
        if kind.VIEW:
            names[step.output] = memory(node.inputs[0])
            continue
        reads = tuple(memory(tensor) for tensor in node.inputs)
        reach = kind.reach(node, graph.shapes)
        operations.append(Operation(node.name, reads, step.output, macs(graph, node), reach))
    outputs = tuple(memory(tensor) for tensor in graph.outputs)
    free = {*graph.inputs, *outputs}
    tensors = {}
    for tensor, shape in graph.shapes.items():
        size = (shape[1], shape[2]) if len(shape) == 3 else None
        tensors[tensor] = Tensor(prod(shape), size, tensor in free)
    return Network(graph.name, tuple(operations), tensors, outputs)
