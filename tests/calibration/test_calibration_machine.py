"""Calibration of this machine: counts agree with torch, timing ends, an interrupted run goes on, estimates follow the measurements."""

import json

import numpy as np
import pandas as pd
import pytest

from mico_runner.calibration import cases, machine, timing
from mico_runner.calibration.cases import Plan

torch = pytest.importorskip("torch")

from mico_runner.calibration import benchmarks, curves, estimator, networks, processor, profile  # noqa: E402
from mico_runner.calibration.capture import capture  # noqa: E402
from mico_runner.errors import UsageError  # noqa: E402
from mico_runner.frozen_data import build  # noqa: E402
from mico_runner.sections import Calibrate  # noqa: E402

PUBLISHED = {  # parameters in millions, as published with each network (torchvision for the sizes that the papers round)
    **{"vgg11": 132.86, "vgg16": 138.36, "resnet18": 11.69, "resnet34": 21.80, "resnet50": 25.56, "mobilenet_v2": 3.50},
    **{"mobilenet_v3_small": 2.54, "efficientnet_b0": 5.29, "squeezenet": 1.24, "vit_b_16": 86.57, "vit_s_16": 22.05},
}
GMACS = {"vgg16": 15.47, "resnet18": 1.81, "resnet50": 4.09, "mobilenet_v2": 0.30, "efficientnet_b0": 0.39}


def small(**changes) -> list[cases.Case]:
    """The smallest case of every operation."""
    plan = Plan(**changes)
    return [min((c for c in plan.cases() if c.op == op), key=lambda c: c.elements) for op in plan.operations]


@pytest.mark.parametrize("case", small(), ids=lambda c: c.op)
def test_every_case_runs_and_has_the_counts_of_its_own_call(case):
    call, prepare = benchmarks.build(case)
    prepare()
    rows = _captured(call)
    own = rows[rows["op"] == case.op]
    assert len(own) == 1
    for column in ("macs", "weights", "reduction", "in_channels", "out_channels"):
        assert own[column].iloc[0] == getattr(case, column), column
    assert own["elements"].iloc[0] == pytest.approx(case.elements, rel=0.3)  # padding of a convolution is not counted


def _captured(call):
    module = torch.nn.Module()
    module.forward = call
    return capture(module, ())


def test_all_cases_have_names_of_their_own():
    keys = [c.key for c in Plan(batches=[1, 4], precisions=["fp32", "bf16"], quick=False).cases()]
    assert len(keys) == len(set(keys)) > 500


def test_the_network_list_of_the_spec_is_the_list_of_networks():
    assert tuple(networks.NETWORKS) == cases.NETWORK_NAMES


@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_have_their_published_sizes(name):
    with torch.device("meta"):
        module = networks.NETWORKS[name]()
    assert sum(p.numel() for p in module.parameters()) / 1e6 == pytest.approx(PUBLISHED[name], abs=0.01)


@pytest.mark.parametrize("name", GMACS)
def test_captured_operators_add_up_to_the_published_work(name):
    rows = capture(networks.NETWORKS[name]().eval(), networks.example(name))
    assert rows["macs"].sum() / 1e9 == pytest.approx(GMACS[name], rel=0.02)


def test_an_operator_that_is_not_calibrated_is_an_error_not_a_zero():
    module = torch.nn.Module()
    module.forward = torch.erfinv
    with pytest.raises(UsageError, match=r"aten\.erfinv is not calibrated"):
        capture(module, (torch.zeros(2),))


def test_timing_stops_when_the_median_is_known_and_when_time_is_up():
    def spin():
        sum(range(20_000))

    steady = timing.measure(spin, lambda: None, 0.5, 5)
    assert len(steady.samples) == timing.MIN_SAMPLES and steady.median > 0
    assert len(timing.measure(spin, lambda: None, 1e-9, 0.05).samples) < timing.MAX_SAMPLES


def test_the_interval_of_the_median_holds_the_true_one():
    rng = np.random.default_rng(0)
    found = [timing.summary(list(rng.exponential(size=101))) for _ in range(300)]
    assert np.mean([abs(t.median - np.log(2)) <= 2 * t.half_width for t in found]) > 0.95


def section(**changes):
    usual = {
        "seed": 0,
        "budget": "quick",
        "operations": ["act_ReLU", "bn"],
        "precisions": ["fp32"],
        "batches": [1],
        "threads": 1,
        "write_to": None,
        "compare": None,
        "networks": [],
    }
    return build(Calibrate, usual | changes)


def test_an_interrupted_calibration_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setitem(machine.SECONDS_PER_CASE, "quick", 0.001)
    first = machine.measure(section(operations=["act_ReLU"]), tmp_path / "points.jsonl")
    with (tmp_path / "points.jsonl").open("a") as out:
        out.write('{"key": "cut of')  # what a kill leaves behind
    both = machine.measure(section(), tmp_path / "points.jsonl")
    assert len(both) > len(first) and [p for p in both if p["op"] == "act_ReLU"] == first
    assert len((tmp_path / "points.jsonl").read_text().splitlines()) == len(both)


