"""Programs of several points of a search's front."""

import json

import numpy as np
import pandas as pd
import pytest

from mico_runner import cli
from mico_runner.steps.points import spread

TEXT = """
spec_version: 1
name: three
seed: 1
hardware: nvdla-like
datasets: {task: digits, validation: 200, test: 100}
model: {name: mlp, params: {hidden: [8]}, train: {epochs: 3}}
search:
  space: {weight_bits: [1, 2, 8], activation_bits: [4, 8]}
  algorithm: random
  objectives: [accuracy, flash_bytes]
  budget: {evaluations: 20}
codegen: {points: 3}
simulate: {target: host}
"""


def test_points_lie_far_apart_and_begin_with_the_choice():
    values = np.array([[90.0, 1000.0], [89.9, 990.0], [80.0, 100.0], [85.0, 500.0], [80.0, 100.0]])
    assert spread(values, 1, 3) == [1, 2, 3]
    assert spread(values[[0]], 0, 3) == [0]
    assert spread(np.array([[1.0, 2.0], [1.0, 2.0]]), 1, 2) == [1]  # the same point twice is one


@pytest.mark.nightly
def test_each_point_is_a_program_that_is_what_was_searched(tmp_path, capsys):
    file = tmp_path / "three.yaml"
    file.write_text(TEXT)
    assert cli.main(["run", str(file), "--outputs", str(tmp_path)]) == 0, capsys.readouterr().err
    (version,) = tmp_path.glob("three/v*")
    points = pd.read_csv(version / "steps/codegen/points.csv")
    front = pd.read_csv(version / "steps/search/front.csv")
    assert list(points["folder"]) == [".", "points/2", "points/3"]
    metrics = json.loads((version / "metrics.json").read_text())
    for row in points.to_dict("records"):
        folder = version / "steps/codegen" / row["folder"]
        assert (folder / "c").is_dir()
        bits = json.loads((folder / "bits.json").read_text())
        pairs = {f"{layer}.{kind}": pair[i] for layer, pair in bits.items() for i, kind in enumerate("wa")}
        (of_front,) = front[(front[list(pairs)] == pd.Series(pairs)).all(axis=1)].to_dict("records")
        assert of_front["flash_bytes"] == row["flash_bytes"]
        assert of_front["validation_accuracy"] == row["validation_accuracy"]
        assert of_front["chosen"] == (row["point"] == 1)
        if row["point"] > 1:
            name = f"simulate.point{row['point']}"
            assert metrics[f"{name}.logits_mismatches"]["value"] == 0
            assert 0 < metrics[f"{name}.accuracy"]["value"] <= 100
