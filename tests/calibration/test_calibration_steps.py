"""The two steps end to end, on as little as they take."""

import json
import os

import pandas as pd
import pytest
import yaml

from mico_runner import cli, outputs
from mico_runner.calibration import cases, device_curves, machine
from mico_runner.outputs import store
from mico_runner.steps.base import Metric
from mico_runner.steps.calibrate import REPEATS_MAPE


def _conv():
    counts = {"op": "conv_pw", "launches": 1, "macs": 1e7, "weights": 4e3, "elements": 3e5, "reduction": 64}
    return pd.DataFrame([counts | {"in_channels": 64, "out_channels": 64}])


needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")


def run(folder, **sections):
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"spec_version": 1, "name": "few", **sections}), encoding="utf-8")
    code = cli.main(["run", str(path), "--outputs", str(folder / "out"), "--quiet"])
    return code, folder / "out" / "few" / "latest"


def test_calibrate_writes_a_profile_with_samples_and_curves(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setitem(machine.SECONDS_PER_CASE, "quick", 0.01)
    code, version = run(tmp_path, calibrate={"operations": ["add", "act_ReLU"], "networks": []})
    assert code == 0
    profile = json.loads((version / "steps" / "calibrate" / "profile.json").read_text())
    assert set(profile["operations"]) == {"add/fp32", "act_ReLU/fp32"}
    assert profile["environment"]["threads"] == 1 and len(profile["samples_s"]) == 18
    assert profile["operations"]["add/fp32"]["curve"]["provenance"] == "measured"
    short = yaml.safe_load((version / "steps" / "calibrate" / "profile.yaml").read_text())
    assert short == {k: v for k, v in profile.items() if k != "samples_s"}


@pytest.fixture
def quick(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setitem(machine.SECONDS_PER_CASE, "quick", 0.002)
    small = [c for c in cases.Plan().cases() if c.flops < 3e8 and c.bytes < 8e6]  # enough of each for a curve
    monkeypatch.setattr(cases.Plan, "cases", lambda plan: [c for c in small if c.op in plan.operations])


def metrics_of(version):
    return {name: entry["value"] for name, entry in json.loads((version / "metrics.json").read_text()).items()}


def test_networks_are_judged_beside_rooflines_and_a_file_of_assumed_curves(tmp_path, quick):
    old = {"flops": [1e6, 1e9], "measured_efficiency": [0.1, 0.6], "std_dev": 0.05, "interpolation": "linear"}
    (tmp_path / "old.json").write_text(json.dumps(dict.fromkeys(("conv2d", "depthwise", "matmul"), old)))
    code, version = run(tmp_path, calibrate={"networks": ["mobilenet_v3_small"]}, efficiency_curves="old.json")
    assert code == 0
    folder = version / "steps" / "calibrate"
    row = pd.read_csv(folder / "networks.csv").iloc[0]
    for name in ("predicted_s", "roofline_s", "datasheet_s", "given_s", "measured_s"):
        assert row[name] > 0
    assert row["datasheet_s"] < row["given_s"]
    judged = json.loads((folder / "profile.json").read_text())["validation"]
    assert judged["networks"] == ["mobilenet_v3_small"] and sum(judged["grades"].values()) == 1
    assert {"best_operation", "worst_operation", "roofline_mape", "given_mape"} <= set(judged)
    trace = (
        folder / "trace.txt"
    ).read_text()  # of the prediction: its last line is what the network is predicted to take
    assert "macs conv_pw" in trace and "±" in trace and f"sum: {1e3 * row['predicted_s']:.3g} ms" in trace
    inside = pd.read_csv(folder / "operators.csv")
    assert inside["off_s"].is_monotonic_decreasing and len(inside) == row["operators"]
    assert inside["measured_s"].sum() == pytest.approx(row["inside_s"], rel=1e-3)
    classes = pd.read_csv(folder / "classes.csv")
    assert classes["off_s"].sum() == pytest.approx(inside["off_s"].sum(), rel=1e-3) and classes[
        "share"
    ].sum() == pytest.approx(1)
    assert f"calibrate: {classes['op'][0]} is predicted worst" in (version / "log.jsonl").read_text()
    (made,) = device_curves.load(folder / "curves.yaml").values()
    assert made.provenance == "measured" and made.model.predict(_conv()) > 0
    assert metrics_of(version)["calibrate.networks.given_mape"] == pytest.approx(judged["given_mape"])
    assert "assumed" in (version / "report.html").read_text()


def test_a_calibration_is_compared_with_the_previous_one(tmp_path, quick):
    few = {"operations": ["add", "act_ReLU"], "write_to": "first"}
    assert run(tmp_path, calibrate=few)[0] == 0
    kept = tmp_path / "first" / "profile.json"
    before = json.loads(kept.read_text())
    for point in before["operations"]["add/fp32"]["points"]:
        point["seconds"] /= 100
    kept.write_text(json.dumps(before))
    code, version = run(tmp_path, calibrate=few | {"compare": "first/profile.json", "write_to": None})
    assert code == 0
    changes = pd.read_csv(version / "steps" / "calibrate" / "comparison.csv").set_index("operation")
    assert changes.loc["add/fp32", "ratio"] > 10
    after = json.loads((version / "steps" / "calibrate" / "profile.json").read_text())
    assert "add/fp32" in after["previous"]["slower"] and after["previous"]["measured"] == before["measured"]


def test_a_worse_error_of_the_networks_fails_the_diff(tmp_path):
    for name, value in (("before", 0.08), ("worse", 0.15), ("alike", 0.1)):
        (tmp_path / name).mkdir()
        metric = Metric(value, "ratio", "lower", REPEATS_MAPE)
        store.write_metrics(tmp_path / name, {"calibrate.networks.mape": metric})
    assert outputs.diff(tmp_path / "before", tmp_path / "worse").regressed
    assert not outputs.diff(tmp_path / "before", tmp_path / "alike").regressed


def test_a_file_of_curves_that_does_not_do_is_said_before_measuring(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(machine, "measure", lambda *a: pytest.fail("measured"))
    (tmp_path / "old.json").write_text(json.dumps({"conv2d": {"flops": [1e6], "measured_efficiency": [0.1]}}))
    code, _ = run(tmp_path, calibrate={"networks": ["resnet18"]}, efficiency_curves="old.json")
    assert code != 0 and "unknown efficiency curve 'conv_dw'" in capsys.readouterr().err


def test_a_precision_that_the_processor_lacks_is_said(tmp_path, quick, monkeypatch, capsys):
    monkeypatch.setattr("mico_runner.machine.CPUINFO", tmp_path / "none")
    code, version = run(tmp_path, calibrate={"operations": ["add", "act_ReLU"], "precisions": ["fp32", "bf16"]})
    assert code == 0 and "bf16 is not measured" in (version / "log.jsonl").read_text()
    profile = json.loads((version / "steps" / "calibrate" / "profile.json").read_text())
    assert set(profile["peaks"]) == {"fp32"}


def test_too_little_to_estimate_from_is_said(tmp_path, capsys):
    pytest.importorskip("torch")
    assert run(tmp_path, calibrate={"operations": ["view"]})[0] == 4
    assert "1 points at fp32; an estimate needs 5" in capsys.readouterr().err


@pytest.mark.slow
@needs_mirror
@pytest.mark.parametrize(
    ("device", "precision", "mape"),
    [("i7_12700K", "fp32", 0.09), pytest.param("jetson_orin_agx_maxn", "fp16", 0.06, marks=pytest.mark.nightly)],
)
def test_verify_meets_the_bars_that_it_met(tmp_path, device, precision, mape):
    devices = [{"device": device, "precision": precision}]
    code, version = run(tmp_path, verify={"devices": devices, "runs": [["i7_12700K", "intel_core_i7_12700k"]]})
    metrics = json.loads((version / "metrics.json").read_text())
    found = (
        {name: entry["value"] for name, entry in metrics.items()} if "metrics" not in metrics else metrics["metrics"]
    )
    assert code == 0
    assert found[f"verify.{device}_{precision}.mape"] < mape
    if device == "i7_12700K":
        assert found["verify.noise_i7_12700K_fp32.mape"] == pytest.approx(
            0.064, abs=0.001
        )  # as published with the data
        assert found["verify.noise_i7_12700K_fp32.max_ape"] == pytest.approx(0.395, abs=0.001)
    else:
        assert found["verify.jetson_orin_agx_maxn_fp16.max_ape"] < 0.28
    folder = version / "steps" / "verify"
    assert len(pd.read_csv(folder / "networks.csv")) == 15
    judged = json.loads((folder / "validation.json").read_text())[f"{device}_{precision}"]
    assert sum(judged["grades"].values()) == 15 and judged["mape"] == found[f"verify.{device}_{precision}.mape"]
    assert judged["best_operation"]["error"] < judged["worst_operation"]["error"]
    page = (version / "report.html").read_text()
    assert "Networks left out" in page and f"{device} {precision}" in page


@needs_mirror
def test_verify_says_what_was_not_measured(tmp_path, capsys):
    assert run(tmp_path, verify={"devices": [{"device": "i7_12700K", "precision": "fp64"}]})[0] == 4
    assert "no rows with precision fp64; measured: fp16, fp32" in capsys.readouterr().err
