"""Data of the user's own and tasks beside classification, from a spec to C."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mico_runner import cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Arrays of 120 samples of four groups: a number that is a sum of inputs."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (120, 6)).astype(np.float32)
    np.savez("mine.npz", x=x, y=x[:, :3].sum(1) - x[:, 3], who=np.repeat(list("abcd"), 30))
    return tmp_path


SPEC = """
spec_version: 1
name: mine
hardware: bitfusion
datasets: {task: {npz: mine.npz, kind: regression%s}}
model: {name: mlp, params: {hidden: [16]}, train: {epochs: 40, lr: 0.02, batch_size: 8}}
%s
"""


def run(folder, more="", task=""):
    (folder / "mine.yaml").write_text(SPEC % (task, more), encoding="utf-8")
    return cli.main(["run", "mine.yaml"])


def result(folder, step, name):
    return pd.read_csv(folder / f"outputs/mine/latest/steps/{step}/{name}")


def metrics(folder):
    content = json.loads((folder / "outputs/mine/latest/metrics.json").read_text(encoding="utf-8"))
    return {name: metric["value"] for name, metric in content.get("metrics", content).items()}


def test_bits_are_searched_by_an_error_of_which_less_is_better(folder, capsys):
    search = """
search:
  algorithm: exact
  space: {weight_bits: [2, 8], activation_bits: [8]}
  objectives: [quality, flash_bytes]
  constraints: {quality: {max: 0.2}}
  budget: {evaluations: 8}
codegen: {}
simulate: {target: host}
"""
    assert run(folder, search) == 0, capsys.readouterr().err
    found, table = metrics(folder), result(folder, "search", "evaluations.csv")
    assert found["simulate.logits_mismatches"] == 0
    assert found["search.validation_rmse"] == table["validation_rmse"].min() <= 0.2
    assert found["simulate.rmse_drop"] == pytest.approx(found["simulate.rmse"] - found["train.test_rmse"])
    assert found["train.above_chance"] > 0
    page = (folder / "outputs/mine/latest/report.html").read_text(encoding="utf-8")
    for words in ("mine.npz, regression", "rmse ≤ 0.2", "Predictions of the C program", "validation rmse"):
        assert words in page, words


def test_bits_are_searched_with_one_rounding_and_deployed_with_another(folder, capsys):
    search = """
search:
  algorithm: random
  rounding: nearest
  space: {weight_bits: [2, 8], activation_bits: [8]}
  objectives: [quality, flash_bytes]
  constraints: {flash_bytes: {max: 0.8, relative_to: int8}}
  budget: {evaluations: 4}
codegen: {}
simulate: {target: host}
"""
    assert run(folder, search) == 0, capsys.readouterr().err
    found, table = metrics(folder), result(folder, "search", "evaluations.csv")
    steps = folder / "outputs/mine/latest/steps"
    assert (steps / "search/qgraph.npz").read_bytes() == (steps / "codegen/qgraph.npz").read_bytes()
    seen = float(table.loc[table["chosen"] == 1, "validation_rmse"].iloc[0])
    assert found["search.validation_rmse"] == seen >= found["search.deployed_validation_rmse"]  # the better of both
    assert found["simulate.logits_mismatches"] == 0


def test_every_group_is_tested_on_by_a_network_that_has_not_seen_it(folder, capsys):
    assert run(folder, "crossvalidate: {group_by: who}") == 0, capsys.readouterr().err
    parts = result(folder, "crossvalidate", "parts.csv")
    assert parts["part"].tolist() == list("abcd") and (parts["samples"] == 30).all()
    found = metrics(folder)
    assert found["crossvalidate.float.mean_rmse"] == pytest.approx(parts["float"].mean())
    assert found["crossvalidate.quantised.worst_rmse"] == parts["quantised"].max()
    assert found["crossvalidate.rmse_ratio"] < 1.2


def test_every_sample_is_in_one_fold(folder, capsys):
    assert run(folder, "crossvalidate: {folds: 7}") == 0, capsys.readouterr().err
    parts = result(folder, "crossvalidate", "parts.csv")
    assert len(parts) == 7 and parts["samples"].sum() == 120 and parts["samples"].max() - parts["samples"].min() <= 1


def test_draws_are_different_parts_of_all_samples(folder, capsys):
    assert run(folder, "crossvalidate: {draws: 2}") == 0, capsys.readouterr().err
    from mico_runner.data import loading, source

    parts = result(folder, "crossvalidate", "parts.csv")
    assert parts["part"].tolist() == ["draw 1", "draw 2"] and (parts["samples"] == 24).all()
    given = source.source_of({"npz": str(folder / "mine.npz"), "kind": "regression"})
    tests = [
        loading.load(replace(given, parting=replace(given.parting, draw=i)), validation=20).test for i in (0, 1, 0)
    ]
    assert np.array_equal(tests[0].inputs, tests[2].inputs) and not np.array_equal(tests[0].inputs, tests[1].inputs)


def test_a_draw_is_of_both_parts_where_the_data_has_a_test_part_of_its_own(tmp_path):
    from mico_runner.data import loading, source

    rows = np.arange(60, dtype=np.float32)[:, None]
    parts = {"x": rows[:40], "y": np.arange(40) % 2, "x_test": rows[40:], "y_test": np.arange(20) % 2}
    np.savez(tmp_path / "own.npz", **parts)
    given = source.source_of({"npz": str(tmp_path / "own.npz"), "kind": "classification"})
    samples = loading.load(replace(given, parting=replace(given.parting, draw=3)), validation=10)
    every = np.concatenate([part.inputs for part in (samples.train, samples.validation, samples.test)])
    assert len(samples.test) == 20 and sorted(every.ravel()) == list(range(60)) and samples.test.inputs.min() < 40


def test_groups_stay_whole(folder, capsys):
    assert run(folder, task=", split: {group_by: who, test: 0.25}") == 0, capsys.readouterr().err
    from mico_runner.data import loading, source

    task = {"npz": str(folder / "mine.npz"), "kind": "regression", "split": {"group_by": "who", "test": 0.25}}
    samples = loading.load(source.source_of(task), validation=20)
    groups = [set(part.about["who"]) for part in (samples.train, samples.validation, samples.test)]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert set.union(*groups) == set("abcd")


PLUGIN = '''
import numpy as np

from mico_runner.tasks import register
from mico_runner.tasks.base import Measure
from mico_runner.tasks.regression import Regression


@register("absolute")
class Absolute(Regression):
    """One or several numbers for each input: absolute error."""

    MEASURE = Measure("mae", "", "", higher=False, tolerance=0.0)

    def loss(self, outputs, targets, inputs):
        return (outputs - targets).abs().mean()

    def quality(self, outputs, samples):
        return float(np.abs(outputs - samples.targets).mean())

    def knows_nothing(self, targets):
        return float(np.abs(targets - np.median(targets, axis=0)).mean())
'''


def test_a_task_of_ones_own_is_one_file(folder, capsys):
    (folder / "absolute.py").write_text(PLUGIN, encoding="utf-8")
    text = SPEC.replace("regression", "absolute") % ("", "plugins: [absolute.py]")
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["run", "mine.yaml"]) == 0, capsys.readouterr().err
    assert metrics(folder)["train.test_mae"] < 0.3
