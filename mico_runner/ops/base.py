"""What an operator is; `weighted.py`, `table.py`, `movement.py` and `pool.py` hold what operators of one kind share.

The methods stand in the order in which a network meets them: captured from torch, computed in floats, quantised, computed in
integers (obviously right in numpy, fast in torch), timed as a kernel, lowered to C, tried by the conformance suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypedDict

import numpy as np
import torch

from mico_runner.ops.c import Lowerer
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.conv_groups import ConvGroups
from mico_runner.ops.draft import Draft
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import INPUT_BITS, TERNARY, LayerBits, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.reach import Reach

Shapes = Mapping[str, tuple[int, ...]]


class Row(TypedDict, total=False):
    """Columns of the kernel table, and the layer that the kernel is of."""

    kind: str
    layer: str
    batch: int
    in_channels: int
    out_channels: int
    in_h: int
    in_w: int
    kernel_h: int
    kernel_w: int
    stride: int
    groups: int
    out_h: int
    out_w: int
    act_bits: float
    weight_bits: float


SCALE = {"multiplier": 1 << 20, "shift": 30}  # of examples: the arithmetic takes the same time whatever they are


@dataclass(frozen=True)
class Example:
    """One integer node with the shapes of what it reads and makes.

    Attributes:
        reads: how often it reads its one input tensor.
    """

    source: tuple[int, ...]
    target: tuple[int, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    reads: int = 1


ONE: Row = {"in_h": 1, "in_w": 1, "kernel_h": 1, "kernel_w": 1, "stride": 1, "groups": 1}


@dataclass(frozen=True)
class Channels:
    """What becomes of a tensor's channels (last axis): each multiplied by `factor`, then `term` added; float64 (C,)."""

    factor: np.ndarray
    term: np.ndarray


@dataclass(frozen=True)
class Undone:
    """A node that reads changed channels.

    Attributes:
        inputs: other tensors that it reads, and how they are to change with them.
        output: how its output changes; None: it stays what it was.
    """

    node: Node
    inputs: Mapping[str, Channels] = field(default_factory=dict)
    output: Channels | None = None


class Quantiser(Protocol):
    """An integer graph in the making (`quant.assembly.Assembly`), as operators see it. `step` is the node with what it takes in."""

    def read(self, tensor: str, bits: int) -> str:
        """The tensor at no more than these bits; a `requant` node makes it where it is stored at more."""

    def type_of(self, tensor: str) -> QType:
        """Of the integers of a tensor that is read."""

    def shape_of(self, tensor: str) -> tuple[int, ...]:
        """Without batch."""

    def made(self, step: Any) -> QType:
        """Declare the output of a step that requantises, and return its type."""

    def pass_on(self, step: Any, tensor: str) -> None:
        """Declare the output of a step that keeps the type of its input."""

    def weights(self, step: Any, bits: LayerBits, read: QType, made: QType) -> dict[str, Any]:
        """Fields of the integer node of a weighted step: constants, weight_bits, weight_scale. Raises StepError: overflow."""

    def bits(self, node: Node) -> LayerBits:
        """What the assignment says of a weighted node."""

    def add(self, step: Any, inputs: tuple[str, ...], op: str = "", **fields: Any) -> None:
        """Append the integer node of a step; `op` where it becomes another operator."""


