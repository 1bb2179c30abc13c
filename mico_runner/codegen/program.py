"""What the C program consists of: buffers and calls. `lowering` makes it of a QGraph, `emit` prints it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from mico_runner.codegen.packing import pack_rows
from mico_runner.codegen.planner import Placement
from mico_runner.quant.qgraph import QNode, QType, storage_bits

BYTE_BITS = 8


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
        if self.place == "output" or self.type.bits > BYTE_BITS:
            return "MICO_S32"
        return "MICO_S8" if self.type.signed else "MICO_U8"

    @property
    def bytes(self) -> int:
        return self.size * (4 if self.tag == "MICO_S32" else 1)

    @property
    def ctype(self) -> str:
        """Type of the pointer; 32-bit elements in the arena are read and written bytewise."""
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
class Weights:
    """The constants of a weighted layer, as stored: one row per output channel."""

    words: np.ndarray  # uint32 (rows, row_words)
    bias: np.ndarray  # int32 (rows,)
    multiplier: np.ndarray  # int32 (rows,)
    shift: np.ndarray  # uint8 (rows,)
    taps: int
    bits: int

    @classmethod
    def of(cls, node: QNode, rows: np.ndarray) -> Weights:
        """Pack `rows` (rows, taps), the node's weights in the kernel's order."""
        count = len(rows)
        bits = storage_bits(node.weight_bits)
        return cls(
            words=pack_rows(rows, bits),
            bias=node.bias.astype(np.int32),
            multiplier=np.broadcast_to(node.multiplier, count).astype(np.int32),
            shift=np.broadcast_to(node.shift, count).astype(np.uint8),
            taps=rows.shape[1],
            bits=bits,
        )

    @property
    def sections(self) -> dict[str, int]:
        """Bytes of each table."""
        tables = {"weight": self.words, "bias": self.bias, "multiplier": self.multiplier, "shift": self.shift}
        return {name: table.nbytes for name, table in tables.items()}


@dataclass(frozen=True)
class Call:
    """One kernel call: `mico_<kernel or variant>(&<name>, inputs..., output[, scratch])`.

    Attributes:
        name: C identifier, also of the constant struct.
        node: the QNode it belongs to.
        fields: the struct's members (int, C text, or a nested dict), without the weights.
    """

    kernel: str
    name: str
    node: str
    inputs: tuple[Buffer, ...]
    output: Buffer
    fields: dict[str, Any]
    weights: Weights | None = None
    variant: str = ""  # its function, where the kernel has several
    unit: str = ""  # file of a tiled kernel, whose header is `mico_<kernel>.h`
    scratch_words: int | None = None  # of a tiled kernel

    @property
    def function(self) -> str:
        return f"mico_{self.variant or self.kernel}"

    @property
    def units(self) -> tuple[str, ...]:
        """Files with its struct and its function, without suffix."""
        return (f"mico_{self.kernel}", self.unit) if self.unit else (f"mico_{self.kernel}",)

    @property
    def scratch_bytes(self) -> int:
        """What the kernel works in: patches of a tiled one, else one unpacked row of weights."""
        if self.scratch_words is not None:
            return 4 * self.scratch_words
        return self.weights.taps if self.weights else 0

    @property
    def scratch_type(self) -> str:
        return "int8_t" if self.scratch_words is None else "uint32_t"


@dataclass(frozen=True)
class Program:
    """A network, lowered and planned."""

    name: str
    input: Buffer
    output: Buffer
    calls: tuple[Call, ...]
    memory: list[Placement] = field(default_factory=list)
    arena_bytes: int = 0
    lower_bound: int = 0


def memory_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape as it lies in memory: (C, H, W) is stored as (H, W, C)."""
    return (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape


def shape_text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
