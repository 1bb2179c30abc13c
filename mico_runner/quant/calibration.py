"""What the float network's tensors look like on the calibration images, and the scales chosen from that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, prod

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph
from mico_runner.graph.run import images_at_once, run_many
from mico_runner.ops import operator
from mico_runner.ops.arithmetic import to_integers
from mico_runner.ops.weighted import Weighted
from mico_runner.quant.qgraph import QType

BATCH = 32  # images among which rows are drawn together
SAMPLES = 1 << 15  # values kept per tensor
PATCHES = 1 << 12  # inputs of one output position kept per layer
GRID = np.linspace(0.02, 1.0, 99)  # candidate scales, as parts of the min-max scale
NOTHING = 2.0**-126  # the least normal float32: a step that is next to nothing beside those of all other tensors
METHODS = ("minmax", "percentile", "mse")


@dataclass
class Statistics:
    """One tensor: its extremes over all calibration images and a random sample of its values."""

    low: float
    high: float
    sample: np.ndarray


class Calibration:
    """Runs the float network over the calibration images once, a few at a time.

    Attributes:
        tensors: statistics of every tensor.
        rows: for every node of an operator that says `ROWS` some of the rows that it reads, float32 (samples, length).
        patches: for every weighted node its inputs at random output positions, float32 (samples, groups, K) with K as in a weight row.

    Raises UsageError when a tensor is not finite, and names the first layer that makes one.
    """

    def __init__(self, graph: Graph, inputs: Sequence[np.ndarray], seed: int = 0) -> None:
        images = len(inputs[0])
        self._graph, self._makers = graph, {node.output: node for node in graph.nodes}
        self._extremes: dict[str, list[float]] = {t: [] for t in graph.shapes}
        self._values = {t: _Rows(prod(shape), SAMPLES, images) for t, shape in graph.shapes.items()}
        self._patches = {
            node.name: _Rows(weighted.positions(graph.shapes[node.output]), PATCHES, images)
            for node, weighted in ((node, operator(node.op)) for node in graph.nodes)
            if isinstance(weighted, Weighted)
        }
        self._normed = {
            node.name: _Rows(prod(shape[:-1]), max(1, SAMPLES // shape[-1]), images)
            for node, shape in ((node, graph.shapes[node.inputs[0]]) for node in graph.nodes if operator(node.op).ROWS)
        }
        rng, at_once = np.random.default_rng(seed), images_at_once(graph.shapes.values(), BATCH)
        for start in range(0, images, BATCH):
            batch = [x[start : start + BATCH] for x in inputs]
            self._draw(len(batch[0]), rng)
            for first in range(0, len(batch[0]), at_once):
                run_many(graph, [x[first : first + at_once] for x in batch], partial(self._observe, first))
        self.tensors = {
            t: Statistics(min(self._extremes[t]), max(self._extremes[t]), rows.found.astype(np.float64))
            for t, rows in self._values.items()
        }
        self.patches = {name: rows.found for name, rows in self._patches.items()}
        self.rows = {name: rows.found for name, rows in self._normed.items()}

    def _draw(self, images: int, rng: np.random.Generator) -> None:
        for tensor in self._graph.shapes:
            self._values[tensor].draw(images, rng)
            for node in self._graph.consumers(tensor):
                for of_nodes in (self._patches, self._normed):
                    if node.name in of_nodes:
                        of_nodes[node.name].draw(images, rng)

    def _observe(self, first: int, tensor: str, x: torch.Tensor) -> None:
        low, high = (float(value) for value in x.aminmax())  # NaN if any value is
        if not isfinite(low) or not isfinite(high):
            maker = (
                f"layer {self._makers[tensor].name!r} ({self._makers[tensor].op})"
                if tensor in self._makers
                else "the input"
            )
            raise UsageError(
                f"calibration: {maker}: values not finite ({low:g} .. {high:g}) on finite images; float32 overflows there"
            )
        self._extremes[tensor] += [low, high]
        self._values[tensor].take(first, len(x), lambda rows: x.reshape(-1)[rows])
        for node in self._graph.consumers(tensor):
            weighted = operator(node.op)
            if isinstance(weighted, Weighted):
                self._patches[node.name].take(first, len(x), partial(weighted.patches, node, x))
            if node.name in self._normed:
                self._normed[node.name].take(first, len(x), lambda rows: x.reshape(-1, x.shape[-1])[rows])


class _Rows:
    """A random part of the rows of all images, about `total`: drawn batch by batch, in one array from the start.

    Which rows they are, and their order, does not depend on how many images of a batch are computed at once.
    """

    def __init__(self, per_image: int, total: int, images: int) -> None:
        self._per_image, self._total, self._images = per_image, total, images
        batches = (min(BATCH, images - start) for start in range(0, images, BATCH))
        self._length = sum(min(count * per_image, self._share(count)) for count in batches)
        self._filled, self._chosen = 0, torch.arange(0)
        self.found = np.zeros(0, np.float32)

    def _share(self, images: int) -> int:
        return -(-self._total * images // self._images)

    def draw(self, images: int, rng: np.random.Generator) -> None:
        """Choose rows of the next batch."""
        self._filled += len(self._chosen)
        rows, share = images * self._per_image, self._share(images)
        self._chosen = torch.arange(rows) if rows <= share else torch.from_numpy(rng.choice(rows, share, replace=False))

    def take(self, first: int, images: int, gather: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Keep the chosen rows of so many images of the batch; `gather` gives rows that are counted from the first of these."""
        chosen = self._chosen - first * self._per_image
        (at,) = ((chosen >= 0) & (chosen < images * self._per_image)).nonzero(as_tuple=True)
        values = gather(chosen[at]).numpy()
        if not len(self.found):
            self.found = np.empty((self._length, *values.shape[1:]), np.float32)
        self.found[self._filled + at.numpy()] = values


def activation_type(stats: Statistics, bits: int, method: str, percentile: float) -> QType:
    """The type of a tensor: unsigned when no calibrated value is negative.

    Args:
        method: "minmax" clips nothing; "percentile" clips what lies beyond that percentile; "mse" takes the scale of least
            squared rounding error. Signed 1 bit always takes scale mean |x|.

    A tensor that was zero on all images gets the scale `NOTHING`: what lies beyond the calibrated range is clipped, here as elsewhere,
    and who reads it has steps that are fine enough for any bias.
    """
    if stats.low == stats.high == 0:
        return QType(bits, False, NOTHING)
    signed = stats.low < 0
    if signed and bits == 1:
        return QType(1, True, float(np.abs(stats.sample).mean()) or -stats.low)
    limits = QType(bits, signed, 1.0)
    low, high = stats.low, stats.high
    if method == "percentile":
        low, high = np.percentile(stats.sample, [100 - percentile, percentile])
    # A tensor whose percentile is zero though it has other values is scaled by its extremes.
    scale = max(_widest(low, high, limits), 0.0) or _widest(stats.low, stats.high, limits)
    if method == "mse":
        scale = _least_error(stats.sample, scale, limits)
    return QType(bits, signed, float(scale))


def _widest(low: float, high: float, limits: QType) -> float:
    return max(high / limits.qmax, low / limits.qmin if limits.qmin else 0.0)


def _least_error(sample: np.ndarray, widest: float, limits: QType) -> float:
    x = sample[sample != 0]  # zero is exact at every scale
    if len(x) == 0:  # what is not zero was not drawn
        return widest
    errors = [float(((to_integers(x, QType(limits.bits, limits.signed, s)) * s - x) ** 2).sum()) for s in GRID * widest]
    return float(GRID[int(np.argmin(errors))] * widest)
