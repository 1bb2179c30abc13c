"""Whole networks on devices that have measured few of them."""

import numpy as np
import pandas as pd
import pytest

from mico_runner import spec
from mico_runner.data import network_table
from mico_runner.data.network_table import NetworkTable, Split
from mico_runner.errors import UnknownName, UsageError
from mico_runner.pipeline import running
from mico_runner.pipeline.running import Options as RunOptions
from mico_runner.proxy import persist
from mico_runner.proxy.networks import process
from mico_runner.proxy.networks.choosing import at_random, d_optimal
from mico_runner.proxy.networks.few_shot import space
from mico_runner.proxy.networks.prior import one_hot, prior
from mico_runner.proxy.networks.validate import Options, geometric_mean, summary, validate
from mico_runner.proxy.strategies.network_transfer import NetworkTransfer

POSITIONS, OPERATIONS = 5, 3


def devices(count=160, seed=0, noise=0.02, families=4):
    """Networks whose latency is a sum over positions; devices differ by what an operation costs everywhere, as real ones do."""
    rng = np.random.default_rng(seed)
    architecture = rng.integers(0, OPERATIONS, (count, POSITIONS))
    scale = rng.uniform(0.5, 2, POSITIONS)
    latency = {}
    for number in range(families + 2):
        costs = scale[:, None] * rng.uniform(0.2, 2, OPERATIONS)
        exact = 5 + costs[np.arange(POSITIONS), architecture].sum(axis=1)
        latency[f"d{number}"] = exact * np.exp(rng.normal(0, noise, count))
    return NetworkTable(architecture, latency, {}, {})


def frame(table):
    return pd.DataFrame(table.architecture, columns=[f"op{n}" for n in range(POSITIONS)]).assign(**table.latency)


SPLIT = {"own": Split(("d0", "d1", "d2", "d3"), ("d4", "d5"))}
OPTIONS = Options(samples=(8,), choose="d_optimal", source_rows=60, draws=3, seed=0)


def test_few_networks_rank_all_others():
    """Eight measurements of a device on which fifteen costs are unknown; without the sources they say little."""
    outcome = validate(devices(), SPLIT, OPTIONS)
    found = summary(outcome.tests).iloc[0]
    assert found["spearman"] > 0.93 and found["mape"] < 0.06 and found["low"] <= found["spearman"] <= found["high"]
    assert 0.8 < found["coverage"] <= 1
    assert set(outcome.tests["networks"]) == {160 - 60 - 8}, "nothing is tested that was learned from"
    assert list(outcome.embedding["role"]) == ["source"] * 4 + ["target"] * 2
    assert len(outcome.chosen) == 2 * 8, "of the first draw"


def test_sources_are_worth_something():
    table = devices()
    shuffled = {name: np.random.default_rng(1).permutation(table.latency[name]) for name in SPLIT["own"].sources}
    unrelated = NetworkTable(table.architecture, table.latency | shuffled, {}, {})
    with_sources, without = (
        summary(validate(each, SPLIT, OPTIONS).tests)["spearman"][0] for each in (table, unrelated)
    )
    assert with_sources > without + 0.02


def test_the_chosen_networks_leave_less_unknown_than_random_ones():
    table = devices()
    known = space(table.architecture, [table.latency[name] for name in SPLIT["own"].sources], np.arange(80))
    covariance = known.prior.known + known.prior.own
    rng = np.random.default_rng(0)

    def log_determinant(rows):
        x = known.features[rows]
        return np.linalg.slogdet(x @ covariance @ x.T + 0.03 * np.eye(len(rows)))[1]

    chosen = d_optimal(known.features, covariance, 6, rng)
    assert len(set(chosen.tolist())) == 6
    drawn = [log_determinant(at_random(known.features, covariance, 6, rng)) for _ in range(20)]
    assert log_determinant(chosen) > max(drawn)


