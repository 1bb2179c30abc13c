"""What the float network's tensors look like on the calibration images, and the scales chosen from that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph
from mico_runner.graph.run import run_float
from mico_runner.ops import operator
from mico_runner.ops.arithmetic import to_integers
from mico_runner.ops.base import Weighted
from mico_runner.quant.qgraph import QType

BATCH = 32
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
    """Runs the float network over the calibration images once.

    Attributes:
        tensors: statistics of every tensor.
        patches: for every weighted node its inputs at random output positions, (samples, groups, K) with K as in a weight row.

    Raises UsageError when a tensor is not finite, and names the first layer that makes one.
    """

    def __init__(self, graph: Graph, images: np.ndarray, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._graph, self._images = graph, len(images)
        values: dict[str, list[np.ndarray]] = {t: [] for t in graph.shapes}
        extremes: dict[str, list[float]] = {t: [] for t in graph.shapes}
        patches: dict[str, list[np.ndarray]] = {n.name: [] for n in graph.weighted}

        makers = {node.output: node for node in graph.nodes}

        def observe(tensor: str, x: torch.Tensor) -> None:
            found = [float(x.min()), float(x.max())]  # NaN if any value is
            if not np.isfinite(found).all():
                maker = f"layer {makers[tensor].name!r} ({makers[tensor].op})" if tensor in makers else "the input"
                raise UsageError(
                    f"calibration: {maker}: values not finite ({found[0]:g} .. {found[1]:g}) on finite images; float32 overflows there"
                )
            extremes[tensor] += found
            values[tensor].append(self._choose(x.numpy().reshape(-1), SAMPLES, len(x)))
            for node in graph.consumers(tensor):
                weighted = operator(node.op)
                if isinstance(weighted, Weighted):
                    patches[node.name].append(self._choose(weighted.patches(node, x).numpy(), PATCHES, len(x)))

        for start in range(0, len(images), BATCH):
            run_float(graph, images[start : start + BATCH], observe)
        self.tensors = {
            t: Statistics(min(extremes[t]), max(extremes[t]), np.concatenate(v).astype(np.float64))
            for t, v in values.items()
        }
        self.patches = {name: np.concatenate(p).astype(np.float64) for name, p in patches.items()}

    def _choose(self, rows: np.ndarray, total: int, images: int) -> np.ndarray:
        """A random part of the rows, so that all batches together make about `total`."""
        count = -(-total * images // self._images)
        if len(rows) <= count:
            return rows.copy()
        return rows[self._rng.choice(len(rows), count, replace=False)]


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
