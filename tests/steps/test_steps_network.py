"""The network's latency: what its sum contains, and what it costs to be sure."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from mico_runner import graph, proxy
from mico_runner.codegen.deployment import Deployment
from mico_runner.errors import UsageError
from mico_runner.kernel_table import kernel_table
from mico_runner.quant import PTQ
from mico_runner.quant.qgraph import LayerBits
from mico_runner.steps.network import uniform
from mico_runner.steps.network_latency import Latency

PAIRS = [(w, a) for w in (2, 4, 8) for a in (2, 4, 8)]


@pytest.fixture(scope="module")
def network():
    layers = [
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 5),
    ]
    return graph.capture(torch.nn.Sequential(*layers), (1, 8, 8), "tiny")


def program(network, assignment=None):
    """What the host's program calls."""
    images = np.random.default_rng(0).random((8, *network.shapes[network.input]), dtype=np.float32)
    deployed = PTQ(network, images).quantize(assignment or uniform(network, 8, 8))
    return Deployment("host", None, "two_rows", None).lower(deployed)


def profile(*kinds):
    """A made-up device with 3 % noise."""
    rng = np.random.default_rng(0)
    rows = []
    for kind in kinds:
        for _ in range(12):
            size = {"in_h": int(rng.integers(6, 20)), "in_w": 8} if kind != "linear" else {}
            window = {"kernel_h": 2, "kernel_w": 2, "stride": 2} if kind == "max_pool2d" else {}
            window = window or ({"kernel_h": 3, "kernel_w": 3} if kind == "conv2d" else {})
            channels = int(rng.choice([1, 9, 40, 64]))
            shape = (
                size
                | window
                | {
                    "in_channels": channels,
                    "out_channels": channels if kind in ("max_pool2d", "requant") else int(rng.choice([4, 8])),
                }
            )
            pairs = PAIRS if kind not in ("max_pool2d", "requant") else [(0, 8)]
            rows += [{"kind": kind, **shape, "weight_bits": w, "act_bits": a} for w, a in pairs]
    table = kernel_table(rows)
    work = table["macs"] * table["act_bits"] + table["out_h"] * table["out_w"] * table["out_channels"] * 20 + 100
    table["latency"] = work * np.exp(rng.normal(0, 0.03, len(table)))
    table.attrs["unit"] = "cycles"
    return table


def context(tmp_path, table, calibrated=True):
    options = {"strategy": "structural"}
    errors = proxy.validate(table, **options, protocols=["group_kfold"]).predictions if calibrated else None
    proxy.fit(table, **options, calibration=errors).save(tmp_path / "model")
    (tmp_path / "fit.json").write_text('{"unit": "cycles"}', encoding="utf-8")
    metrics, lines = {}, []
    return SimpleNamespace(
        spec=SimpleNamespace(hardware="mico-small"),
        upstream=lambda step: tmp_path,
        dir=tmp_path,
        metric=lambda name, value, *rest: metrics.update({name: value}),
        log=lines.append,
        metrics=metrics,
        lines=lines,
    )


def test_kernels_without_weights_count_when_profiled(tmp_path, network):
    ctx = context(tmp_path, profile("conv2d", "linear", "max_pool2d"))
    latency = Latency(ctx, network)
    assert latency.fixed > 0
    int8 = uniform(network, 8, 8)
    table = latency.table([LayerBits(8, 8)])
    assert latency(int8) == pytest.approx(table.sum() + latency.fixed)
    assert len(latency.by_layer(int8)) == 3
    latency.report_coverage(ctx, program(network), int8)
    assert ctx.metrics["evaluate.latency_coverage"] == 100


def test_fewer_bits_of_the_networks_input_are_a_copy_that_counts_with_its_layer(tmp_path, network):
    kinds = ("conv2d", "linear", "max_pool2d")
    (tmp_path / "with").mkdir()
    table = profile(*kinds, "requant")
    with_copies = Latency(context(tmp_path / "with", table), network)
    without = Latency(context(tmp_path, table[table["kind"] != "requant"]), network)
    first, last = with_copies.layers
    int8 = uniform(network, 8, 8)
    assert with_copies(int8) == pytest.approx(without(int8))  # stored at 8 bits: no copy
    narrow = {first: LayerBits(8, 2), last: LayerBits(8, 2)}
    layers = with_copies.by_layer(narrow)
    assert layers["layer"].tolist() == [first, last, f"{network.input}.to2", network.nodes[2].name]
    copy = float(layers["latency"][2])
    assert copy > 0 and with_copies(narrow) == pytest.approx(without(narrow) + copy)
    bits = [LayerBits(8, 2), LayerBits(8, 8)]
    np.testing.assert_allclose(with_copies.table(bits) - without.table(bits), [[copy, 0], [0, 0]], atol=1e-6)
    assert with_copies.fixed == pytest.approx(without.fixed)


