"""Sweeps of the dummy steps: what cells share, what a failure stops, what comes out, on one process and on several."""

import csv
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import dummy_steps
import pytest
from dummy_steps import STEPS, DummySections
from kill import check_versions

from mico_runner import cli, outputs
from mico_runner.errors import StepError, UsageError
from mico_runner.executor import Here, Outcome, open_workers
from mico_runner.outputs import gc, store
from mico_runner.outputs import sweep_version as tables
from mico_runner.pipeline import Options, running
from mico_runner.pipeline.scheduling import Node, execute
from mico_runner.pipeline.sweeping import SweepPlan
from mico_runner.sections import Executor
from mico_runner.steps.base import Metric


@dataclass(frozen=True)
class Cell:
    name: str
    values: dict
    data: dict


@pytest.fixture(autouse=True)
def _short_reports(monkeypatch):
    monkeypatch.setenv(dummy_steps.SHORT_REPORTS, "")
    monkeypatch.setattr(outputs, "write_report", lambda version: (version / "report.html").write_text("report"))


def planned(folder, changes, options=None, **base):
    """A sweep over the keys of `changes`, a mapping per cell."""
    cells = [
        Cell("_".join(f"{key}-{value}" for key, value in each.items()), each, dummy_steps.spec(**base | each))
        for each in changes
    ]
    options = replace(Options(outputs=Path(folder), quiet=True), **(options or {}))
    return SweepPlan(dummy_steps.spec(**base), list(changes[0]), cells, options, STEPS, DummySections)


GRID = [{"seed": seed, "power": power} for seed in (1, 2) for power in (1, 2, 3)]


def computed(folder):
    return {step.name: len([p for p in step.iterdir() if p.is_dir()]) for step in (folder / ".cache").iterdir()}


def stable(version):
    """Text of all metrics but measured times."""
    return json.dumps({name: m.to_json() for name, m in store.metrics(version).items() if not m.volatile})


def test_cells_share_every_step_that_does_not_depend_on_the_axis(tmp_path):
    plan = planned(tmp_path, GRID)
    rows = {row.step: row for row in plan.rows()}
    assert (rows["count"].cells, rows["count"].results, rows["count"].run, rows["count"].seconds) == (6, 2, 2, None)
    assert rows["sometimes"].results == 1 and rows["total"].results == 6
    assert not list(tmp_path.iterdir()), "a plan writes nothing"
    result = plan.run()
    assert result.exit_code == 0 and result.version.name == "v0001"
    assert computed(tmp_path) == {"count": 2, "square": 6, "sometimes": 1, "after": 1, "total": 6}
    check_versions(tmp_path)
    cells = sorted((tmp_path / "dummy" / "cells").iterdir())
    assert [cell.name for cell in cells] == sorted(cell.name for cell in plan.cells.values())
    assert all(store.verify(cell / "v0001") == [] for cell in cells)
    statuses = [store.manifest(cell / "v0001")["steps"]["count"]["status"] for cell in cells]
    assert sorted(statuses) == ["cached"] * 4 + ["run"] * 2, "a step is of the first cell that needs it"
    after = {row.step: row for row in planned(tmp_path, GRID).rows()}
    assert after["total"].cached == 6 and after["total"].run == 0
    assert {row.step: row.run for row in planned(tmp_path, GRID, {"from_": "square"}).rows()}["square"] == 6


@pytest.mark.parametrize("jobs", [2, 3])
def test_any_number_of_processes_gives_the_same_numbers(tmp_path, jobs):
    one = planned(tmp_path / "one", GRID[:3]).run()
    more = planned(tmp_path / "more", GRID[:3], {"jobs": jobs}).run()
    assert stable(more.version) == stable(one.version)
    assert computed(tmp_path / "more") == computed(tmp_path / "one")
    for name in ("means.csv", "table.csv"):
        rows = [list(csv.DictReader((result.version / name).open())) for result in (one, more)]
        for row in [*rows[0], *rows[1]]:
            row.pop("total.seconds", None)
        assert [row for row in rows[0] if row.get("metric") != "total.seconds"] == [
            row for row in rows[1] if row.get("metric") != "total.seconds"
        ]


