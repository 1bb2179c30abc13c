"""How two versions are compared beyond their metrics: several runs a side, other specs and processors, baselines, forms for a CI."""

import json
import statistics
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mico_runner import outputs
from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.comparison import compare
from mico_runner.outputs.differences import differences
from mico_runner.outputs.repeats import half_width, repeats
from mico_runner.steps.base import Metric

AVX2 = {"system": "Linux", "machine": "x86_64", "processor": "A", "packages": {"torch": "2.12"}}
VALUES = st.lists(st.integers(-1000, 1000), min_size=2, max_size=6)


def version(root, number, latency, wall=1.0, fingerprint="f", name="x", kernel="AVX2", about=AVX2, **spec):
    """A version of one step, whose one metric was measured."""
    folder = root / name / f"v{number:04d}"
    folder.mkdir(parents=True)
    metrics = {"simulate.latency": Metric(latency, "ms", "lower", "1%", volatile=True), "simulate.size": Metric(8, "B")}
    store.write_metrics(folder, metrics)
    step = {"status": "run", "fingerprint": fingerprint, "wall_seconds": wall, "cpu_seconds": wall}
    step |= {"numerics": {"torch": {"kernel": kernel}}, "metrics": sorted(metrics)}
    (folder / "manifest.json").write_text(json.dumps({"environment": about, "steps": {"simulate": step}}))
    (folder / "spec.resolved.yaml").write_text(yaml.safe_dump({"name": name, **spec}))
    return folder


def one(a, b, **metric):
    """The row of a measured metric that had these values in the runs of A and of B."""
    sides = [{"m": Metric(side[0], "ms", **{"direction": "lower", "volatile": True, **metric})} for side in (a, b)]
    return compare(*sides, [], ({"m": list(a)}, {"m": list(b)})).rows[0]


@pytest.mark.filterwarnings("ignore:Precision loss")  # of scipy, for values that are all alike
@given(VALUES, VALUES)
def test_the_interval_is_that_of_welchs_test(a, b):
    half = half_width(a, b, 0.95)
    if half is None:
        assert len(set(a)) == len(set(b)) == 1
        return
    low, high = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert half == pytest.approx((high - low) / 2, rel=1e-6)


@given(VALUES, VALUES)
def test_worse_one_way_is_better_the_other(a, b):
    verdicts = {one(a, b).verdict, one(b, a).verdict}
    assert verdicts in ({"noise"}, {"worse", "better"}, {"volatile"}, {"changed", "better"})


def test_a_measured_metric_is_judged_where_the_difference_is_sure():
    assert one([10, 11, 9], [10.5, 11.5, 9.5]).verdict == "noise"
    assert one([10, 10.1, 9.9], [12, 12.1, 11.9]).verdict == "worse"
    assert one([12, 12.1, 11.9], [10, 10.1, 9.9]).verdict == "better"
    assert one([10, 10.1, 9.9], [12, 12.1, 11.9], tolerance="25%").verdict == "changed"
    assert one([10], [12, 12.1]).verdict == "volatile", "one run says nothing about the noise"
    row = one([10, 10.1, 9.9], [12, 12.1, 11.9])
    assert row.a == statistics.fmean([10, 10.1, 9.9]) and 0 < row.noise < 0.5


def test_a_rule_is_broken_beyond_the_noise():
    a, b = {"m": Metric(10, "ms", volatile=True)}, {"m": Metric(10.6, "ms", volatile=True)}
    sure, unsure = ({"m": [10, 10.01]}, {"m": [10.6, 10.61]}), ({"m": [10, 12]}, {"m": [10.6, 13]})
    assert compare(a, b, ["m>+5%"], sure).regressed and not compare(a, b, ["m>+5%"], unsure).regressed


def test_runs_of_one_state_are_found_by_their_fingerprints(tmp_path):
    for number, (latency, wall, state) in enumerate(
        [(9, 1, "old"), (10, 2, "f"), (11, 3, "f"), (11, 3, "f"), (5, 4, "g")]
    ):
        version(tmp_path, number, latency, wall, state)
    newest = tmp_path / "x" / "v0003"
    assert repeats(newest, 9)["simulate.latency"] == [11, 10], "what came from the cache was measured once"
    assert repeats(newest, 1)["simulate.latency"] == [11]
    (tmp_path / "x" / "v0001" / "manifest.json").write_text("{")
    assert repeats(newest, 9)["simulate.latency"] == [11], "a damaged version is passed over"


def test_the_spec_says_how_many_runs_and_which_rules(tmp_path):
    for number, latency in enumerate((10, 10.1, 20, 20.1)):
        state = "a" if number < 2 else "b"
        version(tmp_path, number, latency, number, state, diff={"runs": 2, "fail_on": ["simulate.size>+0"]})
    a, b = (tmp_path / "x" / name for name in ("v0001", "v0003"))
    assert [row.name for row in outputs.diff(a, b).regressions] == ["simulate.latency"]
    assert outputs.diff(a, b, runs=1).regressions == []
    assert outputs.diff(a, b, ["simulate.size>5"]).regressions[-1].rule == "worse (simulate.size>5)"
    (b / "spec.resolved.yaml").write_text("diff: {fail_on: ['simulate.energy>+1%', 'simulate.size>7']}")
    result = outputs.diff(a, b)
    assert [row.name for row in result.regressions] == ["simulate.size"], "the other rule still counts"
    assert result.idle == ["simulate.energy>+1%"] and "judging no metric: simulate.energy>+1%" in result.to_table()
    (b / "spec.resolved.yaml").write_text("diff: {fail_of: []}")
    with pytest.raises(UsageError, match="fail_of: unknown key"):
        outputs.diff(a, b)


