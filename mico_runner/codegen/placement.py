"""Where a network's arena and input lie on a core with a small direct-mapped data cache.

Lines at addresses that differ by a multiple of the cache's size evict each other. A layer reads its weights, its scratch and its stack
again and again; where two of them share lines it takes up to a fifth longer (docs/rtl.md), and as long as that is left to the length
of a program, so does the time of a layer. Here both are chosen: the offsets with the fewest evictions. They cost no time and,
on the board, less than the cache's size of memory; `<name>_forward` works with any others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mico_runner.codegen.program import Call, Program
from mico_runner.codegen.tiling import OUTPUTS, POSITIONS

CACHE, LINE = 4096, 32  # bytes: the data cache of VexRiscv Full (hardware/vexriscv-full.yaml), one way
SETS = CACHE // LINE
STACK = 384  # bytes at the end of memory, which is a multiple of CACHE: frames of main, of forward and of a kernel
WEIGHTS_BYTES = 28  # of mico_weights
_WORD = 4


class Place(NamedTuple):
    """Offsets in bytes from a multiple of CACHE, multiples of LINE."""

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
        tables = call.weights.sections.values() if call.weights else ()
        found[i][call.name] = own = []
        for size in (_WORD * len(list(_words(call.fields))) + (WEIGHTS_BYTES if tables else 0), *reversed(tables)):
            own.append((address, size))
            address += -(-size // _WORD) * _WORD
    return found


def _words(fields: dict[str, Any]) -> Iterator[str]:
    """Members of a call's struct, those of nested structs included."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _words(value)
        else:
            yield name


def _place(program: Program, tables: dict[str, list[tuple[int, int]]]) -> Place:
    """First the arena, whose offset touches all layers, then the input, which few read."""
    offsets = {p.tensor: p.offset for p in program.memory}
    arena, own = np.zeros(SETS), np.zeros(SETS)
    turned = (np.arange(SETS) - np.arange(SETS)[:, None]) % SETS  # [shift, set] of a region's first sets
    layers = list(_regions(program, tables, offsets))
    for fixed, in_arena, _ in layers:
        arena += _evictions(fixed + [region[turned] for region in in_arena])
    shift = int(arena.argmin())
    for fixed, in_arena, in_input in layers:
        if in_input:
            own += _evictions(fixed + [np.roll(region, shift) for region in in_arena] + [r[turned] for r in in_input])
    return Place(shift * LINE, int(own.argmin()) * LINE)


def _regions(
    program: Program, tables: dict[str, list[tuple[int, int]]], offsets: dict[str, int]
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]]:
    """Per weighted call what lies at fixed addresses, in the arena and in the input: how often each set is touched, (SETS,) per line."""
    for call in program.calls:
        if not call.weights:
            continue
        weights, scratch, inputs = _touches(call)
        (first, _), *_, (last, size) = tables[call.name]
        fixed = _lines(first, last + size - first, weights)
        fixed += _lines(-STACK, STACK, 2 * scratch)  # a frame's values are read and written again in each pass
        arena = _lines(offsets[f"{call.name}.scratch"], call.scratch_bytes, scratch) if call.scratch_bytes else []
        own: list[np.ndarray] = []
        for buffer in call.inputs:
            where, at = (own, 0) if buffer.place == "input" else (arena, offsets[buffer.name])
            where += _lines(at, buffer.bytes, inputs)
        yield fixed, arena, own


def _touches(call: Call) -> tuple[float, float, float]:
    """How often a layer comes back to each line of its weights, of its scratch and of its input."""
    shape = call.fields
    positions = shape["out_h"] * shape["out_w"] if "out_h" in shape else 1
    part = min(1.0, shape["kernel_h"] / shape["in_h"]) if "kernel_h" in shape else 1.0
    if call.kernel == "depthwise":
        groups = shape["out_h"] / shape["together"]
        return groups, groups * shape["channels"], groups * part * min(LINE, shape["channels"])
    if positions >= POSITIONS:
        tiles = positions / POSITIONS
        return tiles, tiles, tiles * part
    tiles = call.weights.words.shape[0] / OUTPUTS  # narrow ones: each reads the patch of its position
    return positions, positions * tiles, positions


def _lines(address: int, size: int, touches: float) -> list[np.ndarray]:
    """A region in layers of at most one line per set: how often each set is touched, (SETS,)."""
    counts = np.bincount(np.arange(address // LINE, -(-(address + size) // LINE)) % SETS, minlength=SETS)
    return [np.where(counts > i, touches, 0.0) for i in range(counts.max(initial=0))]


def _evictions(regions: list[np.ndarray]) -> np.ndarray:
    """(...,) misses: two lines of a set evict each other as often as the one that is touched less, summed over sets."""
    total = largest = np.zeros(SETS)
    for region in regions:
        total, largest = total + region, np.maximum(largest, region)
    return 2 * (total - largest).sum(-1)