def test_the_posterior_is_that_of_the_joint_gaussian(monkeypatch):
    """At one grid point: the conditional mean and variance of a Gaussian vector, computed in full."""
    monkeypatch.setattr(process, "PARTS", (1.0,))
    monkeypatch.setattr(process, "NOISES", (0.1,))
    table = devices(count=30)
    features = one_hot(table.architecture, OPERATIONS)
    known = prior(features, [table.latency["d0"], table.latency["d1"]], OPERATIONS)
    measured, asked = np.arange(10), np.arange(10, 30)
    y = table.latency["d4"][measured]
    found = process.posterior(features[measured], y, known)

    covariance = process.BASE + features @ (known.known + known.own) @ features.T
    inverse = np.linalg.inv(covariance[:10, :10] + 0.2 * np.eye(10))
    z = (y - y.mean()) / y.std()
    mean = y.mean() + y.std() * covariance[10:, :10] @ inverse @ z
    np.testing.assert_allclose(found.predict(features[asked]), mean, rtol=1e-8)
    scale = y.var() * (z @ inverse @ z) / 10
    variance = scale * np.diag(covariance[10:, 10:] - covariance[10:, :10] @ inverse @ covariance[:10, 10:])
    low, high = found.interval(features[asked], 0.9)
    half = process.stats.t.ppf(0.95, 10) * np.sqrt(variance + 0.2 * scale)
    np.testing.assert_allclose((high - low) / 2, half, rtol=1e-6)


def test_strategy_keeps_the_contract(tmp_path):
    table = frame(devices())
    latency = table["d5"].to_numpy()
    few = np.where(np.arange(len(table)) % 10 == 0, latency, np.nan)
    fitted = NetworkTransfer(sources=["d0", "d1", "d2", "d3"]).fit(table, few)
    whole = fitted.predict(table)
    assert (whole > 0).all() and np.abs(whole / latency - 1).mean() < 0.08
    assert np.array_equal(fitted.predict(table.iloc[::-1]), whole[::-1]), "no prediction depends on other rows"
    shuffled = table[sorted(table.columns, reverse=True)]
    assert np.array_equal(fitted.predict(shuffled), whole), "columns are read by name"
    persist.save(tmp_path, {"it": fitted})
    assert np.array_equal(persist.load(tmp_path)["it"].predict(table), whole)
    low, high = fitted.interval(table)
    assert ((low <= whole) & (whole <= high)).all()
    scaled = NetworkTransfer(sources=["d0", "d1", "d2", "d3"]).fit(table, 1000 * few)
    np.testing.assert_allclose(scaled.predict(table), 1000 * whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "none is named"),
        ({"sources": ["d9"]}, "'d9' is no column"),
    ],
)
def test_strategy_says_what_is_missing(params, text):
    table = frame(devices(count=10))
    with pytest.raises(UsageError, match=text):
        NetworkTransfer(**params).fit(table, table["d0"].to_numpy())


def test_strategy_refuses_an_operation_that_it_never_saw():
    table = frame(devices())
    fitted = NetworkTransfer(sources=["d0"]).fit(table, table["d1"].to_numpy())
    with pytest.raises(UsageError, match="operation 7 is in no network"):
        fitted.predict(table.assign(op0=7))


def test_a_device_with_too_few_latencies_is_said():
    table = devices()
    table.latency["d5"][9:] = np.nan
    with pytest.raises(
        UsageError, match=r"d5 has \d latencies of networks that the sources do not learn from; allowed: 10"
    ):
        validate(table, SPLIT, OPTIONS)
    with pytest.raises(UnknownName, match="unknown device of the networks 'e5'"):
        validate(table, {"own": Split(("d0",), ("e5",))}, OPTIONS)


def test_geometric_mean():
    assert geometric_mean([0.25, 1.0]) == pytest.approx(0.5)
    assert geometric_mean([0.9, -0.1]) == 0


def write_csv(path, table, cut=()):
    rows = frame(table)
    for device in cut:
        rows.loc[rows.index[40:], device] = np.nan
    rows.to_csv(path, index=False)
    return path