def test_damaged_points_are_measured_again(tmp_path, monkeypatch):
    monkeypatch.setitem(machine.SECONDS_PER_CASE, "quick", 0.001)
    journal, told = tmp_path / "points.jsonl", []
    first = machine.measure(section(operations=["act_ReLU"]), journal)
    lines = journal.read_text().splitlines(keepends=True)
    lines[0] = lines[0].replace('"seconds": ', '"seconds": 9', 1)
    journal.write_text("".join(lines) + "nonsense\n")
    again = machine.measure(section(operations=["act_ReLU"]), journal, log=told.append)
    assert len(again) == len(first) and sum(a == b for a, b in zip(first, again, strict=True)) == len(first) - 1
    assert told == [
        f"points.jsonl, of an interrupted calibration: 2 of {len(first) + 1} lines do not match their sum; "
        f"{len(first) - 1} points are kept"
    ]


def test_many_cases_share_the_budget(tmp_path, monkeypatch):
    limits = []
    monkeypatch.setitem(machine.SECONDS, "quick", 1.0)
    timed = timing.Timing(1.0, 0.0, 0.0, [1.0])
    monkeypatch.setattr(
        timing, "measure", lambda call, prepare, tolerance, limit, threads: limits.append(limit) or timed
    )
    machine.measure(section(operations=["act_ReLU"]), tmp_path / "few.jsonl")
    machine.measure(section(operations=["act_ReLU", "bn"], batches=[1, 4]), tmp_path / "many.jsonl")
    assert limits[0] == pytest.approx(1 / 9) and limits[-1] < limits[0] / 2


