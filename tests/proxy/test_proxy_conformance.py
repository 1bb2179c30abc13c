"""One suite that every registered latency strategy passes (and a third party's should)."""

import numpy as np
import pytest
from sklearn.base import clone

from mico_runner import hardware
from mico_runner.accelerators import bitfusion
from mico_runner.kernel_table import kernel_table
from mico_runner.proxy import STRATEGIES, fit, load

KINDS = ("linear", "conv2d")


def profile(kind: str, count: int = 14, seed: int = 0):
    """A small made-up device: overheads, packed-word loops, a little noise; bits 1, 2, 4, 8."""
    rng = np.random.default_rng(seed)
    rows = []
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


@pytest.fixture(scope="module", params=[(s, k) for s in STRATEGIES.names() for k in KINDS], ids=lambda p: "-".join(p))
def case(request, tmp_path_factory):
    """(strategy name, profile, unfitted estimator, fitted estimator)."""
    name, kind = request.param
    table = profile(kind)
    estimator = STRATEGIES.get(name)()
    if name == "analytical":  # knows one device, in its own cycles
        table["latency"] = bitfusion.BitFusion(hardware.load("bitfusion")).cycles(table)
    if name == "transfer":  # needs a source device: another made-up one
        path = tmp_path_factory.mktemp("source") / "source.csv"
        profile(kind, seed=1).rename(columns={"latency": "latency_cycles"}).to_csv(path, index=False)
        estimator.set_params(source=str(path))
    return name, table, estimator, clone(estimator).fit(table, table["latency"].to_numpy())


def test_parameters_round_trip(case):
    _, _, estimator, _ = case
    assert type(estimator)(**estimator.get_params(deep=False)).get_params(deep=False) == estimator.get_params(
        deep=False
    )
    assert not [key for key in vars(estimator) if key.endswith("_")], "an unfitted estimator has fitted attributes"


def test_predictions_are_positive_and_close_in_sample(case):
    _, table, _, fitted = case
    predicted = fitted.predict(table)
    assert predicted.shape == (len(table),) and predicted.dtype == np.float64
    assert (predicted > 0).all() and np.isfinite(predicted).all()
    assert np.mean(np.abs(predicted / table["latency"] - 1)) < 0.1


def test_predictions_far_outside_are_positive(case):
    _, table, _, fitted = case
    far = kernel_table(table.assign(out_channels=table["out_channels"] * 100, in_channels=1).drop(columns="latency"))
    predicted = fitted.predict(far)
    assert (predicted > 0).all() and np.isfinite(predicted).all()


def test_a_prediction_depends_on_its_own_row_only(case):
    _, table, _, fitted = case
    order = np.random.default_rng(1).permutation(len(table))
    whole = fitted.predict(table)
    assert np.array_equal(fitted.predict(table.iloc[order]), whole[order])
    assert np.array_equal(fitted.predict(table.iloc[:1]), whole[:1])


def test_extra_and_reordered_columns_change_nothing(case):
    _, table, _, fitted = case
    other = table[sorted(table.columns, reverse=True)].assign(layer="x", weight=3.5)
    assert np.array_equal(fitted.predict(other), fitted.predict(table))


def test_the_same_seed_gives_the_same_model(case):
    _, table, estimator, fitted = case
    again = clone(estimator).fit(table, table["latency"].to_numpy())
    assert np.array_equal(again.predict(table), fitted.predict(table))


def test_latency_scales_with_the_unit(case):
    """Cycles or thousandths of a cycle: the same predictor, up to the tie-breaks of tree splits."""
    _, table, estimator, fitted = case
    scaled = clone(estimator).fit(table, table["latency"].to_numpy() * 1000)
    assert np.median(np.abs(scaled.predict(table) / fitted.predict(table) / 1000 - 1)) < 0.02


def test_saving_changes_no_bit(case, tmp_path):
    name, table, estimator, _ = case
    params = {"source": estimator.source} if name == "transfer" else None
    model = fit(table, strategy=name, params=params)
    model.save(tmp_path)
    again = load(tmp_path)
    assert np.array_equal(again.predict(table), model.predict(table))
    assert (again.unit, again.kinds, again.settings) == (model.unit, model.kinds, model.settings)
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".json", ".npz")]
