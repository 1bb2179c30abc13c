"""Cells of a sweep: which there are, what they are called, and where a mistake is said to be."""

import json
from pathlib import Path

import pytest

from mico_runner import cli, spec

BASE = """
spec_version: 1
name: grid
extends: templates/bitfusion.yaml
datasets: {task: digits, validation: 300}
model: {name: mlp}
search: {constraints: null}
gates: null
"""


@pytest.fixture
def write(tmp_path):
    def made(text=""):
        path = tmp_path / "grid.yaml"
        path.write_text(BASE + text)
        return str(path)

    return made


def names(found):
    return [cell.name for cell in found.cells]


def test_the_cells_are_every_combination_the_last_axis_fastest(write):
    found = spec.sweep(write("matrix: {model.name: [mlp, small-cnn], seed: 0..2}\n"))
    assert found.axes == {"model.name": ("mlp", "small-cnn"), "seed": (0, 1, 2)}
    assert names(found)[:4] == [f"model.name-mlp_seed-{i}" for i in range(3)] + ["model.name-small-cnn_seed-0"]
    last = found.cells[-1]
    assert (last.data["seed"], last.data["model"]["name"], last.data["matrix"]) == (2, "small-cnn", None)
    assert last.values == {"model.name": "small-cnn", "seed": 2}
    assert found.base.data["matrix"] == {"model.name": ["mlp", "small-cnn"], "seed": "0..2"}


def test_axes_of_the_command_line_add_and_replace(write):
    path = write("matrix: {seed: 0..2}\n")
    found = spec.sweep(path, ["model.train.epochs=3"], ["seed=4,7..8", "model.train.lr=1e-3,2e-3"])
    assert found.axes == {"seed": (4, 7, 8), "model.train.lr": (1e-3, 2e-3)}
    assert {cell.data["model"]["train"]["epochs"] for cell in found.cells} == {3}


def test_values_may_be_lists_mappings_null_and_templates(write):
    over = ["search.space.activation_bits=[4],[4,8]", "evaluate={},null"]
    found = spec.sweep(write(), over=over)
    assert names(found)[0] == "search.space.activation_bits-4_evaluate-value1"
    assert (
        found.cells[3].data["search"]["space"]["activation_bits"] == [4, 8] and found.cells[3].data["evaluate"] is None
    )
    templates = spec.sweep(write(), over=["extends=templates/bitfusion.yaml,templates/scalesim-32x32.yaml"])
    assert templates.axes == {"extends": ("bitfusion", "scalesim-32x32")}
    assert [cell.data["hardware"] for cell in templates.cells] == ["bitfusion", "scalesim-32x32"]


def test_names_are_folders_and_differ(write):
    found = spec.sweep(write(), over=["description=a b,a/b,'a?b'"])
    assert names(found) == ["description-a-b", "description-a-b_2", "description-a-b_3"]


@pytest.mark.parametrize(
    ("matrix", "over", "says"),
    [
        ("", [], "grid.yaml:2:1: matrix: missing; allowed: a mapping of keys to lists of values"),
        (
            "matrix: {seed: []}",
            [],
            "grid.yaml:9:16: matrix.seed: found []; allowed: a list of values, or whole numbers",
        ),
        ("matrix: {seed: 3..1}", [], "grid.yaml:9:16: matrix.seed: no value; allowed: 1 to 100000 values"),
        ("matrix: {seed: [1, 1]}", [], "matrix.seed: found 1 twice; allowed: each value once"),
        ("matrix: {model.nmae: [mlp]}", [], "model.nmae: unknown key; allowed: "),
        ("matrix: {model.name: [mlp, lenat]}", [], "grid.yaml:9:28: model.name: found 'lenat'; allowed: "),
        ("matrix: {name: [a, b]}", [], "matrix.name: allowed: the dotted key of a value of the spec"),
        ("matrix: {seed: 0..999, model.train.lr: 1..200}", [], "matrix: found 200000 cells; allowed: at most 100000"),
        ("", ["seed"], "--over seed: allowed: key.path=value,value"),
        ("", ["seed=[1"], "--over seed=[1: not YAML"),
        ("", ["seed=-1"], "--over seed=-1: seed: found -1; allowed: a whole number from 0"),
    ],
)
def test_a_mistake_is_said_with_its_place(write, matrix, over, says):
    with pytest.raises(spec.SpecErrors) as error:
        spec.sweep(write(f"{matrix}\n"), over=over)
    assert says in str(error.value)


def test_validate_checks_every_cell_and_run_refuses_a_sweep(write, capsys):
    path = write("matrix: {hardware: [bitfusion, bitfusoin]}\n")
    assert cli.main(["validate", path]) == 2
    assert "found 'bitfusoin'" in capsys.readouterr().err
    assert cli.main(["plan", path]) == 2
    assert "this spec is a sweep: mico-run sweep" in capsys.readouterr().err


def test_a_dry_run_shows_what_cells_share(write, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["sweep", write(), "--over", "seed=0..1", "--dry-run"]
    assert cli.main([*arguments, "--json"]) == 0
    rows = {row["step"]: row for row in json.loads(capsys.readouterr().out)["steps"]}
    assert rows["fit"]["results"] == 1 and rows["train"]["results"] == 2 and rows["fit"]["cells"] == 2
    assert cli.main(arguments) == 0
    assert "2 cells" in capsys.readouterr().out
    assert not Path("outputs").exists()


def test_local_of_earlier_specs_means_threads(write):
    found = spec.load(write("executor: {backend: local, jobs: 3}\n"))
    assert found.data["executor"] == {"backend": "processes", "jobs": 1, "threads": 3, "address": None}
    assert "write executor: {backend: processes, threads: 3}" in str(found.warnings[0])
    with pytest.raises(spec.SpecErrors, match="whose jobs are threads, beside threads"):
        spec.load(write("executor: {backend: local, jobs: 3, threads: 2}\n"))
