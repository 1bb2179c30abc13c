"""BitFusion's mapping search: power-of-two tiles x loop orders, for many layers at once.

All (layer, tile) candidates stand in one flat array; a walk over the loop orders, innermost loop first, grows the traffic
of the three tensors for all candidates together, so that Python runs once per loop order and not once per mapping. Tiles that
cannot beat a mapping already seen are dropped before the walk (nine of ten), by a bound that no loop order can go below.

Sizes are bits, held in float64: whole numbers below 2^53, so every sum and product here is exact.

Source: the simulator of H. Sharma et al., "Bit Fusion", ISCA 2018, in the form MiCo (ICCAD 2025) profiles it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import permutations

import numpy as np

LOOPS = ("batch", "out_h", "out_w", "in_channels", "out_channels")
INDEXED_BY = {  # a loop that indexes a tensor needs another part of it in each iteration
    "weight": {"in_channels", "out_channels"},
    "act": {"batch", "out_h", "out_w", "in_channels"},
    "output": {"batch", "out_h", "out_w", "out_channels"},
}
ORDERS = list(permutations(LOOPS))  # each from the innermost loop outwards
CHUNK = 200_000  # candidates per pass: bounds the memory


@dataclass(frozen=True)
class Array:
    """The array and its memories, in bits and cycles.

    Attributes:
        rows, columns: input rows (reduction) and output columns of fusion units.
        unit_bits: operand width of one fusion unit that is not split (8).
        brick_bits: narrowest operand that still splits it (2).
        sram: tensor -> bits usable by one tensor (half of the memory: the other half is being filled).
        bandwidth: DRAM bits per cycle.
        output_bits: width of an accumulator in memory.
        mac_pj: energy of one product of `unit_bits` x `unit_bits` with its addition; a unit that is split shares it.
        sram_pj_per_bit, dram_pj_per_bit: energy of moving one bit.
    """

    rows: int
    columns: int
    unit_bits: int
    brick_bits: int
    sram: dict[str, float]
    bandwidth: float
    output_bits: int
    mac_pj: float
    sram_pj_per_bit: float
    dram_pj_per_bit: float

    def products(self, act_bits: np.ndarray, weight_bits: np.ndarray) -> np.ndarray:
        """Multiplications per cycle of one fusion unit at these operand widths."""
        split = [self.unit_bits // np.maximum(bits, self.brick_bits) for bits in (act_bits, weight_bits)]
        lanes: np.ndarray = split[0] * split[1]
        return lanes


@dataclass(frozen=True)
class Layers:
    """Dense layers, one array entry each: `extent[loop]` is the size of a loop, `taps` is kernel_h * kernel_w.

    `channel_step` is the smallest tile of output channels: 1 for convolutions, the array's columns for matrix products.
    """

    extent: dict[str, np.ndarray]
    taps: np.ndarray
    act_bits: np.ndarray
    weight_bits: np.ndarray
    channel_step: np.ndarray

    def __len__(self) -> int:
        return len(self.taps)

    def take(self, rows: np.ndarray | slice) -> Layers:
        """The entries `rows`, which may repeat."""
        extent = {loop: values[rows] for loop, values in self.extent.items()}
        return Layers(extent, **{f.name: getattr(self, f.name)[rows] for f in fields(self)[1:]})


@dataclass(frozen=True)
class Candidates:
    """Tilings, one array entry each.

    Attributes:
        tile, trips: loop -> extent of the tile, and how often the loop runs.
        compute: cycles of the array for the whole layer.
        bits: tensor -> size of one tile.
    """

    tile: dict[str, np.ndarray]
    trips: dict[str, np.ndarray]
    compute: np.ndarray
    bits: dict[str, np.ndarray]

    def take(self, rows: np.ndarray | slice) -> Candidates:
        def part(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: values[rows] for name, values in arrays.items()}

        return Candidates(part(self.tile), part(self.trips), self.compute[rows], part(self.bits))

    def fits(self, array: Array) -> np.ndarray:
        """Which tilings keep each tensor's tile within its usable SRAM."""
        kept: np.ndarray = np.logical_and.reduce([self.bits[tensor] <= array.sram[tensor] for tensor in INDEXED_BY])
        return kept


