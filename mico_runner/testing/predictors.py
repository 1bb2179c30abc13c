"""Latency predictors: the contract of `proxy.strategies`, on profiles of a made-up device; regressors and feature sets beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone

from mico_runner.kernel_table import kernel_table
from mico_runner.proxy import STRATEGIES, features, fit, load, regressors

KINDS = ("linear", "conv2d")
Latency = Callable[[pd.DataFrame], np.ndarray]


def check_predictor(
    name: str,
    folder: Path,
    params: dict[str, object] | None = None,
    latency: Latency | None = None,
    kinds: Sequence[str] = KINDS,
    error: float = 0.1,
) -> None:
    """Try a strategy on profiles of linear layers and of convolutions.

    - Its parameters round-trip, and it has no fitted attributes before `fit`.
    - Predictions are positive and finite, close in sample, and depend on their own row and on columns by name alone.
    - The same seed gives the same model, and another unit of latency the same in that unit.
    - A model that is saved and loaded predicts the same bits.

    Args:
        folder: for saved models.
        params: of the strategy.
        latency: of each row of a table; without, that of the made-up device.
        kinds: of kernels.
        error: what is close in sample: the mean error, relative to the latency.

    Raises:
        AssertionError: what does not hold.
    """
    for kind in kinds:
        table = profile(kind)
        if latency is not None:
            table["latency"] = latency(table)
        _check(name, table, params or {}, folder / kind, error)


def profile(kind: str, count: int = 14, seed: int = 0) -> pd.DataFrame:
    """A small made-up device: overheads, packed-word loops, a little noise; bits 1, 2, 4, 8."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for _ in range(count):
        shape = {"in_channels": int(rng.integers(4, 128)), "out_channels": int(rng.integers(4, 128))}
        if kind == "conv2d":
            size = int(rng.integers(5, 20))
            shape |= {"in_h": size, "in_w": size, "kernel_h": 3, "kernel_w": 3, "stride": int(rng.integers(1, 3))}
        rows += [{"kind": kind, **shape, "act_bits": a, "weight_bits": w} for a in (1, 2, 4, 8) for w in (1, 2, 4, 8)]
    table = kernel_table(rows)
    outputs = table["out_h"] * table["out_w"] * table["out_channels"]
    cycles = 500 + 12 * outputs + table["macs"] * (0.5 + 0.1 * table[["act_bits", "weight_bits"]].max(axis=1))
    table["latency"] = (cycles * np.exp(rng.normal(0, 0.01, len(table)))).round()
    table.attrs["unit"] = "cycles"
    return table


def _check(name: str, table: pd.DataFrame, params: dict[str, object], folder: Path, most: float) -> None:
    where, latency = f"strategy {name!r} on {table['kind'].iloc[0]}", table["latency"].to_numpy()
    estimator = STRATEGIES.get(name)(**params)
    known = estimator.get_params(deep=False)
    assert type(estimator)(**known).get_params(deep=False) == known, f"{where}: its parameters do not round-trip"
    assert not [key for key in vars(estimator) if key.endswith("_")], f"{where}: unfitted, it has fitted attributes"

    fitted = clone(estimator).fit(table, latency)
    whole = fitted.predict(table)
    assert whole.shape == (len(table),) and whole.dtype == np.float64, f"{where}: predicts {whole.dtype} {whole.shape}"
    assert (whole > 0).all() and np.isfinite(whole).all(), f"{where}: predictions must be positive and finite"
    error = np.mean(np.abs(whole / latency - 1))
    assert error < most, f"{where}: its mean error in sample is {error:.1%}, more than {most:.0%}"
    far = kernel_table(table.assign(out_channels=table["out_channels"] * 100, in_channels=1).drop(columns="latency"))
    predicted = fitted.predict(far)
    assert (predicted > 0).all() and np.isfinite(predicted).all(), f"{where}: far outside, predictions must be positive"

    order = np.random.default_rng(1).permutation(len(table))
    alone = np.array_equal(fitted.predict(table.iloc[order]), whole[order])
    alone &= np.array_equal(fitted.predict(table.iloc[:1]), whole[:1])
    assert alone, f"{where}: a prediction depends on other rows"
    other = table[sorted(table.columns, reverse=True)].assign(layer="x", weight=3.5)
    assert np.array_equal(fitted.predict(other), whole), f"{where}: it reads columns by position"

    again = clone(estimator).fit(table, latency)
    assert np.array_equal(again.predict(table), whole), f"{where}: the same seed gives another model"
    scaled = clone(estimator).fit(table, latency * 1000)  # up to the tie-breaks of tree splits
    change = np.median(np.abs(scaled.predict(table) / whole / 1000 - 1))
    assert change < 0.02, f"{where}: in another unit it predicts something else, by {change:.1%}"
    _check_saving(name, table, params, folder, where)


def _check_saving(name: str, table: pd.DataFrame, params: dict[str, object], folder: Path, where: str) -> None:
    model = fit(table, strategy=name, params=params or None)
    model.save(folder)
    again = load(folder)
    assert np.array_equal(again.predict(table), model.predict(table)), (
        f"{where}: saved and loaded, it predicts otherwise"
    )
    assert (again.unit, again.kinds, again.settings) == (model.unit, model.kinds, model.settings), where
    others = [path.name for path in folder.iterdir() if path.suffix not in (".json", ".npz")]
    assert not others, f"{where}: it saves {others}"


def check_regressor(name: str) -> None:
    """A regressor is nearer to the logarithm of a profile's latencies than their mean is. Raises AssertionError."""
    table = profile("linear")
    x, y = features.matrix(table, "raw"), np.log(table["latency"].to_numpy())
    error = np.abs(regressors.make(name, None, 0).fit(x, y).predict(x) - y).mean()
    assert error < y.std(), f"regressor {name!r}: it errs by {error:.3g} on average, their deviation is {y.std():.3g}"


def check_features(name: str) -> None:
    """A feature set gives a finite row of numbers for every kernel, which tell kernels apart. Raises AssertionError."""
    table = profile("linear")
    found = features.matrix(table, name)
    assert len(found) == len(table) and np.isfinite(found).all(), f"features {name!r}: {found.shape}, some not finite"
    assert np.ptp(found, axis=0).any(), f"features {name!r}: the same for all kernels"
