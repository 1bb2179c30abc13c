"""Whole networks on a device that has measured few of them, learned from other devices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.proxy.networks.few_shot import space
from mico_runner.proxy.networks.prior import one_hot
from mico_runner.proxy.networks.process import Posterior
from mico_runner.proxy.strategies import Strategy, register


@register(
    "network-transfer",
    predicts="networks",
    params={
        "sources": {"type": "list", "schema": {"type": "string"}, "minlength": 1},
        "targets": {"type": "list", "schema": {"type": "string"}, "minlength": 1},
        "splits": {"type": "list", "schema": {"type": "string"}, "minlength": 1},
        "samples": {
            "anyof": [
                {"type": "integer", "min": 2, "max": 10000},
                {"type": "list", "schema": {"type": "integer", "min": 2, "max": 10000}, "minlength": 1},
            ]
        },
        "choose": {"type": "string", "allowed": ["d_optimal", "random"]},
        "source_rows": {"type": "integer", "min": 2, "max": 1000000},
        "draws": {"type": "integer", "min": 1, "max": 1000},
    },
)
class NetworkTransfer(Strategy):
    """Latencies of whole networks by their architecture: other devices give the prior, few measurements the rest.

    Its tables are of networks, not of kernels: columns `op0`, `op1`, ... with the operation at each position, and a column of latencies per
    source device, nan where there is none. `fit` takes those networks for measured whose latency is not nan.

    Args:
        sources: columns of the source devices. With `targets`, the devices that are tested as if they were new.
        splits: names of published pairs of sources and targets, in place of them.
        samples: networks that a target measures; a list tests each number by itself.
        choose: which ones: d_optimal, or random.
        source_rows: networks whose latencies on the source devices are used, at most half of all.
        draws: of these networks, each of which is a test by itself.
    """

    def __init__(
        self,
        sources: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        samples: int | Sequence[int] = 20,
        choose: str = "d_optimal",
        source_rows: int = 900,
        draws: int = 10,
        seed: int = 0,
    ) -> None:
        self.sources = sources
        self.targets = targets
        self.splits = splits
        self.samples = samples
        self.choose = choose
        self.source_rows = source_rows
        self.draws = draws
        self.seed = seed

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> NetworkTransfer:
        """Raises UsageError: no source is named, a column is missing, or nothing was measured."""
        latency = np.asarray(latency, dtype=float)
        measured = np.flatnonzero(np.isfinite(latency))
        missing = [name for name in self.sources or () if name not in table]
        if not self.sources or missing:
            found = f"{missing[0]!r} is no column of the table" if missing else "none is named"
            raise UsageError(f"proxy.params.sources: {found}; allowed: columns of source devices")
        if not len(measured):
            raise UsageError("no network was measured on the target; allowed: one or more latencies that are not nan")
        architecture = _architecture(table)
        latencies = [table[name].to_numpy(float) for name in self.sources]
        known = space(architecture, latencies, np.arange(len(table)))
        found = known.learn(measured, latency[measured])
        self.operations_ = int(architecture.max()) + 1
        self.centre_ = one_hot(architecture, self.operations_).mean(axis=0)
        self.device_ = dict(vars(found))
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return Posterior(**self.device_).predict(self._features(table))

    def interval(self, table: pd.DataFrame, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper latency that hold the measured one with probability `coverage`, float64 (rows,) each."""
        return Posterior(**self.device_).interval(self._features(table), coverage)

    def _features(self, table: pd.DataFrame) -> np.ndarray:
        """Raises UsageError: an operation that no network had that it was fitted to."""
        architecture = _architecture(table)
        if architecture.max() >= self.operations_:
            found = f"operation {architecture.max()}"
            raise UsageError(f"{found} is in no network that was learned from; allowed: 0 to {self.operations_ - 1}")
        return one_hot(architecture, self.operations_) - self.centre_


def _architecture(table: pd.DataFrame) -> np.ndarray:
    positions = sorted((name for name in table if str(name)[:2] == "op" and str(name)[2:].isdigit()), key=_number)
    if not positions:
        raise UsageError("not a table of networks: no columns op0, op1, ...")
    return table[positions].to_numpy(np.int64)


def _number(name: str) -> int:
    return int(name[2:])