def test_what_does_not_fit_into_the_budget_is_left_out_evenly(tmp_path, monkeypatch):
    asked = section(precisions=["fp32", "int8"], batches=[1, 16])
    cases = machine.planned(asked)
    monkeypatch.setattr(timing, "measure", lambda *_: timing.Timing(1.0, 0.0, 0.0, [1.0]))
    monkeypatch.setattr(machine.benchmarks, "build", lambda case: (None, None))
    now = iter(range(10**6))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: float(next(now)))
    monkeypatch.setitem(machine.SECONDS, "quick", float(len(cases) // 3))
    points = machine.measure(asked, tmp_path / "points.jsonl")
    assert len(points) == len(cases) // 3
    places = [c.key for c in cases]
    assert [places.index(p["key"]) for p in points] == sorted(places.index(p["key"]) for p in points)
    for group in {(c.op, c.precision, c.batch) for c in cases}:
        all_of = sum((c.op, c.precision, c.batch) == group for c in cases)
        kept = sum((p["op"], p["precision"], p["batch"]) == group for p in points)
        assert abs(kept - all_of / 3) < 2
    monkeypatch.setitem(machine.SECONDS, "quick", 1e9)
    assert len(machine.measure(asked, tmp_path / "points.jsonl")) == len(cases)  # a second run goes on


@pytest.fixture(scope="module")
def points():
    """Every case of the quick plan on a machine of 100 GFLOP/s, 20 GB/s and 5 us a launch."""
    made = []
    for case in Plan().cases():
        seconds = 5e-6 + case.flops / 1e11 + case.bytes / 2e10
        timed = timing.Timing(seconds, 0.01 * seconds, 0.01 * seconds, [seconds] * 5)
        made.append(machine._point(case, timed))
    return made


def test_the_estimate_of_a_simple_machine_is_right_on_networks_it_never_saw(points):
    model = estimator.estimator(points)
    for name in ("resnet18", "vit_s_16"):
        rows = capture(networks.NETWORKS[name]().eval(), networks.example(name))
        truth = (5e-6 + 2 * rows["macs"] / 1e11 + 4 * (rows["weights"] + rows["elements"]) / 2e10).sum()
        assert model.predict(rows).sum() == pytest.approx(truth, rel=0.08)


def test_an_estimate_explains_itself(points):
    model = estimator.estimator(points)
    x, weight = torch.zeros(1, 64, 56, 56), torch.zeros(64, 64, 3, 3)
    rows = _captured(lambda: torch.nn.functional.conv2d(x, weight, None, 1, 1))
    (text,) = model.explain(rows[rows["op"] == "conv_k3"])
    assert text.startswith("conv 3x3 64→64: ") and "macs conv_k3" in text and "±" in text and "EXTRAPOLATED" not in text


def test_a_profile_holds_peaks_points_and_curves_and_is_json(points):
    found = json.loads(json.dumps(profile.of_points(points, 0.02)))
    assert found["quiet"] and found["peaks"]["fp32"]["flops_per_s"] <= 1e11
    entry = found["operations"]["conv_k3/fp32"]
    assert {"flops", "bytes", "shape", "efficiency", "std", "n"} <= set(entry["points"][0])
    assert 0.5 < max(p["efficiency"] for p in entry["points"]) <= profile.BEYOND
    assert curves.Curve.from_json(entry["curve"]).cv_error < 0.3


def test_a_curve_is_of_the_time_without_overhead(points):
    entry = profile.of_points(points, 0.02)["operations"]["act_ReLU/fp32"]
    shortest = min(p["seconds"] for p in entry["points"])  # 5 us and a little for its bytes
    assert 0.7 * shortest < entry["overhead_s"] <= 5e-6
    highest = profile.of_points(points, 0.02)["peaks"]["fp32"]["bytes_per_s"]["highest"]
    for p in entry["points"]:
        assert p["efficiency"] == pytest.approx(p["bytes"] / (p["seconds"] - entry["overhead_s"]) / highest)
    assert entry["curve"]["cv_error"] < 0.02


def test_the_roofline_of_a_simple_machine_is_right_on_networks_it_never_saw(points):
    fitted = profile.roofline(profile.of_points(points, 0.02), "fp32", smooth=1)
    rows = capture(networks.NETWORKS["resnet18"]().eval(), networks.example("resnet18"))
    truth = (5e-6 + 2 * rows["macs"] / 1e11 + 4 * (rows["weights"] + rows["elements"]) / 2e10).sum()
    hard = profile.roofline(profile.of_points(points, 0.02), "fp32")
    assert hard.predict(rows).sum() == pytest.approx(truth, rel=0.1)
    assert fitted.predict(rows).sum() > hard.predict(rows).sum()
    with pytest.raises(UsageError, match="no precision int8; measured: fp32"):
        profile.roofline(profile.of_points(points, 0.02), "int8")


def test_the_curves_that_are_tried_can_be_chosen(points):
    found = profile.of_points(points, 0.02, shapes=("log_linear",), folds=3)
    assert {e["curve"]["shape"] for e in found["operations"].values() if "curve" in e} == {"log_linear"}


def test_a_profile_comes_back_from_its_files(points, tmp_path):
    found = {"environment": {}, **profile.of_points(points, 0.02)}
    profile.write(found, tmp_path / "new", {"a": [1.0]})
    assert profile.read(tmp_path / "new" / "profile.yaml") == json.loads(json.dumps(found))
    assert profile.read(tmp_path / "new" / "profile.json") == json.loads(
        json.dumps(found | {"samples_s": {"a": [1.0]}})
    )
    for text, message in (
        ("{", "broken.yaml:2:1: cannot be read as YAML"),
        ("a: 1", "not a profile of mico-run calibrate"),
    ):
        (tmp_path / "broken.yaml").write_text(text)
        with pytest.raises(UsageError, match=message):
            profile.read(tmp_path / "broken.yaml")


def test_a_profile_is_compared_with_the_previous_one_at_equal_sizes(points):
    slower = [p | {"seconds": p["seconds"] * (1.5 if p["op"] == "bn" else 1.0)} for p in points if p["op"] != "add"]
    before, after = (profile.of_points(some, 0.02) for some in (points, slower))
    changes = profile.compare(before, after).set_index("operation")["ratio"]
    assert changes["bn/fp32"] == pytest.approx(1.5) and changes["linear/fp32"] == 1
    assert "add/fp32" not in changes


def test_precisions_are_those_that_the_processor_has(tmp_path, monkeypatch):
    monkeypatch.setattr("mico_runner.machine.CPUINFO", tmp_path / "cpuinfo")
    assert processor.has("fp32") and not processor.has("bf16")  # a system that does not say
    (tmp_path / "cpuinfo").write_text("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512_bf16\n")
    assert processor.has("bf16") and processor.has("int8") and not processor.has("fp16")
    assert processor.environment(2)["processor"] == "Some CPU"


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_cases_of_other_precisions_run(precision):
    operations = list(cases.INT8_OPERATIONS if precision == "int8" else cases.OPERATIONS)
    for case in small(precisions=[precision], operations=operations):
        call, prepare = benchmarks.build(case)
        prepare()
        assert call().dtype == {"bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.quint8}[precision]


def test_int8_is_planned_for_what_computes_in_it():
    planned = Plan(precisions=["fp32", "int8"]).cases()
    assert {c.op for c in planned if c.precision == "int8"} == set(cases.INT8_OPERATIONS)
    assert {c.op for c in planned if c.precision == "fp32"} == set(cases.OPERATIONS)
    assert set(cases.COMPUTING) == {c.op for c in planned if c.flops > 0}


def test_grades_count_networks_by_error():
    table = pd.DataFrame(
        {"network": list("abcd"), "measured_s": 1.0, "datasheet_s": 0.5, "error": [0.05, -0.15, 0.25, -0.4]}
    )
    found = profile.grades(table, {"add": 0.2, "linear": 0.1, "bn": 0.4})
    assert found["best_operation"]["name"] == "linear" and found["worst_operation"] == {"name": "bn", "error": 0.4}
    assert found["grades"] == {"excellent": 1, "good": 1, "fair": 1, "poor": 1}
    assert found["mape"] == pytest.approx(0.2125) and found["datasheet_mape"] == pytest.approx(0.5)
