"""tune end to end, on files of one's own, and what a spec may say."""

import json

import pandas as pd
import pytest
import yaml

from mico_runner import cli, spec
from mico_runner.errors import StepSkipped
from mico_runner.testing.policies import NAMES, made_up_trace
from mico_runner.tune import meters

JOB = {"name": "small", **NAMES, "target": 0.5, "max_epochs": 60, "batch": 512}
TRAINING = {
    "name": "own",
    "file": "train.py",
    "entry": "train",
    "batches": [8, 16],
    "batch": 16,
    "target": 1,
    "max_epochs": 5,
}


def written(folder, **section):
    trace = made_up_trace()
    trace.runs.to_csv(folder / "runs.csv", index=False)
    trace.power.to_csv(folder / "power.csv", index=False)
    (folder / "train.py").write_text("def train(batch, seed):\n    yield None\n    yield 1.0\n")
    tune = {"files": [{"name": "lab", "runs": "runs.csv", "power": "power.csv"}], "jobs": [JOB], "seeds": 1, **section}
    tune["budget"] = {"runs": 5}
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"spec_version": 1, "name": "tuned", "tune": tune}), encoding="utf-8")
    return path


def test_a_trace_of_ones_own(tmp_path):
    path = written(tmp_path, compare=["zeus"], eta=1.0)
    assert cli.main(["run", str(path), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    version = tmp_path / "out/tuned/latest"
    metrics = json.loads((version / "metrics.json").read_text())
    metrics = metrics.get("metrics", metrics)
    settings = pd.read_csv(version / "steps/tune/settings.csv")
    best = settings[settings["best"] == 1].iloc[0]
    assert best["joules"] == settings["joules"].min() and best["front"] == 1
    assert metrics["tune.lab.small.oracle_cost"]["value"] == pytest.approx(best["cost"], rel=1e-5)
    recurrences = pd.read_csv(version / "steps/tune/recurrences.csv")
    mine = recurrences[recurrences["policy"] == "smooth"]["cost"]
    assert metrics["tune.lab.small.regret"]["value"] == pytest.approx(mine.sum() - 5, abs=1e-4)
    assert "Energy of recurring trainings" in (version / "report.html").read_text()


def test_a_training_without_a_meter_is_skipped_with_the_reason(tmp_path, monkeypatch):
    def none():
        raise StepSkipped("no energy can be measured here")

    monkeypatch.setattr(meters, "find", none)
    path = written(tmp_path, files=[], jobs=[], training=TRAINING)
    assert cli.main(["run", str(path), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    manifest = json.loads((tmp_path / "out/tuned/latest/manifest.json").read_text())
    assert manifest["steps"]["tune"]["status"] == "skipped"
    assert "no energy can be measured here" in manifest["steps"]["tune"]["hint"]


def test_a_training_with_a_meter_is_measured(tmp_path, monkeypatch):
    class Count(meters.Meter):
        name, limits, count = "made up", (100.0,), 0.0

        def joules(self):
            self.count += 1
            return self.count

        def limit(self, watts):
            assert watts == 100

    monkeypatch.setattr(meters, "find", Count)
    path = written(tmp_path, files=[], jobs=[], training=TRAINING)
    assert cli.main(["run", str(path), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    runs = pd.read_csv(tmp_path / "out/tuned/latest/steps/tune/own.csv")
    assert len(runs) == 5 and (runs["joules"] >= 1).all() and runs["reached"].all()


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"jobs": []}, "tune: found neither jobs nor training"),
        ({"files": []}, "tune.jobs: needs traces to look for them in"),
        ({"jobs": [{**JOB, "batch": 100}]}, "tune.jobs[0]: trace lab: data / net / sgd has no batch 100"),
        ({"jobs": [JOB, JOB]}, "tune.jobs[1].name: found 'small' once more"),
        ({"files": [{"name": "lab", "runs": "none.csv", "power": "power.csv"}]}, "no such file"),
        ({"training": {**TRAINING, "batch": 9}}, "tune.training.batch: found 9; allowed: one of batches: 8, 16"),
        ({"training": {**TRAINING, "entry": "trian"}}, "did you mean 'train'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(tmp_path, section, text):
    with pytest.raises(spec.SpecErrors) as error:
        spec.load(written(tmp_path, **section))
    assert text in str(error.value)
