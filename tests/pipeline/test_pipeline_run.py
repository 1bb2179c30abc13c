"""What runs, what is taken from the cache, and what ends in a version."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import dummy_steps
import pytest
import yaml
from dummy_steps import STEPS, DummySections, run, spec
from kill import stable_metrics

from mico_runner.data import catalog
from mico_runner.errors import StepError, UnknownName, UsageError
from mico_runner.outputs import store
from mico_runner.pipeline import Options, gates, running
from mico_runner.pipeline.planning import plan
from mico_runner.steps import base
from mico_runner.steps.base import Metric

ALL = list(STEPS.entries)


def actions(outputs, options=None, **changes):
    rows = plan(spec(**changes), Options(outputs=outputs, **(options or {})), STEPS, DummySections)
    return {row.step: (row.action, row.reason) for row in rows}


def test_a_run_writes_a_whole_version(tmp_path):
    result = run(tmp_path)
    assert result.version == tmp_path / "dummy" / "v0001"
    assert store.verify(result.version) == []
    assert (tmp_path / "dummy" / "latest").resolve() == result.version.resolve()
    names = {p.name for p in result.version.iterdir()}
    assert names == {"spec.resolved.yaml", "manifest.json", "metrics.json", "steps", "log.jsonl", "report.html"}
    assert result.metrics["total.value"].value == 9 + 16 + 25 + 36
    manifest = store.manifest(result.version)
    assert manifest["seed"] == 3 and set(manifest["steps"]) == set(ALL)
    assert manifest["environment"]["packages"]["numpy"]
    assert {"wall_seconds", "cpu_seconds", "fingerprint", "inputs", "status"} <= set(manifest["steps"]["count"])
    lines = [json.loads(line) for line in (result.version / "log.jsonl").read_text().splitlines()]
    assert any(line["message"] == "counted" for line in lines)


def test_the_same_again_comes_from_the_cache_with_the_same_bytes(tmp_path):
    first, second = run(tmp_path), run(tmp_path)
    assert set(second.statuses.values()) == {"cached"}
    assert second.version.name == "v0002"
    assert (first.version / "metrics.json").read_bytes() == (second.version / "metrics.json").read_bytes()
    forced = run(tmp_path, {"force": True})
    assert set(forced.statuses.values()) == {"run"}
    assert stable_metrics(tmp_path) == json.dumps(
        {n: m for n, m in json.loads((first.version / "metrics.json").read_text()).items() if not m["volatile"]}
    )


def test_the_resolved_spec_runs_again_as_it_is(tmp_path):
    first = run(tmp_path, {"only": "square"}, gates={"count.numbers": {"min": 1}, "total.value": {"min": 1}})
    again = yaml.safe_load((first.version / "spec.resolved.yaml").read_text())
    second = running.run(again, Options(outputs=tmp_path, quiet=True), STEPS, DummySections)
    assert second.statuses == {"count": "cached", "square": "cached"}
    assert second.exit_code == 0


def test_plan_says_why(tmp_path, monkeypatch):
    assert set(actions(tmp_path).values()) == {("run", "never ran")}
    run(tmp_path)
    assert {action for action, _ in actions(tmp_path).values()} == {"cached"}
    changed = actions(tmp_path, power=3)
    assert changed["count"][0] == "cached"
    assert changed["square"] == ("run", "power: 2 -> 3")
    assert changed["total"] == ("run", "upstream square runs")
    assert actions(tmp_path, {"from_": "square"})["total"] == ("run", "forced from square")
    assert actions(tmp_path, {"only": "square"})["total"] == ("skip", "not needed for square")
    monkeypatch.setattr(dummy_steps.Square, "VERSION", 2)
    assert actions(tmp_path)["square"] == ("run", "VERSION 1 -> 2")


def test_plan_does_what_run_then_does(tmp_path):
    for changes in (
        {},
        {"power": 3},
        {"numbers": 5},
        {"seed": 4},
        {"power": 2},
        {"steps": ["total", "square", "count"]},
    ):
        planned = {step: action for step, (action, _) in actions(tmp_path, **changes).items()}
        assert run(tmp_path, **changes).statuses == planned


def test_going_back_to_an_earlier_spec_finds_its_results(tmp_path):
    run(tmp_path)
    run(tmp_path, power=3)
    assert set(run(tmp_path).statuses.values()) == {"cached"}


def test_from_runs_the_step_and_what_depends_on_it(tmp_path):
    run(tmp_path)
    again = {s for s, status in run(tmp_path, {"from_": "square"}).statuses.items() if status == "run"}
    assert again == {"square", "total"}


def test_only_runs_the_step_and_what_it_needs(tmp_path):
    result = run(tmp_path, {"only": "after"})
    assert result.version.parent.name.endswith(".after"), "never the newest version of the whole spec"
    assert result.statuses == {"sometimes": "run", "after": "run"}
    assert run(tmp_path, {"only": "after", "force": True}).statuses == {"sometimes": "cached", "after": "run"}


def test_a_step_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'square'"):
        run(tmp_path, {"only": "sqare"})
    with pytest.raises(UsageError, match="'square' needs 'count'"):
        run(tmp_path, steps=["square"])


def test_a_skipped_step_skips_those_that_need_it_and_is_on_record(tmp_path):
    result = run(tmp_path, tool=False)
    assert result.skipped == {
        "sometimes": "the tool is missing; apt-get install tool",
        "after": "it needs sometimes, which was skipped",
    }
    assert result.statuses["total"] == "run" and result.metrics["total.with_tool"].value == 0
    assert "apt-get install tool" in (result.version / "report.html").read_text()
    assert actions(tmp_path)["sometimes"] == ("run", "was skipped: the tool is missing; apt-get install tool")
    assert run(tmp_path).metrics["total.with_tool"].value == 1


def test_a_failed_step_leaves_no_version_and_what_was_finished(tmp_path):
    with pytest.raises(StepError, match="step 'square': told to fail"):
        run(tmp_path, fail=True)
    assert store.versions(tmp_path / "dummy") == []
    assert not list(tmp_path.glob(".cache/*/*.tmp"))
    assert run(tmp_path).statuses["count"] == "cached"


def test_an_unexpected_error_becomes_a_message_with_the_traceback_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(dummy_steps.Square, "run", lambda self, ctx: 1 / 0)
    with pytest.raises(StepError, match="ZeroDivisionError") as caught:
        run(tmp_path)
    assert "1 / 0" in Path(str(caught.value).split("traceback: ")[1]).read_text()


def test_an_interrupted_step_continues_from_its_work_folder(tmp_path, monkeypatch):
    real, calls = dummy_steps.time.sleep, []

    def interrupt(seconds):
        if seconds == 0.25:  # the step's own
            calls.append(seconds)
            if len(calls) == 3:
                raise KeyboardInterrupt
        real(0)

    monkeypatch.setattr(dummy_steps.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, steps=["count"], seconds=0.25)
    assert store.versions(tmp_path / "dummy") == []
    assert "did not finish" in actions(tmp_path, steps=["count"], seconds=0.25)["count"][1]
    run(tmp_path, steps=["count"], seconds=0.25)
    assert len(calls) == 3 + 2  # two of four numbers were in the journal
    assert not list(tmp_path.glob(".cache/*/*.work")) and not list(tmp_path.glob(".cache/*/*.tmp"))


def test_temporary_folders_of_dead_processes_go(tmp_path):
    left = tmp_path / ".cache" / "square" / ("0" * 32 + ".tmp")
    left.mkdir(parents=True)
    run(tmp_path)
    assert not left.exists()


def test_changing_a_version_does_not_change_the_cache(tmp_path):
    version = run(tmp_path).version
    (version / "steps" / "count" / "numbers.json").write_text("[]")
    assert store.verify(version) == ["changed: steps/count/numbers.json"]
    assert run(tmp_path).metrics["count.numbers"].value == 4
    assert store.verify(tmp_path / "dummy" / "v0002") == []


def test_broken_gates_still_write_the_version(tmp_path):
    bounds = {"total.*": {"max": 50}, "count.numbers": {"min": 4, "max": 4}, "no.such": {"min": 0}}
    result = run(tmp_path, gates=bounds)
    assert {(g.gate, g.metric, g.bound) for g in result.broken_gates} == {
        ("total.*", "total.value", "max"),
        ("no.such", None, ""),
    }
    assert result.exit_code == 3
    assert store.verify(result.version) == []
    text = gates.table(result.broken_gates)
    assert "total.value" in text and "no such metric" in text
    assert "broken gates" in (result.version / "report.html").read_text()


def test_a_gate_on_a_skipped_step_is_broken(tmp_path):
    result = run(tmp_path, tool=False, gates={"after.value": {"min": 0}})
    assert [g.gate for g in result.broken_gates] == ["after.value"]


def test_gates_at_their_bounds_hold():
    metrics = {"a": Metric(0.05, "ratio"), "b": Metric(2, "count")}
    bounds = {"a": {"max": 0.05, "min": None}, "b": {"min": 2}, "a.removed": None}
    assert gates.broken_gates(bounds, metrics) == []


def test_nothing_holds_for_nan():
    metric = Metric(0.05, "ratio")
    object.__setattr__(metric, "value", float("nan"))
    for gate in ({"max": 1}, {"min": 0}, {"max": float("nan")}):
        assert [g.metric for g in gates.broken_gates({"a": gate}, {"a": metric})] == ["a"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "3", None, 10**400])
def test_a_metric_is_a_finite_number(tmp_path, monkeypatch, value):
    monkeypatch.setattr(dummy_steps.Count, "run", lambda self, ctx: ctx.metric("count.numbers", value, "count"))
    with pytest.raises(StepError, match="not a finite number"):
        run(tmp_path, steps=["count"])


def test_numpy_numbers_are_metrics(tmp_path, monkeypatch):
    np = pytest.importorskip("numpy")
    monkeypatch.setattr(dummy_steps.Count, "run", lambda self, ctx: ctx.metric("a.b", np.float32(0.5), "ratio"))
    assert run(tmp_path, steps=["count"]).metrics["a.b"].value == 0.5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda self, ctx: [ctx.metric("a", 1, "count"), ctx.metric("a", 2, "count")], "written twice"),
        (lambda self, ctx: ctx.metric("a", 1, "count", "down"), "direction 'down'"),
        (lambda self, ctx: ctx.metric("a", 1, "count", "lower", "1 point"), "tolerance '1 point'"),
        (lambda self, ctx: ctx.upstream("total"), "reads 'total'"),
        (lambda self, ctx: ctx.upstream_metric("total.value"), "no earlier step wrote"),
    ],
)
def test_a_step_that_breaks_the_contract_is_told(tmp_path, monkeypatch, body, message):
    monkeypatch.setattr(dummy_steps.Count, "run", body)
    with pytest.raises(StepError, match=message):
        run(tmp_path, steps=["count"])


def test_threads_come_from_the_spec(tmp_path, monkeypatch):
    monkeypatch.setattr(
        dummy_steps.Count, "run", lambda self, ctx: ctx.metric("count.threads", ctx.torch_threads, "count")
    )
    executor = {"backend": "processes", "jobs": 1, "threads": 3, "address": None}
    assert run(tmp_path, steps=["count"], executor=executor).metrics["count.threads"].value == 3


def test_the_core_needs_no_torch():
    code = (
        "import sys, mico_runner.pipeline.running, mico_runner.outputs.comparison, mico_runner.outputs.gc\n"
        "heavy = {'torch', 'xgboost', 'pygmo', 'sklearn', 'matplotlib', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stderr == ""


def test_the_example_in_the_contract_is_a_step(tmp_path, monkeypatch):
    example = base.__doc__.split("`mico_runner/sections/`:\n")[1].split("\nOrder of calls")[0]
    registry = dummy_steps.DummyRegistry()
    names = {"register": registry.register, "Step": base.Step, "Path": Path, "catalog": catalog, "__name__": "example"}
    exec(textwrap.dedent(example), names)
    (tmp_path / "number").write_text("21")
    section = dataclasses.make_dataclass("Section", [("file", str)], frozen=True)
    form = dataclasses.make_dataclass("Form", [("double", section)], bases=(DummySections,), frozen=True)
    data = spec(steps=["double"], double={"file": str(tmp_path / "number")})
    options = Options(outputs=tmp_path / "outputs", quiet=True)
    assert running.run(data, options, registry, form).metrics["double.number"].value == 42
    assert running.run(data, options, registry, form).statuses == {"double": "cached"}
    (tmp_path / "number").write_text("4")
    assert [row.reason for row in plan(data, options, registry, form)] == ["file changed"]
    assert running.run(data, options, registry, form).metrics["double.number"].value == 8
