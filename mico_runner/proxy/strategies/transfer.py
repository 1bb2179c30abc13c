"""A device with few measurements, learned from a device with many."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner import data
from mico_runner.errors import UsageError
from mico_runner.proxy import features as feature_sets
from mico_runner.proxy import regressors, residual
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.strategies.hybrid import Hybrid

MODES = ("residual", "ratio", "cascade", "embedding")
EMBEDDING_PENALTY = 1.0  # on weights that are not equal, in squared log latency: a handful of rows moves them little


@register(
    "transfer",
    params={
        "source": {"type": ["string", "list"]},
        "mode": {"type": "string", "allowed": ["residual", "ratio", "cascade", "embedding"]},
    },
)
class Transfer(Strategy):
    """A `hybrid` of the source device, brought to the target device by its few measurements.

    Args:
        source: profile(s) of the source device, names as for `data.load_profile`; those of the same kind of kernel are used.
        mode: "ratio": one factor per pair of bit-widths, shrunk towards the common factor; "residual": the same, then a Gaussian process on
            what is left; "cascade": the source's prediction as one more feature of a ridge regression; "embedding": with sources on
            several devices, the target is a weighted geometric mean of them, then as "residual". The weights are the device's
            embedding, learned from its few measurements (few-shot as in H. Lee et al., "HELP", NeurIPS 2021, the devices themselves
            being the axes). The other modes take all sources as one device.
    """

    def __init__(self, source: str | list[str] | None = None, mode: str = "residual", seed: int = 0) -> None:
        self.source = source
        self.mode = mode
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Transfer:
        """Raises UsageError when no source is named, its profile has no kernels of this kind, or the mode is unknown."""
        if not self.source:
            raise UsageError("proxy.params.source: strategy 'transfer' needs the profile(s) of a source device")
        if self.mode not in MODES:
            raise UsageError(f"proxy.params.mode: {self.mode!r} is not one of {', '.join(MODES)}")
        kind = table["kind"].iloc[0]
        rows = data.load_profile(self.source)
        rows = rows[rows["kind"] == kind]
        if rows.empty:
            raise UsageError(f"proxy.params.source: {self.source} has no latencies of {kind!r} kernels")
        parts = [part for _, part in rows.groupby("device")] if self.mode == "embedding" else [rows]
        self.sources_ = [
            Hybrid(bit_penalty=1e-4, seed=self.seed).fit(part, part["latency"].to_numpy()) for part in parts
        ]
        logs = np.log(np.asarray(latency, dtype=float))
        self.embedding_ = _embedding(self._log_sources(table), logs)
        if self.mode == "cascade":
            self.cascade_ = regressors.make("ridge", None, self.seed).fit(self._with_source(table), logs)
            return self
        ratio = logs - self._log_source(table)
        self.pairs_, self.ratios_ = _pair_means(table, ratio)
        if self.mode != "ratio":
            self.residual_ = residual.fit(table, ratio - self._ratio(table), True, np.random.default_rng(self.seed))
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        if self.mode == "cascade":
            return np.exp(self.cascade_.predict(self._with_source(table)))
        logs = self._log_source(table) + self._ratio(table)
        return np.exp(logs if self.mode == "ratio" else logs + residual.predict(self.residual_, table))

    def _log_sources(self, table: pd.DataFrame) -> list[np.ndarray]:
        return [np.log(source.predict(table)) for source in self.sources_]

    def _log_source(self, table: pd.DataFrame) -> np.ndarray:
        return sum(w * logs for w, logs in zip(self.embedding_, self._log_sources(table), strict=True))

    def _with_source(self, table: pd.DataFrame) -> np.ndarray:
        return np.column_stack([np.exp(self._log_source(table)), feature_sets.matrix(table, "raw")])

    def _ratio(self, table: pd.DataFrame) -> np.ndarray:
        """Log factor of each row's pair of bit-widths; the common one for pairs that the target has not."""
        codes = (table["act_bits"] * 100 + table["weight_bits"]).to_numpy()
        position = np.minimum(np.searchsorted(self.pairs_[1:], codes), len(self.pairs_) - 2) + 1
        return np.where(self.pairs_[position] == codes, self.ratios_[position], self.ratios_[0])


def _embedding(sources: list[np.ndarray], logs: np.ndarray) -> np.ndarray:
    """(devices,) weights that explain the target's log latencies, up to a constant; ridge regression towards equal weights."""
    equal = np.full(len(sources), 1 / len(sources))
    X = np.stack(sources, axis=1)
    X, y = X - X.mean(axis=0), logs - logs.mean()
    normal = X.T @ X + EMBEDDING_PENALTY * np.eye(len(sources))
    return equal + np.linalg.solve(normal, X.T @ (y - X @ equal)) if len(sources) > 1 else equal


def _pair_means(table: pd.DataFrame, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the pairs and their mean log ratio, the common mean first; each pair's is shrunk by one row of the common one."""
    codes, pair_of = np.unique((table["act_bits"] * 100 + table["weight_bits"]).to_numpy(), return_inverse=True)
    common = float(np.mean(ratio))
    means = (np.bincount(pair_of, ratio) + common) / (np.bincount(pair_of) + 1)
    return np.concatenate([[-1], codes]), np.concatenate([[common], means])
