"""A network trained at the bits that are deployed: from a spec to C."""

import json

import pytest
import yaml

from mico_runner import cli

SPEC = {
    "spec_version": 1,
    "name": "low",
    "datasets": {"task": "digits", "validation": 200},
    "model": {"name": "small-cnn", "train": {"epochs": 8, "lr": 0.01}},
    "finetune": {"epochs": 2},
    "codegen": {"bits": [1.5, 1], "ends": [8, 8]},
    "simulate": {"images": 30},
}


def run(folder, spec, *sets, command="run"):
    (folder / "low.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    overrides = [part for change in sets for part in ("--set", change)]
    return cli.main([command, str(folder / "low.yaml"), *overrides, "--outputs", str(folder / "out")])


def metrics(folder):
    content = json.loads((folder / "out/low/latest/metrics.json").read_text(encoding="utf-8"))
    return {name: metric["value"] for name, metric in content.get("metrics", content).items()}


def test_what_is_trained_is_deployed(tmp_path, capsys):
    assert run(tmp_path, SPEC) == 0, capsys.readouterr().err
    found, latest = metrics(tmp_path), tmp_path / "out/low/latest"
    assert found["finetune.gain"] > 0.5
    assert found["finetune.outputs_off_grid"] < 1
    assert found["simulate.logits_mismatches"] == 0
    bits = json.loads((latest / "steps/codegen/bits.json").read_text(encoding="utf-8"))
    first, *between, last = bits.values()
    assert first == last == [8, 8]
    assert all(pair == [1.5, 1] for pair in between)
    trained, emitted = (
        (latest / f"steps/{step}/qgraph.json").read_text(encoding="utf-8") for step in ("finetune", "codegen")
    )
    assert trained == emitted
    assert "Trained at these bits" in (latest / "report.html").read_text(encoding="utf-8")


def test_from_the_integers_and_by_all_tensors_training_gains_what_rounding_lost(tmp_path, capsys):
    assert run(tmp_path, SPEC, "finetune.start=integers", "finetune.reconstruction=1", "finetune.epochs=1") == 0, (
        capsys.readouterr().err
    )
    found = metrics(tmp_path)
    assert found["finetune.gain"] > 0.5
    assert found["simulate.logits_mismatches"] == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"codegen": None, "simulate": None},
            "finetune: needs bits to train for: add search, or codegen with its bits",
        ),
        ({"codegen": {"bits": [2, 2], "ends": [9, 8]}}, "codegen.ends[0]: found 9"),
        ({"finetune": {"distillation": 2}}, "finetune.distillation: found 2"),
        ({"finetune": {"reconstruction": -1}}, "finetune.reconstruction: found -1"),
        ({"finetune": {"start": "zero"}}, "finetune.start: found"),
    ],
)
def test_what_cannot_be_trained_is_said_before(tmp_path, capsys, changes, says):
    spec = {key: value for key, value in (SPEC | changes).items() if value is not None}
    assert run(tmp_path, spec, command="plan") == 2
    assert says in capsys.readouterr().err
