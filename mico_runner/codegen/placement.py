"""Where a network's stack, arena and input lie on a core with a small direct-mapped data cache.

Lines at addresses that differ by a multiple of the cache's size evict each other. A layer reads its weights, its scratch
and its stack again and again; where two of them share lines it takes up to a fifth longer (docs/design/kernels.md), and
as long as that is left to the length of a program, so does the time of a layer. Here they are chosen: the offsets with
the fewest evictions. They cost no time and, of the board's memory, less than the cache's size each; `<name>_forward`
works with any others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from mico_runner.codegen import micro
from mico_runner.codegen.micro.base import OUTPUTS, POSITIONS
from mico_runner.codegen.micro.byte_lanes import ByteLanes
from mico_runner.codegen.program import Call, Program
from mico_runner.ops.c import Fields

CACHE, LINE = 4096, 32  # bytes: the data cache of VexRiscv Full (hardware/vexriscv-full.yaml), one way
SETS = CACHE // LINE
STACK = 384  # bytes at the end of memory, which is a multiple of CACHE: frames of main, of forward and of a kernel
WEIGHTS_BYTES = 28  # of mico_weights
_WORD = 4


class Place(NamedTuple):
    """Offsets in bytes, multiples of LINE: of the arena and the input behind a multiple of CACHE, of the stack's top before one."""

    stack: int
    arena: int
    input: int


def places(programs: Sequence[Program]) -> list[Place]:
    """Of each program of one image, in order."""
    constants = addresses(programs)
    return [_place(program, found) for program, found in zip(programs, constants, strict=True)]