class Operator:
    """One operator: its file is all that the project knows of it.

    Attributes:
        name: under which it is registered.
        ATEN: the calls of torch.export that it takes, with their overloads ("relu.default"); of a library of operators other than ATen
            with its name in front ("mico.log_mel.default").
        APART: calls that torch.export shall replace by those that a function makes, which has the call's arguments.
        ATTRS: names of a node's attributes.
        KEEPS_TYPE: the integers of its output are integers of its input.
        VIEW: besides, they are the same in the same order: nothing is computed.
        READS: it computes with its inputs; else they only say how many samples there are.
        TAKES_RELU: it clamps to the type of its output anyway, so that a ReLU behind it costs nothing.
        MERGES: it becomes part of an operator in front that `TAKES_RELU`.
        ANY_ORDER: it can read the elements of a flattened image in any order, as its weights can be sorted likewise.
        WIDE: it reads its inputs at the up to 16 bits at which they are stored, and where its output has 16 they should.
        ROWS: it brings each row of its one input (last dimension) to one size, however small: calibration tells whether to read 16 bits.
        GATES: where residual streams have 16 bits, tokens that it multiplies by others have as many: the product rounds once.
        SELECTS: every output is an input chosen by its rank, so that requantisation may as well come after it.
        BETWEEN: quantisation puts it between others, where the bits ask for it.
        PER_TOKEN: of a sequence (tokens, ...) it computes each token from the same one of its inputs, whichever it is.
        DNNWEAVER: what DNNWeaver calls it; "" where it has none.
        NO_KERNEL: why profiles have no row of it; "" where `row` gives one.
        FAMILIES: the kernel families that it makes examples of (`example`).
        BOUND, BOUND_READ: most that an integer output may be off the exact one of these inputs, in its steps and its coarsest input's.
    """

    name = ""
    ATEN: tuple[str, ...] = ()
    APART: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    ATTRS: tuple[str, ...] = ()
    KEEPS_TYPE = False
    READS = True
    VIEW = False
    TAKES_RELU = False
    MERGES = False
    ANY_ORDER = False
    WIDE = False
    ROWS = False
    GATES = False
    SELECTS = False
    BETWEEN = False
    PER_TOKEN = False
    DNNWEAVER = ""
    NO_KERNEL = ""
    FAMILIES: tuple[str, ...] = ()
    BOUND = 0.5
    BOUND_READ = 0.0

    def capture(self, call: Call) -> Any:
        """Emit nodes for a call; the name of its output tensor, or a list of them. Raises Refused: it cannot be expressed."""
        raise NotImplementedError

    def untrained(self, constants: Mapping[str, torch.Tensor]) -> dict[str, tuple[float, float]]:
        """Limits of random values for the constants of a call that say nothing yet, by argument: the check of a capture draws them.

        Without, statistics of mean 0 and variance 1 would hide where a batch norm is misplaced.
        """
        return {}

    def vocabulary(self, node: Node) -> int:
        """How many different whole numbers it can read from its input, 0 .. n - 1; 0 where it takes its input as real values."""
        return 0

    def input_type(self, node: Node) -> QType | None:
        """Of an input of the network that it reads: the integers that a sensor gives; None: 8 bits, of a scale found by calibration."""
        return None

    def rewrite(self, draft: Draft) -> bool:
        """Change a captured network to one that computes the same; whether anything changed."""
        return False

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        """What the node computes, on tensors (N, ...) of float32 or float64."""
        raise NotImplementedError

    def scales(self, node: Node) -> bool:
        """Whether it keeps channels apart, and a channel of its input multiplied by a positive number is its output's so multiplied."""
        return False

    def rescaled(self, node: Node, by: Channels) -> Node | None:
        """The node whose output has changed channels; None: it cannot make it so."""
        return None

    def undoing(self, node: Node, at: int, by: Channels, shapes: Shapes) -> Undone | None:
        """How the node reads its input number `at` when the channels of that have changed; None: it cannot take that in."""
        return None

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        """Columns of the kernel table, `kind` included, for this many samples; of an operator without NO_KERNEL."""
        raise NotImplementedError

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        """Bits at which it wants its input number `at`, where `wanted` are those that the readers of its output want."""
        return wanted if self.KEEPS_TYPE else INPUT_BITS

    def quantise(self, q: Quantiser, step: Any) -> None:
        """Add the integer node."""
        raise NotImplementedError

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        """The definition: int64 integers (N, ...) of the type `made`, for int64 integers of the types `read`."""
        raise NotImplementedError

    def for_token(self, node: QNode, place: str, tokens: int) -> QNode | None:
        """Of a node on whole sequences (tokens, ...) the node for one token (1, ...), whose place is the tensor `place`.

        None: it cannot be expressed, as the operator reads other tokens, or reads them where they are.
        """
        return node if self.PER_TOKEN else None

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        """The same integers by torch, whole numbers as float32; by default those of `integer`."""

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            integers = self.integer(node, [t.numpy().astype(np.int64) for t in x], read, made)
            return torch.from_numpy(integers.astype(np.float32))

        return kernel

    def lower(self, to: Lowerer, node: QNode) -> None:
        """Emit the C calls."""
        raise NotImplementedError

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        """What of its inputs, images of one size, a row of its output is made of; None: it is only computed as a whole."""
        return None

    def one_row(self, node: QNode, strip: bool = False) -> QNode:
        """The node that makes one output row of the rows that it reaches, those of zeros above and below the image included.

        Of a strip the columns beside the image are included as well.
        """
        return node

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """The real values of its output, by nodes of ONNX, from those of its inputs (`codegen.qdq` quantises them).

        `read` and `made` are the types of the integers. An operator without this method is refused.
        """
        raise NotImplementedError

    def conv_group(self, to: ConvGroups, node: Node) -> None:
        """Its part of the chain of groups that DNNWeaver2's compiler takes. Raises Refused: it has none, or not as it is used."""
        raise Refused("it is no convolution, linear layer, ReLU, maximum or flattening")

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        """A kernel of one of its FAMILIES whose shape is a row of the kernel table, to be timed."""
        raise NotImplementedError

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        """Random nodes with the shapes of their inputs and output: what the conformance suite tries."""
        raise NotImplementedError


def elements_row(shape: tuple[int, ...]) -> Row:
    """Shape columns of a kernel that goes over a tensor once."""
    channels, height, width = (*shape, 1, 1)[:3]
    return {**ONE, "in_channels": channels, "out_channels": channels, "in_h": height, "in_w": width}


def random_weights(shape: tuple[int, ...], weight_bits: float, rng: np.random.Generator) -> np.ndarray:
    """int8 weights over the whole range of `weight_bits`."""
    if weight_bits == 1:
        return rng.choice(np.array([-1, 1], np.int8), shape)
    if weight_bits == TERNARY:
        return rng.integers(-1, 2, shape, dtype=np.int8)
    kind = QType(int(weight_bits), True, 1.0)
    return rng.integers(kind.qmin, kind.qmax + 1, shape, dtype=np.int8)


def same_scale(count: int) -> dict[str, np.ndarray]:
    """Constants `multiplier` and `shift` of an example."""
    return {name: np.full(count, value, np.int32) for name, value in SCALE.items()}


def sample(
    op: str, sources: list[tuple[int, ...]], target: tuple[int, ...], attrs: dict[str, Any] | None = None, **more: Any
) -> tuple[Node, Shapes]:
    """A node with tensors of these shapes."""
    inputs = tuple(f"x{i}" for i in range(len(sources)))
    node = Node("node", op, inputs, "y", attrs or {}, **more)
    return node, dict(zip(inputs, sources, strict=True)) | {"y": target}
