"""A training that learns nothing is no result."""

import json

import pytest
import yaml

from mico_runner import cli

SPEC = {
    "spec_version": 1,
    "name": "learns",
    "hardware": "host",
    "datasets": {"task": "digits", "validation": 200},
    "model": {"name": "mlp", "params": {"hidden": [16]}, "train": {"epochs": 2, "lr": 0.01, "batch_size": 64}},
    "steps": ["train"],
}


def run(folder, *overrides):
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(SPEC), encoding="utf-8")
    sets = [part for override in overrides for part in ("--set", override)]
    return cli.main(["run", str(path), *sets, "--outputs", str(folder / "out"), "--quiet"])


def above_chance(folder):
    metrics = json.loads((folder / "out/learns/latest/metrics.json").read_text(encoding="utf-8"))
    return metrics.get("metrics", metrics)["train.above_chance"]["value"]


def test_a_training_that_learns_keeps_the_default_gate(tmp_path):
    assert run(tmp_path) == 0
    assert above_chance(tmp_path) > 20


def test_a_training_at_chance_breaks_the_default_gate(tmp_path, capsys):
    assert run(tmp_path, "model.train.lr=1e-12") == 3
    assert "gate broken: train.above_chance is -" in capsys.readouterr().err
    assert above_chance(tmp_path) < 0
    log = (tmp_path / "out/learns/latest/log.jsonl").read_text(encoding="utf-8")
    assert "warning: the network learnt nothing" in log
    assert run(tmp_path, "model.train.lr=1e-12", "gates.'train.above_chance'=null") == 0


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_training_that_diverges_is_a_step_error(tmp_path, capsys, epochs):
    assert run(tmp_path, "model.train.lr=100", f"model.train.epochs={epochs}", "model.train.weight_decay=100") == 4
    assert "step 'train': the training diverged" in capsys.readouterr().err