@dataclass(frozen=True)
class Traffic:
    """Bits of one tensor: moved in total, and the largest part of it that stays in SRAM while loops run inside it."""

    moved: np.ndarray
    resident: np.ndarray

    def wrap(self, trips: np.ndarray, indexed: bool, capacity: float) -> Traffic:
        """Put one more loop around.

        A loop that indexes the tensor moves another part each time; one that does not reuses it, unless the tensor has
        outgrown its SRAM: from there on every outer loop moves it again.
        """
        if not indexed:
            return Traffic(np.where(self.moved <= capacity, self.moved, self.moved * trips), self.resident)
        moved = self.moved * trips
        return Traffic(moved, np.where(moved <= capacity, moved, self.resident))


@dataclass(frozen=True)
class Cycles:
    """Cycles of each candidate by cause; their sum is the latency."""

    compute: np.ndarray
    stall: np.ndarray  # steady-state DRAM cycles that computing does not hide
    fill: np.ndarray  # loading what is resident before the first product
    drain: np.ndarray  # writing the last outputs

    @property
    def total(self) -> np.ndarray:
        latency: np.ndarray = self.compute + self.stall + self.fill + self.drain
        return latency


def tilings(layers: Layers, array: Array) -> tuple[Candidates, np.ndarray]:
    """All power-of-two tilings of all layers -> (candidates, the layer that each belongs to, ascending).

    Output height and width are tiled alike (square tiles, cut at the extent), as in the original search.
    """
    steps = _steps(layers)
    count = np.prod(list(steps.values()), axis=0)
    owner = np.repeat(np.arange(len(layers)), count)
    rest = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    of = layers.take(owner)
    power = {}
    for name in reversed(steps):
        rest, power[name] = np.divmod(rest, steps[name][owner])
    power |= {"out_h": power["side"], "out_w": power["side"]}
    smallest = {"out_channels": of.channel_step}
    tile = {loop: np.minimum(smallest.get(loop, 1) << power[loop], of.extent[loop]) for loop in LOOPS}
    return _candidates(of, tile, array), owner


def _candidates(layers: Layers, tile: dict[str, np.ndarray], array: Array) -> Candidates:
    """Costs of one tile per entry of `layers`."""
    products = array.rows * array.products(layers.act_bits, layers.weight_bits)
    depth = _ceil(tile["in_channels"] * layers.taps, products)  # passes over the rows
    columns = _ceil(tile["out_channels"], array.columns)
    pixels = tile["batch"] * tile["out_h"] * tile["out_w"]
    trips = {loop: _ceil(layers.extent[loop], tile[loop]).astype(float) for loop in LOOPS}
    bits = {
        "weight": depth * products * tile["out_channels"] * layers.weight_bits,
        "act": pixels * layers.taps * tile["in_channels"] * layers.act_bits,
        "output": pixels * columns * array.columns * array.output_bits,
    }
    compute = pixels * columns * depth * np.prod(list(trips.values()), axis=0)
    return Candidates(tile, trips, compute, {tensor: b.astype(float) for tensor, b in bits.items()})


def traffic(candidates: Candidates, order: tuple[str, ...], array: Array) -> dict[str, Traffic]:
    """Traffic by tensor under one loop order (from the innermost loop outwards)."""
    result = {tensor: Traffic(bits, bits) for tensor, bits in candidates.bits.items()}
    for loop in order:
        result = _wrap(result, loop, candidates, array)
    return result


def cycles(candidates: Candidates, moved: dict[str, Traffic], array: Array) -> Cycles:
    """Latency by cause: DRAM works beside the array, but for the first fill and the last drain."""
    fill = sum(t.resident for t in moved.values())
    drain = moved["output"].resident
    steady = np.ceil((dram_bits(moved) - fill - drain) / array.bandwidth)
    stall = np.maximum(0.0, steady - candidates.compute)
    return Cycles(candidates.compute, stall, np.ceil(fill / array.bandwidth), np.ceil(drain / array.bandwidth))


def dram_bits(moved: dict[str, Traffic]) -> np.ndarray:
    """All DRAM traffic: outputs are read (partial sums) and written."""
    bits: np.ndarray = moved["weight"].moved + moved["act"].moved + 2 * moved["output"].moved
    return bits


def search(layers: Layers, array: Array) -> tuple[Candidates, np.ndarray]:
    """The fastest mapping of each layer -> (its tiling, the index of its loop order in `ORDERS`).

    Of equally fast mappings the one with the least DRAM traffic is taken, then the first. A layer without any tiling that
    fits the SRAM has order -1.
    """
    parts = [_search_chunk(layers.take(slice(*span)), array) for span in _spans(layers)]
    tiles = [p[0] for p in parts]
    joined = {
        name: {key: np.concatenate([getattr(t, name)[key] for t in tiles]) for key in getattr(tiles[0], name)}
        for name in ("tile", "trips", "bits")
    }
    compute = np.concatenate([t.compute for t in tiles])
    return Candidates(compute=compute, **joined), np.concatenate([p[1] for p in parts])