def test_a_dask_cluster_of_two_gives_the_same_numbers(tmp_path):
    pytest.importorskip("distributed", reason="needs dask: pip install 'mico-runner[dask]'")
    with open_workers(Executor("dask", 2, 1, None), print) as (workers, _):
        on = {"executor": {"backend": "dask", "jobs": 1, "threads": 1, "address": workers._client.scheduler.address}}
        one, more = (planned(tmp_path / name, GRID[:3], **base) for name, base in (("one", {}), ("more", on)))
        assert [stable(plan.run().version) for plan in (one, more)] == [stable(one.run().version)] * 2
        assert computed(tmp_path / "more") == computed(tmp_path / "one")
        runs = [dummy_steps.run(tmp_path / name, **base) for name, base in (("one", {}), ("more", on))]
        assert stable(runs[0].version) == stable(runs[1].version)
        assert store.verify(runs[1].version) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cell_that_fails_stops_no_other_and_only_it_runs_again(tmp_path, jobs):
    changes = [{"power": 1, "fail": False}, {"power": 2, "fail": True}, {"power": 3, "fail": False}]
    result = planned(tmp_path, changes, {"jobs": jobs}).run()
    assert result.exit_code == 4
    (name,) = result.failed
    assert name == "power-2_fail-True" and "step 'square': told to fail" in result.failed[name]
    with (result.version / "table.csv").open() as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    assert [row["status"] for row in rows.values()] == ["ok", "failed", "ok"]
    assert rows[name]["total.value"] == "" and "told to fail" in rows[name]["error"]
    assert "power-2_fail-True: failed: step 'square': told to fail" in (result.version / "table.md").read_text()
    assert store.metrics(result.version)["sweep.failed"].value == 1
    changes[1]["fail"] = False
    again = planned(tmp_path, changes, {"jobs": jobs}).run()
    assert again.exit_code == 0
    cells = {cell.name: [v.name for v in store.versions(cell)] for cell in (tmp_path / "dummy" / "cells").iterdir()}
    assert cells == {"power-1_fail-False": ["v0001"], "power-2_fail-False": ["v0001"], "power-3_fail-False": ["v0001"]}


