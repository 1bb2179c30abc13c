"""Latency predictors: from a profile of kernel latencies to the latency of kernels that were never measured.

profile = data.load_profile(["mico-small/conv2d-zoo", "mico-small/matmul-zoo"])
model = proxy.fit(profile, strategy="auto")
cycles = model.predict(kernel_table_of_a_network)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.proxy.crossval import Candidate, Validation
    from mico_runner.proxy.model import LatencyModel

STRATEGIES = Registry("latency strategy", f"{__name__}.strategies")
REGRESSORS = Registry("regressor", f"{__name__}.regressors")
FEATURES = Registry("feature set", f"{__name__}.features")
AUTO = "auto"  # of `features` and `regressor`: the strategy's own default


def predicts_networks(strategy: str) -> bool:
    """Whether it predicts whole networks by their architecture, instead of kernels."""
    return STRATEGIES.info(strategy).meta.get("predicts") == "networks"


def fit(
    table: pd.DataFrame,
    strategy: str = AUTO,
    features: str = AUTO,
    regressor: str = AUTO,
    params: Mapping[str, object] | None = None,
    seed: int = 0,
    calibration: pd.DataFrame | None = None,
) -> LatencyModel:
    """See `mico_runner.proxy.model.fit`."""
    from mico_runner.proxy import model

    return model.fit(table, strategy, features, regressor, params, seed, calibration)


def load(folder: str | Path) -> LatencyModel:
    """See `mico_runner.proxy.model.load`."""
    from mico_runner.proxy import model

    return model.load(folder)


def validate(table: pd.DataFrame, **options: Any) -> Validation:
    """See `mico_runner.proxy.crossval.validate`."""
    from mico_runner.proxy import crossval

    return crossval.validate(table, **options)


def compare(table: pd.DataFrame, candidates: Sequence[Candidate], **options: Any) -> pd.DataFrame:
    """See `mico_runner.proxy.crossval.compare`."""
    from mico_runner.proxy import crossval

    return crossval.compare(table, candidates, **options)
