"""Look-up table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.terms import sizes

CHUNK = 4096  # rows compared with the whole table at once


@register("lut")
class LookUpTable(Strategy):
    """The measured latency of the same kernel, or of the nearest one (log2 of sizes and bits), scaled by the work they do."""

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> LookUpTable:
        keys, number = np.unique(_keys(table), axis=0, return_inverse=True)
        number = number.ravel()
        self.keys_ = keys
        self.log_latency_ = np.bincount(number, np.log(latency)) / np.bincount(number)  # repeats: geometric mean
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        keys = _keys(table)
        nearest = np.empty(len(keys), dtype=int)
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            distance = np.zeros((len(part), len(self.keys_)))
            for a, b in zip(part.T, self.keys_.T, strict=True):
                distance += np.abs(a[:, None] - b[None, :])
            nearest[start : start + CHUNK] = distance.argmin(axis=1)
        scale = (keys - self.keys_[nearest])[:, :3].sum(axis=1)  # N * M * K, in octaves
        return np.exp(self.log_latency_[nearest] + scale * np.log(2))


def _keys(table: pd.DataFrame) -> np.ndarray:
    """log2 of N, M, K, inputs, kernel height, stride, bits; float64 (rows, 8). Equal kernels have equal keys."""
    bits = np.maximum(table[["act_bits", "weight_bits"]].to_numpy(float), 0.5)
    window = table[["kernel_h", "stride"]].to_numpy(float)
    return np.log2(np.column_stack([*sizes(table), window, bits]))
