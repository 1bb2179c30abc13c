"""allocate end to end, on a small network and two accelerators."""

import json
from math import fsum

import pandas as pd
import pytest
import yaml

from mico_runner import cli

pytest.importorskip("torch")


def run(folder, hardware="bitfusion", **section):
    allocate = {"network": "resnet8", "input": [3, 32, 32], "classes": 10, "points": 6, **section}
    spec = {"spec_version": 1, "name": "alone", "hardware": hardware, "allocate": allocate}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    return cli.main(["run", str(path), "--outputs", str(folder / "out"), "--quiet"]), folder / "out/alone/latest"


@pytest.mark.parametrize("hardware", ["bitfusion", "gemmini-16x16"])
def test_bits_within_an_energy_budget(tmp_path, hardware):
    space = {"weight_bits": [2, 4, 8], "activation_bits": [4, 8], "pinned": {"0": {"weight_bits": 8}}}
    code, version = run(tmp_path, hardware, space=space, constraints={"energy": {"max": 0.85, "relative_to": "int8"}})
    assert code == 0
    metrics = json.loads((version / "metrics.json").read_text())
    metrics = metrics.get("metrics", metrics)
    layers = pd.read_csv(version / "steps/allocate/layers.csv")
    front = pd.read_csv(version / "steps/allocate/front.csv")
    assert metrics["allocate.energy_ratio"]["value"] <= 0.85
    assert metrics["allocate.energy"]["value"] == pytest.approx(layers["energy"].sum())
    assert layers["weight_bits"][0] == 8 and set(layers["weight_bits"]) <= {2, 4, 8}
    parts = pd.read_csv(version / "steps/allocate/area.csv")
    assert metrics["allocate.area"]["value"] == fsum(
        metrics[f"allocate.area.{part}"]["value"] for part in parts["part"]
    )
    trace = pd.read_csv(version / "steps/allocate/trace.csv")
    assert trace["energy_pj"].sum() == pytest.approx(metrics["allocate.energy"]["value"], rel=1e-6)
    assert list(trace["layer"].astype(str)) == list(layers["layer"].astype(str))
    ratio = metrics["allocate.energy"]["value"] / metrics["allocate.int8.energy"]["value"]
    assert ratio == pytest.approx(metrics["allocate.energy_ratio"]["value"])
    best = front[front["which"] == "front"]
    assert best["energy"].is_monotonic_increasing and best["sqnr_db"].is_monotonic_increasing
    report = (version / "report.html").read_text(encoding="utf-8")
    assert "Bits from the layers" in report and "how each layer is mapped" in report


def test_limits_that_cannot_be_met_end_the_step(tmp_path, capsys):
    assert run(tmp_path, constraints={"energy": {"max": 0.01, "relative_to": "int8"}})[0] == 4
    assert "no bits keep all limits together" in capsys.readouterr().err


def test_a_device_without_a_simulator_is_refused_before_anything_runs(tmp_path, capsys):
    assert run(tmp_path, "mico-small")[0] == 2
    assert "allocate needs a simulated accelerator" in capsys.readouterr().err