def _search_chunk(layers: Layers, array: Array) -> tuple[Candidates, np.ndarray]:
    everything, owner = tilings(layers, array)
    fitting = np.flatnonzero(everything.fits(array))
    fitting = fitting[_promising(everything.take(fitting), owner[fitting], array)]
    candidates = everything.take(fitting)
    best = np.full(len(fitting), np.inf)
    best_bits = np.full(len(fitting), np.inf)
    best_order = np.full(len(fitting), -1)

    def visit(moved: dict[str, Traffic], order: tuple[str, ...]) -> None:
        """Walk all loop orders that begin, inside, with `order`; common beginnings are computed once."""
        if len(order) < len(LOOPS):
            for loop in LOOPS:
                if loop not in order:
                    visit(_wrap(moved, loop, candidates, array), (*order, loop))
            return
        total, bits = cycles(candidates, moved, array).total, dram_bits(moved)
        better = (total < best) | ((total == best) & (bits < best_bits))
        best[better], best_bits[better], best_order[better] = total[better], bits[better], ORDERS.index(order)

    visit({tensor: Traffic(bits, bits) for tensor, bits in candidates.bits.items()}, ())
    ranked = np.lexsort((best_bits, best, owner[fitting]))
    found, first = np.unique(owner[fitting][ranked], return_index=True)
    chosen = np.searchsorted(owner, np.arange(len(layers)))  # any tiling of the layer where none fits
    chosen[found] = fitting[ranked[first]]
    order = np.full(len(layers), -1)
    order[found] = best_order[ranked[first]]
    return everything.take(chosen), order


def _promising(candidates: Candidates, owner: np.ndarray, array: Array) -> np.ndarray:
    """Which candidates may be the best of their layer: their lower bound is not above a mapping of the layer."""
    compulsory = {
        tensor: Traffic(bits * np.prod([candidates.trips[loop] for loop in sorted(INDEXED_BY[tensor])], axis=0), bits)
        for tensor, bits in candidates.bits.items()
    }
    ends = cycles(candidates, {tensor: Traffic(bits, bits) for tensor, bits in candidates.bits.items()}, array)
    bound = np.maximum(ends.compute + ends.fill + ends.drain, np.ceil(dram_bits(compulsory) / array.bandwidth))
    reached = cycles(candidates, traffic(candidates, LOOPS, array), array).total
    best = np.full(owner.max(initial=-1) + 1, np.inf)
    np.minimum.at(best, owner, reached)
    within: np.ndarray = bound <= best[owner]
    return within


def _wrap(moved: dict[str, Traffic], loop: str, candidates: Candidates, array: Array) -> dict[str, Traffic]:
    return {
        tensor: t.wrap(candidates.trips[loop], loop in INDEXED_BY[tensor], array.sram[tensor])
        for tensor, t in moved.items()
    }


def _spans(layers: Layers) -> list[tuple[int, int]]:
    """Consecutive layers in groups of about `CHUNK` candidates (before those that do not fit are dropped)."""
    count = np.prod(list(_steps(layers).values()), axis=0)
    group = np.cumsum(count) // CHUNK
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return list(zip(starts, [*starts[1:], len(layers)], strict=True))


def _steps(layers: Layers) -> dict[str, np.ndarray]:
    """Number of tile sizes per layer along each tiled dimension."""
    side = np.maximum(layers.extent["out_h"], layers.extent["out_w"])
    return {
        "batch": _doublings(layers.extent["batch"], 1) + 1,
        "side": _doublings(side, 1) + 1,
        "in_channels": _doublings(layers.extent["in_channels"], 1) + 1,
        "out_channels": _doublings(layers.extent["out_channels"], layers.channel_step) + 1,
    }


def _doublings(size: np.ndarray, smallest: np.ndarray | int) -> np.ndarray:
    """How often `smallest` is doubled until it covers `size`."""
    doublings: np.ndarray = np.ceil(np.log2(np.maximum(_ceil(size, smallest), 1))).astype(int)
    return doublings


def _ceil(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """Ceiling of the quotient of whole numbers."""
    return -(-a // b)