def addresses(programs: Sequence[Program]) -> list[dict[str, list[tuple[int, int]]]]:
    """Addresses and bytes of each call's struct and tables, as gcc and boards/rtl/link.ld lay them out.

    Those of a call lie together, calls sorted by name: the struct, whose members are words, then the tables from the last to the first.
    """
    calls = [(f"{program.name}_{call.name}", i, call) for i, program in enumerate(programs) for call in program.calls]
    found: list[dict[str, list[tuple[int, int]]]] = [{} for _ in programs]
    address = 0
    for _, i, call in sorted(calls, key=lambda found: found[0]):
        tables = [table.nbytes for table in call.constants.values()]
        found[i][call.name] = own = []
        for size in (struct_bytes(call), *reversed(tables)):
            own.append((address, size))
            address += -(-size // _WORD) * _WORD
    return found


def struct_bytes(call: Call) -> int:
    """Bytes of a call's struct, whose members are words."""
    return _WORD * _words(call.fields) + (WEIGHTS_BYTES if call.weights else 0) + _WORD * len(call.tables)


def _words(fields: Fields) -> int:
    """Members of a call's struct, those of arrays and of nested structs each for itself."""
    return sum(_words(v) if isinstance(v, Mapping) else len(v) if isinstance(v, tuple) else 1 for v in fields.values())


def _place(program: Program, constants: dict[str, list[tuple[int, int]]]) -> Place:
    """One after the other: the stack beside the constants, the arena, which all layers have in it, the input, which few read."""
    index, shift = np.arange(SETS), np.arange(SETS)[:, None]
    lower, higher = (index + shift) % SETS, (index - shift) % SETS  # [shift, set]: the set before a region is shifted
    alone = (call for i, call in enumerate(program.calls) if call.weights and not program.stage_of(i))
    layers = [_regions(call, constants[call.name], program) for call in alone]

    def least(evictions: list[np.ndarray]) -> int:
        return int(sum(evictions, np.zeros(SETS)).argmin())

    down = least([_evictions([*layer.constants, *(k[lower] for k in layer.stack)]) for layer in layers])
    fixed = [[*layer.constants, *(np.roll(k, -down) for k in layer.stack)] for layer in layers]
    up = least(
        [
            _evictions([*own, *(r[higher] for r in layer.arena)]) + _side_by_side(layer.arena_column)
            for own, layer in zip(fixed, layers, strict=True)
        ]
    )
    for own, layer in zip(fixed, layers, strict=True):
        own += [np.roll(region, up) for region in layer.arena]
    reading = [(own, layer) for own, layer in zip(fixed, layers, strict=True) if layer.input]
    at = least(
        [
            _evictions([*own, *(r[higher] for r in layer.input)]) + _side_by_side(layer.input_column)
            for own, layer in reading
        ]
    )
    return Place(down * LINE, up * LINE, at * LINE)


class _Column(NamedTuple):
    """A column as bytes, and the rows of weights that are read side by side with it: offset, addresses (rows,), length, how often."""

    offset: int
    rows: np.ndarray
    length: int
    positions: int


class _Regions(NamedTuple):
    """What a call reads and writes, in layers of at most a line per set: how often each set is touched, (SETS,) each.

    Attributes:
        arena_column, input_column: what of it is read byte by byte beside weights, if anything.
    """

    constants: list[np.ndarray]
    stack: list[np.ndarray]
    arena: list[np.ndarray]
    input: list[np.ndarray]
    arena_column: _Column | None
    input_column: _Column | None


def _regions(call: Call, constants: list[tuple[int, int]], program: Program) -> _Regions:
    offsets = {p.tensor: p.offset for p in program.memory}
    weights, scratch, inputs = _touches(call)
    (first, _), *_, (last, size) = constants
    arena = _lines(offsets[f"{call.name}.scratch"], call.scratch_bytes, scratch) if call.scratch_bytes else []
    own: list[np.ndarray] = []
    for buffer in call.inputs:
        where, at = (arena, offsets[buffer.name]) if buffer.place == "arena" else (own, 0)
        where += _lines(at, buffer.bytes, inputs)
    column: dict[str, _Column | None] = {"arena_column": None, "input_column": None}
    own_weights = call.weights
    as_bytes = isinstance(micro.of_unit(call.unit), ByteLanes)
    if as_bytes and call.variant.endswith("_narrow") and own_weights and own_weights.bits == 8:
        (buffer,) = call.inputs
        zero_copy = call.fields["zero_copy"] and not int(str(call.fields["xor_mask"]).rstrip("u"), 16)
        there = zero_copy and buffer.place == "input"
        offset = 0 if there else offsets[buffer.name if zero_copy else f"{call.name}.scratch"]
        rows = last + _WORD * own_weights.words.shape[1] * np.arange(len(own_weights.words))
        positions = _size(call)["out_h"] * _size(call)["out_w"]
        column["input_column" if there else "arena_column"] = _Column(offset, rows, own_weights.taps, positions)
    # a frame's values are read and written again in each pass
    return _Regions(
        _lines(first, last + size - first, weights), _lines(-STACK, STACK, 2 * scratch), arena, own, **column
    )


def _side_by_side(column: _Column | None) -> np.ndarray:
    """(SETS,) misses, by how many lines the column is shifted: two arrays that are read at the same pace and share a line share all.

    Each byte of either then evicts the other's line.
    """
    if column is None:
        return np.zeros(SETS)
    apart = (column.offset + LINE * np.arange(SETS)[:, None] - column.rows) % CACHE
    share: np.ndarray = np.maximum(0, 1 - np.minimum(apart, CACHE - apart) / LINE).sum(1)
    return share * (2 * column.length * column.positions)


def _size(call: Call) -> dict[str, int]:
    """Sizes of a layer: `mico_geometry`, or the members of a struct without one."""
    found: dict[str, int] = cast(Any, call.fields.get("size", call.fields))
    return found


def _touches(call: Call) -> tuple[float, float, float]:
    """How often a layer comes back to each line of its weights, of its scratch and of its input."""
    shape = _size(call)
    positions = shape["out_h"] * shape["out_w"] if "out_h" in shape else 1
    part = min(1.0, shape["kernel_h"] / shape["in_h"]) if "kernel_h" in shape else 1.0
    if call.kernel == "depthwise":
        groups = shape["out_h"] / shape["row_tile"]
        return groups, groups * shape["channels"], groups * part * min(LINE, shape["channels"])
    if positions >= POSITIONS and not call.variant.endswith("_narrow"):
        tiles = positions / POSITIONS
        return tiles, tiles, tiles * part
    assert call.weights is not None  # calls without weights are not placed
    tiles = call.weights.words.shape[0] / OUTPUTS  # narrow ones: each reads the column of its position
    return positions, positions * tiles, positions * part


def _lines(address: int, size: int, touches: float) -> list[np.ndarray]:
    """A region in layers of at most one line per set: how often each set is touched, (SETS,)."""
    counts = np.bincount(np.arange(address // LINE, -(-(address + size) // LINE)) % SETS, minlength=SETS)
    return [np.where(counts > i, touches, 0.0) for i in range(counts.max(initial=0))]


def _evictions(regions: list[np.ndarray]) -> np.ndarray:
    """(...,) misses: two lines of a set evict each other as often as the one that is touched less, summed over sets."""
    total = largest = np.zeros(SETS)
    for region in regions:
        total, largest = total + region, np.maximum(largest, region)
    evicted: np.ndarray = 2 * (total - largest).sum(-1)
    return evicted
