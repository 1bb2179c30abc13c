"""Costs in CSV files: read, solved, compared; what is wrong with a file is said with its line."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import yaml

from mico_runner import cli, spec
from mico_runner.codesign import tables
from mico_runner.codesign.heuristics import HEURISTICS
from mico_runner.codesign.names import HEURISTIC_NAMES
from mico_runner.errors import UsageError

COSTS = "k,c,pe,tile,time,area\n" + "".join(
    f"{k},{c},{pe},{tile},{k * c * 60 / (pe * tile)},{pe * 3 + tile * k}\n"
    for k, c in ((1, 2), (2, 2))
    for pe in (1, 2, 4)
    for tile in (1, 3)
)
LAYERS = "K,C\n1,2\n2,2\n1,2\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "costs.csv").write_text(COSTS)
    (tmp_path / "layers.csv").write_text(LAYERS)
    return tmp_path


def read(folder, costs=("costs.csv",)):
    return tables.read({name: folder / name for name in costs}, folder / "layers.csv", ["pe", "tile"], ["time", "area"])


def test_layers_repeat_and_the_optimum_is_below_every_uniform_design_and_heuristic(files):
    costs = read(files)
    assert len(costs.layers) == 3 and costs.columns["time"].shape == (3, 3, 2)
    least, most = (costs.flat("area")[:, i].sum() for i in (0, 5))
    assert tables.budget(costs, "area", 0.5) == pytest.approx((least + most) / 2)
    case = tables.solve(costs, "time", "area", 0.4, ["random", "nsga2", "cma"], 200, 0)
    assert case.gap == 0 and costs.flat("area")[range(3), case.choice].sum() <= case.budget * (1 + 1e-9)
    assert case.value <= min(case.uniform, *case.heuristics.values()) * (1 + 1e-12)
    assert case.value == pytest.approx(costs.flat("time")[range(3), case.choice].sum())
    assert min(case.heuristics.values()) < np.inf


def test_of_two_tables_every_layer_takes_one(files):
    table = pd.read_csv(files / "costs.csv")
    table.assign(time=table["time"] * np.where(table["k"] == 1, 0.5, 2)).to_csv(files / "other.csv", index=False)
    both = read(files, ("costs.csv", "other.csv"))
    case = tables.solve(both, "time", "area", 0.5, [], 100, 0)
    alone = tables.solve(read(files), "time", "area", 0.5, [], 100, 0)
    assert case.value < alone.value
    assert [both.choice(int(i))["table"] for i in case.choice] == ["other.csv", "costs.csv", "other.csv"]


def test_a_choice_that_is_not_there_is_not_taken(files):
    full = tables.solve(read(files), "time", "area", 0.5, [], 100, 0)
    lines = COSTS.splitlines(keepends=True)
    (files / "costs.csv").write_text("".join(line for line in lines if not line.startswith("2,2,2,3")))
    costs = read(files)
    case = tables.solve(costs, "time", "area", 0.5, ["random", "nsga2", "cma"], 200, 0)
    assert np.isnan(costs.columns["time"][1, 1, 1]) and case.value >= full.value
    assert case.value <= min(case.heuristics.values())


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("costs.csv", COSTS.replace("tile", "tail", 1), "costs.csv:1: no column 'tile'; allowed: k, c, pe, tail, "),
        ("costs.csv", COSTS + "1,2,1,1,5,5\n", "costs.csv:14: layer and choice stand there before"),
        ("costs.csv", COSTS.replace("120.0", "many", 1), "costs.csv:2: time is 'many'; allowed: a number from 0"),
        ("costs.csv", "pe,tile,time,area\n1,1,1,1\n", "costs.csv:1: 'pe' is the first column; allowed: columns of"),
        ("costs.csv", "", "costs.csv: No columns to parse from file; allowed: a CSV file with a header"),
        ("layers.csv", "K,C\n", "layers.csv: no rows; allowed: at least one below the header"),
        ("layers.csv", "K\n1\n", "layers.csv:1: found 1 columns describe a layer; allowed: 2, as in "),
        ("layers.csv", "K,C\n1,2\n9,9\n", "layers.csv:3: layer (9.0, 9.0) is not in "),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(files, file, text, says):
    (files / file).write_text(text)
    with pytest.raises(UsageError) as error:
        read(files)
    assert says in str(error.value)


def test_the_names_of_the_spec_are_those_of_the_heuristics():
    assert tuple(HEURISTICS) == HEURISTIC_NAMES


def test_a_spec_runs_and_its_metrics_and_files_agree(files, capsys):
    network = {"costs": ["costs.csv"], "layers": "layers.csv"}
    section = {
        "tables": {
            "networks": {"mine": network},
            "choices": ["pe", "tile"],
            "objectives": ["time"],
            "resources": ["area"],
            "shares": [0.2, 0.6],
        },
        "compare": ["random"],
        "evaluations": 100,
    }
    text = {"spec_version": 1, "name": "tabled", "codesign": section}
    path = files / "spec.yaml"
    path.write_text(yaml.safe_dump(text))
    assert cli.main(["run", str(path), "--outputs", str(files / "out"), "--quiet"]) == 0
    version = files / "out/tabled/latest"
    metrics = json.loads((version / "metrics.json").read_text())
    cases = pd.read_csv(version / "steps/codesign/cases.csv")
    assert metrics["codesign.cases"]["value"] == len(cases) == 2
    assert metrics["codesign.open_cases"]["value"] == 0 == metrics["codesign.gap"]["value"]
    assert metrics["codesign.random.regret"]["value"] == pytest.approx(100 * (cases["random_ratio"].mean() - 1))
    assert len(pd.read_csv(version / "steps/codesign/designs.csv")) == 6
    assert "designed together" in (version / "report.html").read_text(encoding="utf-8")
    network["layers"] = "none.csv"
    network["costs"] = ["codesign/maestro"]
    path.write_text(yaml.safe_dump(text))
    assert cli.main(["validate", str(path)]) == 2
    said = capsys.readouterr().err
    assert "codesign.tables.networks.mine.layers: found 'none.csv'; no such file" in said
    assert "costs[0]: found 'codesign/maestro'; allowed: a table of the catalog (codesign/layers-mobilenet_v2, " in said


@pytest.mark.skipif("MICO_DATA_MIRROR" not in os.environ, reason="MICO_DATA_MIRROR is not set: no tables of costs")
def test_two_cases_of_the_published_problem_are_proven_as_by_another_solver():
    from mico_runner.steps.codesign import _path

    asked = spec.load("codesign-confuciux").data["codesign"]["tables"]["networks"]["resnet18-dla"]
    costs = tables.read({"dla": _path(asked["costs"][0])}, _path(asked["layers"]), ["pe", "ktile"], ["cycles", "area"])
    for share, value in ((0.1, 274527988), (0.5, 176356897)):  # by HiGHS
        case = tables.solve(costs, "cycles", "area", share, [], 100, 0)
        assert case.gap == 0 and case.value == pytest.approx(value, rel=1e-6)
