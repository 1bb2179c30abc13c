"""Profiles at the edge of what can be learned from: a row, two shapes, one pair of bits, latencies that are all alike."""

import warnings

import numpy as np
import pytest
from test_proxy_conformance import profile

from mico_runner.errors import UsageError
from mico_runner.kernel_table import kernel_table
from mico_runner.proxy import REGRESSORS, STRATEGIES, fit, predicts_networks, validate
from mico_runner.proxy.learning import learning_curve, rows_needed
from mico_runner.proxy.model import make

FAST = {"rf": {"n_estimators": 3}, "xgb": {"n_estimators": 3}, "ridge": {}}
STAGED = ("single", "two_stage", "multi_stage")
KERNELS = [name for name in STRATEGIES.names() if not predicts_networks(name)]
CHOICES = [(s, r) for s in KERNELS for r in (REGRESSORS.names() if s in STAGED else ["auto"])]
LATENCIES = {
    "alike": lambda table: np.full(len(table), 1000.0),
    "tiny and alike": lambda table: np.full(len(table), 1e-6),
    "huge": lambda table: 1e15 * (1.0 + table["macs"]),
    "random": lambda table: np.random.default_rng(0).uniform(1, 1e6, len(table)),
}


def tiny(kind, shapes, pairs, latency):
    rows = []
    for number in range(shapes):
        size = {"in_channels": 8 * (number + 1), "out_channels": 16}
        if kind == "max_pool2d":
            size |= {"out_channels": 8 * (number + 1), "in_h": 8, "in_w": 8, "kernel_h": 2, "kernel_w": 2, "stride": 2}
        rows += [{"kind": kind, **size, "act_bits": a, "weight_bits": w} for a, w in pairs]
    table = kernel_table(rows).assign(dataset="tiny", device="tiny")
    table["latency"] = LATENCIES[latency](table)
    table.attrs["unit"] = "cycles"
    return table


def options(strategy, regressor, tmp_path):
    params = {"regressor_params": FAST[regressor]} if strategy in STAGED else {}
    if strategy == "transfer":
        source = tmp_path / "source.csv"
        tables = [profile("linear", count=2), tiny("max_pool2d", 2, [(8, 0)], "huge")]
        rows = [table.drop(columns=["dataset", "device"], errors="ignore") for table in tables]
        kernel_table([row for table in rows for row in table.to_dict("records")]).rename(
            columns={"latency": "latency_cycles"}
        ).to_csv(source, index=False)
        params = {"source": str(source)}
    return {"strategy": strategy, "regressor": regressor, "params": params}


@pytest.mark.parametrize(("strategy", "regressor"), CHOICES)
@pytest.mark.parametrize("kind", ["linear", "max_pool2d"])
def test_every_strategy_learns_what_there_is_without_a_word(strategy, regressor, kind, tmp_path):
    if strategy == "analytical" and kind != "linear":
        pytest.skip("BitFusion has no pooling")
    if strategy in ("two_stage", "multi_stage") and kind != "linear":
        pytest.skip("needs 8-bit weights")
    chosen = options(strategy, regressor, tmp_path)
    for latency in LATENCIES:
        for pairs in ([(8, 8)], [(8, 8), (8, 4)]) if kind == "linear" else [[(8, 0)]]:
            for shapes in (1, 2, 3):
                if len(pairs) > 1 and latency not in ("alike", "random"):
                    continue
                table = tiny(kind, shapes, pairs, latency)
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    predicted = fit(table, **chosen).predict(table)
                    assert np.isfinite(predicted).all() and (predicted > 0).all()
                    if shapes == 2 + (latency == "random") and len(pairs) == 1:
                        found = validate(table, **chosen, protocols=["kfold", "group_kfold"])
                        sure = found.protocols.drop(columns=["spearman", "kendall"]).select_dtypes("number")
                        assert np.isfinite(sure.to_numpy()).all()


@pytest.mark.parametrize(
    ("protocol", "what"), [("group_kfold", "2 shapes"), ("kfold", "2 rows"), ("few_shapes", "2 shapes")]
)
def test_what_cannot_be_left_out_is_said_with_what_is_needed(protocol, what):
    with pytest.raises(
        UsageError, match=f"linear kernels: validation '{protocol}' .*at least {what} are needed, found 1"
    ) as error:
        validate(tiny("linear", 1, [(8, 8)], "alike"), strategy="structural", protocols=["in_sample", protocol])
    assert f"leave '{protocol}' out of proxy.validation.protocols" in str(error.value)


@pytest.mark.parametrize("strategy", ["two_stage", "multi_stage"])
def test_a_fold_without_the_base_of_a_strategy_is_not_called_a_profile_without_it(strategy):
    table = tiny("linear", 2, [(8, 8)], "huge")
    table.loc[1, "weight_bits"] = 4
    with pytest.raises(UsageError, match="each fold of a validation, too; the 1 to learn from have none"):
        validate(table, strategy=strategy, protocols=["group_kfold"])


def test_bits_that_deviate_freely_have_a_unique_fit():
    table = profile("linear")
    model = fit(table, strategy="structural", params={"bit_penalty": 0, "power": 2})
    assert np.mean(np.abs(model.predict(table) / table["latency"] - 1)) < 0.1


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("shapes", [2, 3])
def test_a_learning_curve_of_hardly_any_rows(shapes, latency):
    table = tiny("linear", shapes, [(8, 8)], latency)
    curve = learning_curve(make("structural"), table, table["latency"].to_numpy(), [1, 16], repeats=2, seed=0)
    assert np.isfinite(curve["mape"]).all() and curve["rows"].max() <= shapes
    assert set(curve["sampler"]) == {"random", "lhs", "adaptive"}
    rows_needed(curve, "lhs")
