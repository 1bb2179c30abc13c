"""Every simulated accelerator in a whole run: its own profile, the analytical predictor, a search over latency, energy and EDP, the
simulator's word on the result, its area."""

import json
from math import fsum

import pandas as pd
import pytest
import yaml

from mico_runner import cli, hardware

pytest.importorskip("torch")
DEVICES = [name for name in hardware.names() if hardware.load(name).simulated]
KERNELS = {"linear": {"in_channels": [8, 256], "out_channels": [4, 64]}}
PROFILE = {"shapes": 3, "bits": {"weight": [2, 8], "activation": [8]}, "kernels": KERNELS}


def spec(device, **search):
    kind = hardware.load(device).kind
    space = {"weight_bits": [2, 8], "activation_bits": [8]}
    return {
        "spec_version": 1,
        "name": "every",
        "extends": f"templates/{device}.yaml",
        "seed": 1,
        "datasets": {"task": "digits", "validation": 200},
        "model": {"name": "mlp", "train": {"epochs": 2, "batch_size": 64}},
        "profile": {"target": kind, **PROFILE},
        "proxy": {"strategy": "analytical", "params": {"hardware": device}},
        "search": {"space": space, "budget": {"evaluations": 8}, **search},
        "simulate": {"target": kind},
    }


def run(folder, described):
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(described), encoding="utf-8")
    code = cli.main(["run", str(path), "--outputs", str(folder / "out"), "--quiet"])
    version = folder / "out/every/latest"
    metrics = json.loads((version / "metrics.json").read_text(encoding="utf-8")) if code == 0 else {}
    return code, version, {name: figure["value"] for name, figure in metrics.get("metrics", metrics).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all devices: the network is trained once."""
    return tmp_path_factory.mktemp("accelerators")


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_every_accelerator_in_a_whole_run(device, folder):
    objectives = ["accuracy", "latency", "energy", "edp"]
    limits = {name: {"max": 1.0, "relative_to": "int8"} for name in objectives[1:]}
    code, version, metrics = run(folder, spec(device, objectives=objectives, constraints=limits))
    assert code == 0
    # The predictor is the simulator: what was searched is what is simulated.
    assert metrics["simulate.latency_error"] == 0 and metrics["simulate.latency"] > 0
    trace = pd.read_csv(version / f"steps/simulate/{hardware.load(device).kind}.csv")
    assert metrics["simulate.latency"] == trace["cycles"].sum()
    assert metrics["simulate.energy"] == pytest.approx(trace["energy_pj"].sum())
    assert 0 < metrics["simulate.utilisation"] <= 1
    assert metrics["search.energy"] == pytest.approx(trace["energy_pj"].sum())
    assert metrics["search.edp"] == pytest.approx(metrics["search.energy"] * metrics["search.latency"])
    assert max(metrics[f"search.{name}_ratio"] for name in ("latency", "energy", "edp")) <= 1
    area = hardware.area_of(hardware.load(device))
    parts = [value for name, value in metrics.items() if name.startswith("simulate.area.")]
    assert metrics.get("simulate.area") == area.um2 and (not parts or fsum(parts) == area.um2)
    if area.um2 is None:
        log = (version / "log.jsonl").read_text(encoding="utf-8")
        assert f"area of {device}: not known, its profile has no figure for {', '.join(area.missing)}" in log


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_each_objective_alone_takes_the_cheapest_network(objective, folder):
    """Without a limit on accuracy, and with the objective first, what is chosen is the least of the whole front."""
    code, version, metrics = run(folder, spec("tpu-like", objectives=[objective, "accuracy"], constraints={}))
    assert code == 0
    front = pd.read_csv(version / "steps/search/front.csv")
    assert metrics[f"search.{objective}"] == pytest.approx(front[objective].min())
