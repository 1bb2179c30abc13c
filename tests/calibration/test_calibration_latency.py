"""Latency estimates: exact where the truth has the model's form, careful where it was not measured, honest about what was left out."""

import numpy as np
import pandas as pd
import pytest

from mico_runner.calibration import latency as latency_module
from mico_runner.calibration.latency import CANDIDATES, Settings, SubgraphLatency, Table
from mico_runner.calibration.leave_one_out import by_operation, leave_one_model_out, noise_floor, select
from mico_runner.errors import UnknownName, UsageError

WIDTHS = (64, 96, 128, 200, 256, 384, 512)


def networks(count: int = 5, factor: float = 1.0, device: str = "toy") -> pd.DataFrame:
    """Networks of linear layers and additions whose latency is 10 us a launch, 1 us per 1e5 MACs, 1 us per 1e4 weights (linear only)."""
    rows = []
    for m in range(count):
        for i, (ins, outs) in enumerate(zip(WIDTHS, np.roll(WIDTHS, m + 1), strict=True)):
            tokens = 4 * (m + 1)
            ms = factor * (0.010 + 1e-8 * ins * outs * tokens + 1e-7 * ins * outs)
            rows.append(
                (f"net{m}", 2 * i, "Unfused", "fc", 2 * ins * outs * tokens, ins * outs, (ins + outs) * tokens, ms)
            )
            rows.append((f"net{m}", 2 * i + 1, "Unfused", "add", outs, 0, 3 * outs, 0.010 * factor))
    columns = ["model", "subgraph_id", "fusion_pattern", "node_names", "flops", "weights", "activations", "lat_mean_ms"]
    table = pd.DataFrame(rows, columns=columns).assign(hardware=device, precision="fp32", batch=1, samples=10)
    return table.assign(lat_max_ms=table["lat_mean_ms"])


@pytest.fixture(scope="module")
def fitted():
    rows = networks()
    table = Table.of(rows)
    return SubgraphLatency().fit(table, rows["lat_mean_ms"].to_numpy(), (0.3,)), table, rows


def test_structure_recovers_a_latency_of_its_own_form(fitted):
    model, table, rows = fitted
    np.testing.assert_allclose(model.structure(table), rows["lat_mean_ms"], rtol=0.02)


def test_contributions_explain_the_structure_to_the_last_digit(fitted):
    model, table, _ = fitted
    parts = model.contributions(table)
    assert (parts >= 0).all(axis=None)
    np.testing.assert_allclose(parts.sum(axis=1), model.structure(table))


def test_explanation_ends_with_the_prediction_and_flags_extrapolation(fitted):
    model, table, rows = fitted
    far = Table.of(
        rows.iloc[:1].assign(flops=rows["flops"].iloc[0] * 10**6, activations=rows["activations"].iloc[0] * 10**6)
    )
    settings = Settings(1.0, 0.3, 0.3)
    assert "EXTRAPOLATED" in model.explain(far, 0, settings)
    text = model.explain(table, 0, settings)
    assert "EXTRAPOLATED" not in text
    assert text.splitlines()[-1].split()[0] == f"{model.predict(table, settings)[0]:.2f}"


def test_an_unmeasured_operator_costs_its_family_s_launch_not_nothing(fitted):
    model, _, rows = fitted
    strange = Table.of(rows.iloc[1:2].assign(node_names="softmax"))
    assert model.structure(strange)[0] > 0.005


def test_prediction_of_taken_rows_is_the_taken_prediction(fitted):
    model, table, _ = fitted
    some = np.array([7, 2, 30])
    for settings in (Settings(0.0), Settings(0.5, 0.3, 0.3)):
        np.testing.assert_allclose(model.predict(table.take(some), settings), model.predict(table, settings)[some])


def test_leaving_each_network_out_finds_the_rule_that_all_follow():
    outcome = leave_one_model_out(networks())
    assert len(outcome.models) == 5 and outcome.max_ape < 0.05
    assert outcome.subgraphs["predicted_ms"].notna().all()
    assert by_operation(outcome.subgraphs)["share"].sum() == pytest.approx(1)


def test_the_network_left_out_has_no_part_in_its_own_prediction():
    rows = networks()
    slow = rows.assign(lat_mean_ms=np.where(rows["model"] == "net2", 7, 1) * rows["lat_mean_ms"])
    slow["lat_max_ms"] = slow["lat_mean_ms"]
    one = [
        leave_one_model_out(r, candidates=(Settings(0.5, 0.0, 0.3),)).models.set_index("model") for r in (rows, slow)
    ]
    assert one[0].loc["net2", "predicted_ms"] == one[1].loc["net2", "predicted_ms"]
    assert one[0].loc["net1", "predicted_ms"] != one[1].loc["net1", "predicted_ms"]