def test_what_else_is_different_stands_above(tmp_path):
    a = version(tmp_path, 1, 10, seed=1, search={"budget": {"evaluations": 40}})
    other = {**AVX2, "processor": "B", "packages": {"torch": "2.13"}}
    b = version(tmp_path, 2, 10, about=other, kernel="AVX512", seed=1, search={"budget": {"evaluations": 80}})
    said = [f"{each.of}: {each}" for each in differences(a, b)]
    assert said == [
        "spec: search.budget.evaluations: 40 -> 80",
        "environment: packages.torch: 2.12 -> 2.13",
        "processor: processor: A -> B",
        "processor: kernels: AVX2 -> AVX512",
    ]
    lines = outputs.diff(a, b).to_table().splitlines()
    assert lines[:4] == said and "No regressions" in lines
    assert all(line in outputs.diff(a, b).to_markdown() for line in said[:2])
    assert differences(a, a) == [] and outputs.diff(a, a).to_table().startswith("No regressions")


def test_regressions_come_first_and_the_rest_is_counted():
    names = {"a.same": (1, 1), "b.better": (2, 1), "c.worse": (1, 2), "d.new": (None, 1), "e.gone": (1, None)}
    sides = [{n: Metric(v[i], "s", "lower") for n, v in names.items() if v[i] is not None} for i in (0, 1)]
    result = compare(*sides, [])
    assert [row.name for row in result.shown()] == ["c.worse", "e.gone", "b.better", "d.new"]
    assert [row.name for row in result.shown(everything=True)][-1] == "a.same"
    assert result.to_table().splitlines()[:2] == ["2 regressions", "1 better, 1 new, 1 the same"]
    assert result.to_markdown().startswith("**2 regressions**; 1 better, 1 new, 1 the same")


def test_forms_for_a_ci():
    a = {"m:x,y\n": Metric(10, "%", "lower"), "m.gone": Metric(1, "s", "lower"), "m.fine": Metric(1, "s")}
    b = {"m:x,y\n": Metric(12, "%", "lower"), "m.fine": Metric(1, "s"), "m.time": Metric(1, "s", volatile=True)}
    result = compare(a, b, [])
    lines = result.to_github("kws").splitlines()
    assert lines[1] == "::error title=kws%3A m%3Ax%2Cy\\n::m:x,y\\n: 10 -> 12 %25, +2 (+20.00 %25): worse"
    assert lines[0] == "::error title=kws%3A m.gone::m.gone was 1 s and is gone" and len(lines) == 2
    suite = ElementTree.fromstring(result.to_junit("kws"))
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {"m:x,y\\n": ["failure"], "m.gone": ["failure"], "m.fine": [], "m.time": ["skipped"]}


def test_a_baseline_of_ones_own_processor_comes_first(tmp_path):
    b = version(tmp_path, 1, 10)
    with pytest.raises(UsageError, match=r"no baseline .*--save-baseline makes one"):
        outputs.baseline_of(b, tmp_path)
    common = outputs.save_baseline(b, tmp_path)
    assert outputs.baseline_of(b, tmp_path) == common == tmp_path / "baselines" / "x"
    own = outputs.save_baseline(b, tmp_path, per_platform=True)
    assert outputs.baseline_of(b, tmp_path) == own == common / "linux-x86_64-avx2"
    other = version(tmp_path, 2, 10, kernel="AVX512")
    assert outputs.baseline_of(other, tmp_path) == common
    assert [str(each) for each in differences(common, other)] == ["kernels: AVX2 -> AVX512"]
    nameless = version(tmp_path, 3, 10, about={"processor": "C"})
    with pytest.raises(UsageError, match="does not say its platform"):
        outputs.save_baseline(nameless, tmp_path, per_platform=True)


def test_a_baseline_of_several_runs_keeps_what_was_measured(tmp_path):
    for number, latency in enumerate((10, 10.1, 9.9)):
        newest = version(tmp_path, number, latency, number)
    baseline = outputs.save_baseline(newest, tmp_path, runs=3)
    assert store.metrics(baseline)["simulate.latency"].value == pytest.approx(10)
    for number, latency in enumerate((12, 12.1, 11.9), 3):
        worse = version(tmp_path, number, latency, number, "after")
    assert [row.name for row in outputs.diff(baseline, worse, runs=3).regressions] == ["simulate.latency"]
    assert outputs.save_baseline(newest, tmp_path) == baseline
    assert "simulate.latency" not in store.metrics(baseline) and repeats(baseline, 3) == {}