def test_kernels_that_were_not_profiled_are_named(tmp_path, network):
    ctx = context(tmp_path, profile("conv2d", "linear"))
    latency = Latency(ctx, network)
    latency.report_coverage(ctx, program(network), uniform(network, 8, 8))
    assert latency.fixed == 0
    assert ctx.metrics["evaluate.latency_coverage"] == pytest.approx(200 / 3)
    assert "2/3 kernel calls predicted" in ctx.lines[0] and "no max_pool2d" in ctx.lines[0]
    calls = pd.read_csv(tmp_path / "calls.csv", keep_default_na=False)
    assert calls["reason"].tolist() == ["", "the profile has no max_pool2d", ""]


class Branches(torch.nn.Module):
    """All that is no layer: a ReLU behind a concatenation, images to be transposed for a linear layer and at the end."""

    def __init__(self):
        super().__init__()
        self.left, self.right = torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.Conv2d(2, 5, 1)
        self.rows = torch.nn.Linear(6, 4)

    def forward(self, x):
        joined = torch.relu(torch.cat([self.left(x), self.right(x)], dim=1))
        return self.rows(joined)


def test_coverage_counts_every_call_that_the_program_makes(tmp_path):
    network = graph.capture(Branches(), (2, 6, 6), "branches")
    ctx = context(tmp_path, profile("conv2d", "linear"))
    latency = Latency(ctx, network)
    lowered, int8 = program(network), uniform(network, 8, 8)
    calls = latency.coverage(lowered, int8)
    assert calls["call"].tolist() == [call.name for call in lowered.calls]
    assert {"concat", "requant", "transpose"} <= set(calls["kernel"])
    assert (calls["latency"].isna() == (calls["reason"] != "")).all()
    assert calls["latency"].sum() == pytest.approx(latency(int8))
    latency.report_coverage(ctx, lowered, int8)
    assert ctx.metrics["evaluate.latency_coverage"] == pytest.approx(100 * 3 / len(lowered.calls))
    for kernel in ("concat", "requant", "transpose"):
        assert f"the profile has no {kernel}" in ctx.lines[0]


def test_a_relu_that_stands_alone_is_a_copy_that_counts(tmp_path):
    network = graph.capture(Branches(), (2, 6, 6), "branches")
    ctx = context(tmp_path, profile("conv2d", "linear", "requant"))
    latency = Latency(ctx, network)
    calls = latency.coverage(program(network), uniform(network, 8, 8))
    assert latency.fixed > 0
    assert calls.loc[calls["kernel"] == "requant", "latency"].tolist() == [pytest.approx(latency.fixed)]


@pytest.mark.parametrize("weight, activation", [(8, 8), (4, 2), (1, 1)])
def test_the_copies_of_narrow_layers_are_calls(tmp_path, network, weight, activation):
    ctx = context(tmp_path, profile("conv2d", "linear", "max_pool2d", "requant"))
    assignment = uniform(network, weight, activation)
    latency = Latency(ctx, network)
    calls = latency.coverage(program(network, assignment), assignment)
    assert not calls["latency"].isna().any()
    assert calls["latency"].sum() == pytest.approx(latency(assignment))


def test_a_weighted_layer_without_predictor_is_an_error(tmp_path, network):
    latency = Latency(context(tmp_path, profile("conv2d")), network)
    with pytest.raises(UsageError, match="linear"):
        latency(uniform(network, 8, 8))


def test_layers_outside_the_profile_are_named(tmp_path, network):
    table = profile("conv2d", "linear", "max_pool2d")
    ctx = context(tmp_path, table[(table["kind"] != "linear") | (table["in_channels"] < 30)])
    Latency(ctx, network).report_coverage(ctx, program(network), uniform(network, 8, 8))
    assert ctx.metrics["evaluate.extrapolating_layers"] == 50
    assert "50 % of the layers extrapolate" in ctx.lines[1]


def test_less_risk_needs_more_time(tmp_path, network):
    ctx = context(tmp_path, profile("conv2d", "linear", "max_pool2d"))
    int8 = uniform(network, 8, 8)
    expected, safe, safer = (Latency(ctx, network, risk)(int8) for risk in (None, 0.8, 0.95))
    assert expected < safe < safer < 1.5 * expected


def test_risk_needs_errors_on_unseen_shapes(tmp_path, network):
    ctx = context(tmp_path, profile("conv2d", "linear"), calibrated=False)
    with pytest.raises(UsageError, match="no intervals"):
        Latency(ctx, network, 0.9)(uniform(network, 8, 8))