def test_the_choice_of_settings_does_not_see_the_network_left_out():
    rows = networks()
    chosen = leave_one_model_out(rows).models.set_index("model")["settings"]
    noisy = rows.assign(lat_mean_ms=np.where(rows["model"] == "net0", rows.index + 1, 1) * rows["lat_mean_ms"])
    noisy["lat_max_ms"] = noisy["lat_mean_ms"]
    assert leave_one_model_out(noisy).models.set_index("model").loc["net0", "settings"] == chosen["net0"]
    assert set(chosen) <= {str(c) for c in CANDIDATES}


def varied(slow: float = 1.0) -> pd.DataFrame:
    """The toy networks with five more kinds of operators, so that a network has seven regimes; the first one `slow` times as long."""
    rows, parts = networks(7), []
    for i, name in enumerate(("mul", "softmax", "einsum", "permute_3", "eq")):
        extra = rows[rows["node_names"] == "add"].assign(node_names=name)
        parts.append(extra.assign(subgraph_id=extra["subgraph_id"] + 1000 * (i + 1), lat_mean_ms=0.004 * (i + 1)))
    rows = pd.concat([rows, *parts], ignore_index=True)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.02, len(rows)))
    rows["lat_mean_ms"] *= noise * np.where(rows["model"] == "net0", slow, 1)
    return rows.assign(lat_max_ms=rows["lat_mean_ms"])


def test_a_network_measured_on_a_disturbed_machine_is_found_and_corrected():
    clean, disturbed = varied(), varied(1.8)
    table = Table.of(clean)
    assert SubgraphLatency().fit(table, clean["lat_mean_ms"].to_numpy()).speeds == {}
    model = SubgraphLatency().fit(table, disturbed["lat_mean_ms"].to_numpy())
    assert model.speeds == pytest.approx({"net0": 1.8}, rel=0.1)
    np.testing.assert_allclose(model.structure(table).sum(), clean["lat_mean_ms"].sum(), rtol=0.02)


def test_one_slow_kind_of_operator_is_not_a_disturbed_machine():
    rows = varied()
    slow = (rows["model"] == "net0") & (rows["node_names"] == "fc")  # most of its time, but one regime of seven
    rows.loc[slow, "lat_mean_ms"] *= 1.8
    assert SubgraphLatency().fit(Table.of(rows), rows["lat_mean_ms"].to_numpy()).speeds == {}


def test_launches_of_one_family_inform_each_other(monkeypatch):
    ops = pd.DataFrame({"op": ["act_ReLU"] * 30 + ["act_SiLU"] * 3, "row": range(33)})
    zeros = ("macs", "weights", "reduction", "in_channels", "out_channels", "elements")
    ops = ops.assign(launches=1).assign(**dict.fromkeys(zeros, 0.0))
    latency = np.r_[np.full(30, 1.0), np.full(3, 1.05)]
    subgraphs = pd.DataFrame({"model": [f"net{i}" for i in range(33)], "fusion_pattern": ops["op"]})
    table = Table(subgraphs, ops, ops["op"].to_numpy(str), np.zeros((33, 3)))
    launch = {}
    for strength in (0.0, 3.0, 1e4):
        monkeypatch.setattr(latency_module, "FAMILY_RIDGE", strength)
        model = SubgraphLatency().fit(table, latency)
        launch[strength] = dict(zip(model.classes, model.launch, strict=True))
        assert launch[strength]["act_ReLU"] == pytest.approx(1, rel=0.01)  # what was measured often stays
    assert launch[0.0]["act_SiLU"] == pytest.approx(1.05, rel=0.001)
    assert 1.0 < launch[1e4]["act_SiLU"] < launch[3.0]["act_SiLU"] < launch[0.0]["act_SiLU"]


def test_too_few_networks_are_refused():
    with pytest.raises(UsageError, match="2 networks"):
        leave_one_model_out(networks(2))


def test_selection_names_what_was_not_measured():
    rows = networks()
    with pytest.raises(UnknownName, match="toy"):
        select(rows, "tory", "fp32", [1])
    with pytest.raises(UsageError, match="no rows with batch 4; measured: 1"):
        select(rows, "toy", "fp32", [1, 4])


def test_noise_floor_compares_the_networks_that_both_runs_have():
    both = pd.concat([networks(3), networks(2, 1.25, "again")])
    noise = noise_floor(both, "toy", "again", "fp32", 1)
    assert noise["model"].tolist() == ["net0", "net1"]
    np.testing.assert_allclose(noise["error"], 0.25)
