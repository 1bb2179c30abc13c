"""The two steps end to end, on as little as they take."""

import json
import os

import pandas as pd
import pytest
import yaml

from mico_runner import cli
from mico_runner.calibration import machine

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


def test_too_little_to_estimate_from_is_said(tmp_path, capsys):
    pytest.importorskip("torch")
    assert run(tmp_path, calibrate={"operations": ["view"]})[0] == 4
    assert "1 points at fp32; an estimate needs 5" in capsys.readouterr().err


@pytest.mark.slow
@needs_mirror
def test_verify_meets_the_bars_that_it_met(tmp_path):
    device = {"device": "jetson_orin_agx_maxn", "precision": "fp16"}
    code, version = run(tmp_path, verify={"devices": [device], "runs": [["i7_12700K", "intel_core_i7_12700k"]]})
    metrics = json.loads((version / "metrics.json").read_text())
    found = (
        {name: entry["value"] for name, entry in metrics.items()} if "metrics" not in metrics else metrics["metrics"]
    )
    assert code == 0
    assert found["verify.jetson_orin_agx_maxn_fp16.mape"] < 0.06
    assert found["verify.jetson_orin_agx_maxn_fp16.max_ape"] < 0.28
    assert found["verify.noise_i7_12700K.mape"] == pytest.approx(0.064, abs=0.001)  # as published with the data
    assert found["verify.noise_i7_12700K.max_ape"] == pytest.approx(0.395, abs=0.001)
    assert len(pd.read_csv(version / "steps" / "verify" / "networks.csv")) == 15


@needs_mirror
def test_verify_says_what_was_not_measured(tmp_path, capsys):
    assert run(tmp_path, verify={"devices": [{"device": "i7_12700K", "precision": "fp64"}]})[0] == 4
    assert "no rows with precision fp64; measured: fp16, fp32" in capsys.readouterr().err
