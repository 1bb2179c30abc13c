"""How operators say what their C calls are: buffers, and members of the structs that kernels share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from mico_runner.errors import StepError
from mico_runner.ops.node import QNode, QType

BYTE_BITS = 8
TAGS = {
    np.dtype(kind): tag
    for kind, tag in ((np.uint8, "MICO_U8"), (np.int8, "MICO_S8"), (np.int16, "MICO_S16"), (np.int32, "MICO_S32"))
}
Fields = Mapping[str, object]  # of a call's struct: numbers, C text, tuples for arrays, or nested structs


@dataclass(frozen=True)
class Buffer:
    """A tensor in C.

    Attributes:
        name: C identifier.
        shape: as in the IR (batch-less NCHW).
        place: "input", "output" (both the caller's) or "arena".
        order: None - canonical order: HWC for three dimensions, row-major else. Else the IR's flat index of each element in
            memory (a flattened HWC tensor whose readers permute their weights instead).
    """

    name: str
    shape: tuple[int, ...]
    type: QType
    place: str
    order: np.ndarray | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def tag(self) -> str:
        """How an element is stored, as `mico_type`."""
        if self.place == "input":
            return TAGS[input_dtype(self.type)]
        if self.place == "output" or self.type.bits > BYTE_BITS:
            return "MICO_S32"
        return "MICO_S8" if self.type.signed else "MICO_U8"

    @property
    def bytes(self) -> int:
        return self.size * {"MICO_S32": 4, "MICO_S16": 2}.get(self.tag, 1)

    @property
    def ctype(self) -> str:
        """Type of the pointer; elements of several bytes are read and written bytewise, but for the output's."""
        if self.place == "output":
            return "int32_t"
        return "int8_t" if self.tag == "MICO_S8" else "uint8_t"

    @property
    def memory_shape(self) -> tuple[int, ...]:
        return memory_shape(self.shape)

    @property
    def comment(self) -> str:
        kind = "signed" if self.type.signed else "unsigned"
        return f"{shape_text(self.memory_shape)} {kind} {self.type.bits} bits"


@dataclass(frozen=True)
class ConvGeometry:
    """Sizes of a convolution; of a linear layer, those of one with a window of a single pixel. Pairs are (height, width)."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def positions(self) -> int:
        """Output pixels, which share the weights."""
        return self.out_h * self.out_w

    @property
    def taps(self) -> int:
        """Weights of one output channel."""
        return self.kernel[0] * self.kernel[1] * self.in_c // self.groups

    @property
    def padded(self) -> bool:
        return self.padding != (0, 0)

    def members(self) -> Fields:
        """Of the structs of kernels for convolutions: their `mico_geometry`. That of the plain one has the groups besides."""
        return {"size": self.sizes()}

    def sizes(self) -> dict[str, int]:
        """`mico_geometry`."""
        pairs = {"kernel": self.kernel, "stride": self.stride, "pad": self.padding, "dilation": self.dilation}
        return {
            **{"in_h": self.in_h, "in_w": self.in_w, "in_c": self.in_c},
            **{"out_h": self.out_h, "out_w": self.out_w, "out_c": self.out_c},
            **{f"{name}_{axis}": size for name, pair in pairs.items() for axis, size in zip("hw", pair, strict=True)},
        }


class Lowerer(Protocol):
    """A C program in the making (`codegen.lowering.Lowering`), as operators see it.

    Attributes:
        where: the buffer of each tensor; a view of another tensor is put there by its operator.
        dot_unit: whether the core has the dot-product unit.
    """

    where: dict[str, Buffer]
    dot_unit: bool

    def buffer_of(self, tensor: str) -> Buffer:
        """Where a tensor lies, in canonical order."""

    def target(self, node: QNode) -> Buffer:
        """A buffer for the node's output."""

    def temporary(self, name: str, like: Buffer, shape: tuple[int, ...]) -> Buffer:
        """A further buffer in the arena, of the element type of `like`."""

    def kept(self, name: str, size: int) -> Buffer:
        """So many bytes behind the arena's plan that nothing else is put into: they are there when the program is called again."""

    def emit(
        self,
        node: QNode,
        kernel: str,
        inputs: Sequence[Buffer],
        output: Buffer,
        fields: Fields,
        rows: np.ndarray | None = None,
        tables: Mapping[str, np.ndarray] | None = None,
        scratch_words: int | None = None,
    ) -> None:
        """Append the call `mico_<kernel>(&struct, inputs..., output[, scratch])`.

        Args:
            fields: the struct's members.
            rows: the node's weights (rows, taps) in the kernel's order: its member `weights`, with bias, multiplier and shift.
            tables: constant arrays, members of these names.
            scratch_words: of 32 bits, that the kernel works in; its last argument then.
        """

    def emit_convolution(
        self, node: QNode, source: Buffer, output: Buffer, geometry: ConvGeometry, rows: np.ndarray
    ) -> bool:
        """Emit a convolution, or a linear layer, by the kernel that the program's policy gives it; False: the plain one.

        Args:
            rows: its weights as of `emit`.
        """

    def row_major(self, node: QNode, source: Buffer) -> Buffer:
        """The same tensor in the IR's own element order, as a vector: a copy if HWC is another order."""

    def from_row_major(self, node: QNode, source: Buffer, target: Buffer) -> None:
        """Write a vector in the IR's element order into `target`, in canonical order."""

    def any_order(self, tensor: str) -> bool:
        """Whether all that read a tensor can do so in any order of its elements."""


def input_dtype(kind: QType) -> np.dtype[Any]:
    """How an input of the network is stored: a byte each; above 8 bits int16 with a sign, as sound, and int32 without, as tokens."""
    if kind.bits > BYTE_BITS:
        return np.dtype(np.int16 if kind.signed else np.int32)
    return np.dtype(np.int8 if kind.signed else np.uint8)


def memory_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape as it lies in memory: (C, H, W) is stored as (H, W, C)."""
    return (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape


def shape_text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def memory_order(shape: tuple[int, ...]) -> np.ndarray:
    """The IR's flat index of each element, in the order of memory."""
    index = np.arange(int(np.prod(shape)))
    return index.reshape(shape).transpose(1, 2, 0).ravel() if len(shape) == 3 else index


def memory_place(shape: tuple[int, ...]) -> np.ndarray:
    """Where in memory each element lies, by the IR's flat index: the inverse of `memory_order`."""
    return np.argsort(memory_order(shape))


def same_order(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether a reshape from `a` to `b` leaves every element where it is in memory."""
    return np.array_equal(memory_order(a), memory_order(b))


def output_range(node: QNode, output: Buffer) -> Fields:
    """`mico_range`: the integers that the node may write."""
    high = output.type.qmax if node.relu_max is None else min(output.type.qmax, int(node.relu_max))
    return {"type": output.tag, "min": output.type.qmin, "max": high, "sign": int(output.type.is_sign)}


def scale(node: QNode, index: int = 0) -> Fields:
    """`mico_scale`."""
    return {name: int(node.constants[name][index]) for name in ("multiplier", "shift")}


def window(node: QNode, source: Buffer, output: Buffer) -> Fields:
    """`mico_window` of a pooling node."""
    channels, in_h, in_w = image(node, source)
    kernel, stride, padding = (pair(node, key) for key in ("kernel", "stride", "padding"))
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise StepError(f"codegen: node {node.name!r} ({node.op}): padding {padding} is over half the kernel {kernel}")
    return {
        **{"in_h": in_h, "in_w": in_w, "channels": channels, "out_h": output.shape[1], "out_w": output.shape[2]},
        **{"kernel_h": kernel[0], "kernel_w": kernel[1], "stride_h": stride[0], "stride_w": stride[1]},
        **{"pad_h": padding[0], "pad_w": padding[1]},
    }


def image(node: QNode, source: Buffer) -> tuple[int, int, int]:
    """(C, H, W) of an image."""
    if len(source.shape) != 3:
        raise StepError(f"codegen: node {node.name!r} ({node.op}) needs an input (C, H, W), got shape {source.shape}")
    return source.shape


def pair(node: QNode, key: str) -> tuple[int, int]:
    """An attribute of (height, width)."""
    value = node.attrs[key]
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