def test_own_files_in_both_forms(tmp_path):
    table = devices(count=20)
    table.latency["d5"][3] = np.nan
    read = network_table.load_networks(str(write_csv(tmp_path / "own.csv", table)))
    np.savez(tmp_path / "own.npz", architecture=table.architecture, **table.latency)
    other = network_table.load_networks(str(tmp_path / "own.npz"))
    for found in (read, other):
        assert np.array_equal(found.architecture, table.architecture)
        np.testing.assert_allclose(found.measured("d5"), table.latency["d5"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"own\.csv:1: found columns a, b; allowed: op0, op1, ... and devices"),
        ("op0,op2,d\n1,2,3\n", r":1: found columns op0, op2, d"),
        ("op0,d\n", "no networks"),
        ("op0\n1\n", "no device"),
        ("op0,d,d\n1,2,3\n", ":1: column 'd' is there twice"),
        ("op0,d\n1\n", ":2: 1 values; allowed: 2"),
        ("op0,d\n-1,2\n", ":2: column 'op0': found '-1'; allowed: a whole number"),
        ("op0,d\n1,0\n", ":2: column 'd': found '0'; allowed: a positive latency"),
        ("op0,d\n1,2\n\n1,slow\n", ":4: column 'd': found 'slow'"),
        ("op0,d\n1,inf\n", ":2: column 'd': found 'inf'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        network_table.load_networks(str(tmp_path / "own.csv"))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"d": np.ones(2)}, "no array 'architecture'"),
        ({"architecture": np.ones((2, 2)), "d": np.ones(2)}, r"shape \(2, 2\) of float64; allowed"),
        ({"architecture": np.ones((2, 2), int), "d": np.ones(3)}, r"array 'd' has shape \(3,\)"),
        ({"architecture": np.ones((2, 2), int), "d": np.array([1, -1.0])}, "array 'd', network 1: found -1.0"),
    ],
)
def test_what_is_wrong_with_arrays_is_said(tmp_path, arrays, message):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(UsageError, match=message):
        network_table.load_networks(str(tmp_path / "own.npz"))


def own_spec(folder, **params):
    write_csv(folder / "own.csv", devices(), cut=["d5"])
    options = {"sources": ["d0", "d1", "d2", "d3"], "targets": ["d5"], "samples": 8, "source_rows": 40, "draws": 2}
    text = f"""
spec_version: 1
name: own
datasets: {{profile: [own.csv]}}
proxy: {{strategy: network-transfer, params: {options | params}}}
"""
    (folder / "own.yaml").write_text(text)
    return folder / "own.yaml"


def test_a_device_of_ones_own(tmp_path):
    """It measured 40 networks; the run says what the others take."""
    options = RunOptions(outputs=tmp_path / "out", quiet=True)
    version = running.run(spec.load(own_spec(tmp_path)).data, options).version
    predicted = pd.read_csv(version / "steps/fit/predictions.csv")
    truth = devices().latency["d5"][40:]
    assert list(predicted["network"]) == list(range(40, 160))
    assert np.abs(predicted["predicted"] / truth - 1).mean() < 0.05
    assert ((predicted["lower"] <= truth) & (truth <= predicted["upper"])).mean() > 0.8
    assert "Networks on new devices" in (version / "report.html").read_text()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"targets": ["d55"]}, "d55"),
        ({"splits": ["FD"]}, "one of the two ways"),
        ({"samples": 1}, "samples"),
        ({"choose": "best"}, "choose"),
    ],
)
def test_a_spec_is_checked_before_it_runs(tmp_path, params, message):
    with pytest.raises(UsageError, match=message):
        spec.load(own_spec(tmp_path, **params))


def test_whole_networks_have_no_kernels_to_search_with(tmp_path):
    with pytest.raises(UsageError, match="knows whole networks, no kernels; leave out search"):
        spec.load("quickstart", ["proxy={strategy: network-transfer, params: {splits: [FD]}}"])
    with pytest.raises(UsageError, match="stands alone"):
        spec.load("devices-fbnet", ["proxy.compare=[{strategy: lut}]"])