def test_a_step_that_fails_is_not_tried_again_for_each_cell(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(dummy_steps.Count, "run", lambda self, ctx: tried.append(1) or ctx.metric("x", 1, "count", "?"))
    result = planned(tmp_path, [{"power": power} for power in (1, 2, 3)]).run()
    assert len(result.failed) == 3 and len(tried) == 1


def test_a_broken_gate_is_said_with_exit_code_3(tmp_path):
    result = planned(tmp_path, [{"power": 1}, {"power": 2}], gates={"total.value": {"max": 20}}).run()
    assert result.exit_code == 3
    assert result.broken == {"power-2": ["total.value is 86 points; max 20"]}
    assert store.metrics(result.version)["sweep.gates_broken"].value == 1


def test_gc_keeps_what_cells_need(tmp_path):
    planned(tmp_path, GRID[:2]).run()
    assert gc(tmp_path, keep=1) == []
    planned(tmp_path, [{"seed": 1, "power": 7}]).run()
    gone = gc(tmp_path, keep=1)
    assert [path.name for path in gone] == ["v0001"], "of the sweep; the cells have one version each"
    assert {row.step: row.run for row in planned(tmp_path, GRID[:2]).rows()}["total"] == 0


def test_a_sweep_is_no_single_run_and_the_other_way_round(tmp_path):
    with pytest.raises(UsageError, match="--only: a sweep runs whole specs"):
        planned(tmp_path, GRID[:1], {"only": "count"})
    with pytest.raises(UsageError, match="this spec is a sweep: mico-run sweep"):
        dummy_steps.run(tmp_path, matrix={"seed": [1]})


@pytest.mark.parametrize("jobs", [2, 3])
def test_a_single_run_on_processes_gives_the_same_version(tmp_path, jobs):
    one, more = dummy_steps.run(tmp_path / "one"), dummy_steps.run(tmp_path / "more", {"jobs": jobs})
    assert stable(more.version) == stable(one.version)
    assert more.statuses == one.statuses
    files = [store.manifest(result.version)["artifacts"] for result in (one, more)]
    assert files[0].keys() == files[1].keys()
    assert {k: v for k, v in files[0].items() if k.startswith("steps/")} == {
        k: v for k, v in files[1].items() if k.startswith("steps/")
    }
    forced = dummy_steps.run(tmp_path / "more", {"jobs": jobs, "from_": "square"})
    assert forced.statuses == one.statuses | {"count": "cached", "sometimes": "cached", "after": "cached"}
    skipped = dummy_steps.run(tmp_path / "skipped", {"jobs": jobs}, tool=False)
    assert skipped.statuses["after"] == "skipped" and skipped.metrics["total.with_tool"].value == 0
    with pytest.raises(StepError, match="step 'square': told to fail"):
        dummy_steps.run(tmp_path / "more", {"jobs": jobs}, fail=True, power=5)


def test_what_waits_for_a_failure_has_its_outcome_and_the_rest_is_done():
    done = []

    def work(name):
        done.append(name)
        if name == "b":
            raise ValueError("no")

    nodes = [
        Node(name, work, (name,), after)
        for name, after in (("a", ""), ("b", "a"), ("c", "b"), ("d", "ac"), ("e", "a"), ("f", "be"))
    ]
    ended: list[Outcome] = []
    outcomes = execute(nodes, Here(), ended.append)
    assert done == ["a", "b", "e"]
    assert {key: str(outcome.error) for key, outcome in outcomes.items() if outcome.error} == dict.fromkeys(
        "bcdf", "no"
    )
    assert sorted(str(outcome.key) for outcome in ended) == list("abcdef")


# ---------------------------------------------------------------- tables


def cell(name, values, tmp_path=None, error="", **metrics):
    version = tmp_path / name if tmp_path else Path("out") / name
    found = {key.replace("__", "."): Metric(value, "cycles", "lower") for key, value in metrics.items()}
    return tables.CellResult(name, values, None if error else version, found, error)


def test_means_have_intervals_by_students_t():
    cells = [cell(f"s{i}", {"seed": i}, a__b=value) for i, value in enumerate([1.0, 2.0, 3.0])]
    ((_, means),) = tables.grouped(["seed"], cells).items()
    assert means["a.b"].value.value == 2 and means["a.b"].count == 3
    assert math.isclose(means["a.b"].half, 4.302653 / math.sqrt(3), rel_tol=1e-6)  # t of 2 degrees of freedom, 97.5 %
    assert tables.half_interval([1.0]) is None
    assert tables.metrics_of(tables.grouped(["seed"], cells), cells)["a.b"] == Metric(2.0, "cycles", "lower")


def test_other_axes_make_groups_and_failures_no_means():
    cells = [cell("a", {"chip": "x/y", "seed": 1}, a__b=1.0), cell("b", {"chip": "z", "seed": 1}, a__b=5.0)]
    cells.append(cell("c", {"chip": "z", "seed": 2}, error="it broke"))
    groups = tables.grouped(["chip", "seed"], cells)
    assert set(tables.metrics_of(groups, cells)) >= {"chip-x-y.a.b", "chip-z.a.b"}
    text = tables.markdown(groups, cells)
    assert "| a.b      | cycles | 1          | 5        |" in text and "- c: failed: it broke" in text


def test_one_front_over_all_cells_where_units_are_the_same(tmp_path):
    def searched(name, chip, unit, points):
        folder = tmp_path / name / "steps" / "search"
        folder.mkdir(parents=True)
        rows = [f"{i},{quality},{latency}" for i, (quality, latency) in enumerate(points)]
        (folder / "front.csv").write_text("\n".join(["order,validation_accuracy,latency", *rows]) + "\n")
        (tmp_path / name / "spec.resolved.yaml").write_text("search: {objectives: [accuracy, latency]}\n")
        found = {"search.validation_accuracy": Metric(0, "%", "higher"), "search.latency": Metric(0, unit, "lower")}
        return tables.CellResult(name, {"chip": chip}, tmp_path / name, found)

    cells = [searched("a", 1, "cycles", [(90, 100), (80, 50)]), searched("b", 2, "cycles", [(90, 99), (70, 60)])]
    cells.append(searched("c", 3, "ns", [(10, 1000)]))
    found = [(row["cell"], row["order"], row["latency"]) for row in tables.front(["chip"], cells)]
    assert found == [("b", "0", 99.0), ("a", "1", 50.0), ("c", "0", 1000.0)]


def test_the_running_of_one_cell_needs_the_results_of_no_other(tmp_path):
    """`complete` runs what `compute` has not brought: gc may have been there."""
    plan = planned(tmp_path, GRID[:1])
    (own,) = plan.plans.values()
    result = running.complete(own, dict.fromkeys(own.steps, "cached"))
    assert set(result.statuses.values()) == {"run"}


@pytest.mark.nightly
def test_the_shipped_sweep_keeps_its_gates(tmp_path, capsys):
    spec = str(Path(__file__).parents[2] / "specs" / "sweep-quickstart.yaml")
    assert cli.main(["sweep", spec, "--jobs", "2", "--outputs", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == 10
    assert {path.name for path in (tmp_path / "sweep-quickstart" / "v0001").iterdir()} >= {"table.md", "front.csv"}
