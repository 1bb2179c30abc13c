"""Roofline through curves: latency of an operator = overhead + maximum of a compute and a memory term, each at its own efficiency.

    compute = FLOPs / (peak · efficiency(FLOPs)),   memory = bytes / (bandwidth · efficiency(bytes))

The maximum is the larger of both, or with `smooth` p their p-norm (compute^p + memory^p)^(1/p): 1 adds them up, a large p is the maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mico_runner.calibration.cases import BYTES
from mico_runner.calibration.curves import Curve
from mico_runner.errors import UnknownName

COPY = "copy"  # its curve is the memory's, for operators without one of their own
# Names under which a curve is looked up after the operator's own: what tools with coarser classes call it.
COARSER = {
    "conv_k3": ("conv2d",),
    "conv_std": ("conv2d",),
    "conv_pw": ("pointwise", "conv2d"),
    "conv_dw": ("depthwise",),
    "linear": ("matmul",),
    "matmul": ("linear",),
    "attention": ("matmul",),
}
IN_WORDS = {"conv_k3": "conv 3x3", "conv_pw": "conv 1x1", "conv_dw": "depthwise conv"}


@dataclass(frozen=True)
class Roofline:
    """An estimator of single operators.

    Attributes:
        flops_per_s, bytes_per_s: what an efficiency of 1 is.
        compute: efficiency over FLOPs by operator class, or by a name of `COARSER`; None: the full rate for all.
        memory: efficiency over bytes by operator class; `copy` for all others.
        overhead_s: fixed time of a call by operator class; absent: none.
        smooth: p of the p-norm, at least 1, or None for the maximum.
    """

    precision: str
    flops_per_s: float
    bytes_per_s: float
    compute: Mapping[str, Curve] | None
    memory: Mapping[str, Curve]
    overhead_s: Mapping[str, float]
    smooth: float | None = None

    def predict(self, operators: pd.DataFrame) -> np.ndarray:
        """Seconds of each operator (rows as `capture.capture` gives them), float64 (rows,).

        Raises UnknownName for an operator with FLOPs that has no curve.
        """
        return self.terms(operators)["seconds"].to_numpy()

    def terms(self, operators: pd.DataFrame) -> pd.DataFrame:
        """Per operator: overhead, compute, memory, seconds (all in s), efficiency (of the term that counts), extrapolates."""
        op = operators["op"].to_numpy(str)
        flops = 2 * operators["macs"].to_numpy(float)
        moved = BYTES[self.precision] * (operators["weights"] + operators["elements"]).to_numpy(float)
        compute, memory = np.zeros(len(op)), np.zeros(len(op))
        outside = np.zeros(len(op), dtype=bool)
        for name in sorted(set(operators["op"])):
            rows = op == name
            worked, carried = rows & (flops > 0), rows & (moved > 0)
            if worked.any() and self.compute is None:
                compute[worked] = flops[worked] / self.flops_per_s
            elif worked.any():
                curve = self.compute[curve_name(name, self.compute)]
                compute[worked] = flops[worked] / (self.flops_per_s * _efficiency(curve, flops[worked]))
                outside[worked] |= curve.extrapolates(flops[worked])
            curve = self.memory.get(name, self.memory.get(COPY))
            share = _efficiency(curve, moved[carried]) if curve is not None else 1.0
            memory[carried] = moved[carried] / (self.bytes_per_s * share)
            if curve is not None and not worked.any():
                outside[carried] |= curve.extrapolates(moved[carried])
        overhead = np.array([self.overhead_s.get(name, 0.0) for name in op])
        larger = np.maximum(compute, memory)
        if self.smooth is not None:
            scale = np.maximum(
                larger, np.finfo(float).tiny
            )  # a power of the terms themselves could leave the range of floats
            larger = scale * ((compute / scale) ** self.smooth + (memory / scale) ** self.smooth) ** (1 / self.smooth)
        return pd.DataFrame(
            {"overhead": overhead, "compute": compute, "memory": memory, "seconds": overhead + larger}
        ).assign(extrapolates=outside)

    def standing(self, operators: pd.DataFrame) -> np.ndarray:
        """What each figure stands on, str (rows,): the provenance of its curve, "EXTRAPOLATED" beyond its sizes, "ASSUMED" without one."""
        curves = [self._curve_of(op, macs > 0) for op, macs in zip(operators["op"], operators["macs"], strict=True)]
        known = np.array([curve.provenance.replace("assumed", "ASSUMED") if curve else "ASSUMED" for curve in curves])
        return np.where(self.terms(operators)["extrapolates"] & (known != "ASSUMED"), "EXTRAPOLATED", known)

    def _curve_of(self, op: str, computes: bool) -> Curve | None:
        if computes:
            return None if self.compute is None else self.compute[curve_name(op, self.compute)]
        return self.memory.get(op, self.memory.get(COPY))

    def explain(self, operators: pd.DataFrame) -> list[str]:
        """Where the number of each operator comes from, in one sentence each."""
        terms = self.terms(operators)
        return [self._sentence(operators.iloc[i], terms.iloc[i]) for i in range(len(operators))]

    def _sentence(self, row: pd.Series, terms: pd.Series) -> str:
        computes = terms["compute"] >= terms["memory"] and row["macs"] > 0
        if computes:
            name, flops = row["op"], 2 * row["macs"]
            size, rate, curve = f"{_si(flops)}FLOP", f"{_si(self.flops_per_s)}FLOP/s", None
            if self.compute is not None:
                name = curve_name(name, self.compute)
                curve = self.compute[name]
            share = float(_efficiency(curve, np.array([flops]))[0]) if curve is not None else 1.0
        else:
            moved = BYTES[self.precision] * (row["weights"] + row["elements"])
            name = row["op"] if row["op"] in self.memory else COPY
            curve, size, rate = self.memory.get(name), f"{_si(moved)}B", f"{_si(self.bytes_per_s)}B/s"
            share = float(_efficiency(curve, np.array([moved]))[0]) if curve is not None and moved > 0 else 1.0
        text = f"{in_words(row)}: {size} at {100 * share:.0f} % of {rate}"
        if curve is None:
            source = "no curve: the full rate"
        else:
            source = f"curve {name}/{self.precision} ({curve.shape}, {curve.provenance}), {curve.points} points"
            if np.isfinite(curve.cv_error):
                source += f", ±{100 * np.expm1(curve.cv_error):.0f} %"
        if not (computes or moved > 0):
            return f"{in_words(row)}: {in_seconds(terms['seconds'])} overhead, nothing to compute or move"
        far = ", EXTRAPOLATED" if terms["extrapolates"] else ""
        overhead = f" + {in_seconds(terms['overhead'])} overhead" if terms["overhead"] > 0 else ""
        return f"{text}{overhead} = {in_seconds(terms['seconds'])}, {source}{far}"


def curve_name(op: str, known: Iterable[str]) -> str:
    """Under which name the compute curve of an operator class is found. Raises UnknownName."""
    known = set(known)
    for name in (op, *COARSER.get(op, ())):
        if name in known:
            return name
    raise UnknownName("efficiency curve", op, known)


def _efficiency(curve: Curve, size: np.ndarray) -> np.ndarray:
    """At most 1: a fitted line may go beyond the roof, a machine does not."""
    return np.minimum(curve.predict(size), 1.0)


def in_words(row: pd.Series) -> str:
    """conv 3x3 64→64; the class's name where nothing more is known."""
    ins, outs = row["in_channels"], row["out_channels"]
    name = IN_WORDS.get(row["op"], row["op"])
    if row["op"] == "conv_std" and ins > 0:
        kernel = round((row["reduction"] / ins) ** 0.5)
        name = f"conv {kernel}x{kernel}"
    return f"{name} {ins:.0f}→{outs:.0f}" if ins > 0 else name


def in_seconds(value: float) -> str:
    """Three digits and a prefix: 12.3e-6 -> "12.3 µs"."""
    return f"{_si(value)}s"


def _si(value: float) -> str:
    """Three digits and a prefix: 231e6 -> "231 M"."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value * 1e9:.3g} n"
