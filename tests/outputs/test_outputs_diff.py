"""Two versions compared."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner.errors import UsageError
from mico_runner.outputs import diff, store
from mico_runner.outputs.diff import allowed, compare
from mico_runner.steps.base import Metric

FINITE = st.floats(-1e9, 1e9, allow_nan=False).map(lambda v: v + 0.0)
METRIC = st.builds(
    Metric,
    value=FINITE | st.integers(-(10**9), 10**9),
    unit=st.just("count"),
    direction=st.sampled_from(["lower", "higher", "info"]),
    tolerance=st.floats(0, 100) | st.integers(0, 50).map(lambda n: f"{n}%"),
    volatile=st.booleans(),
)
METRICS = st.dictionaries(st.sampled_from(["a.x", "a.y", "b.x", "b.y", "c"]), METRIC)


def one(a, b, direction="lower", tolerance=0.0, rules=(), unit="count", volatile=False):
    """The row of a metric that goes from `a` to `b`; None: absent."""
    sides = [{} if v is None else {"m.x": Metric(v, unit, direction, tolerance, volatile)} for v in (a, b)]
    return compare(*sides, list(rules)).rows[0]


@given(METRICS)
def test_nothing_changed_means_no_regression(metrics):
    result = compare(metrics, metrics, [])
    assert not result.regressed
    assert {row.verdict for row in result.rows} <= {"same", "volatile"}


@given(METRICS, METRICS)
def test_every_metric_has_one_row_and_a_verdict(a, b):
    result = compare(a, b, [])
    assert [row.name for row in result.rows] == sorted(a.keys() | b.keys())
    for row in result.rows:
        assert (row.verdict == "new") == (row.name not in a)
        assert (row.verdict == "gone") == (row.name not in b)
        if row.verdict == "worse":
            assert not b[row.name].volatile and b[row.name].direction != "info"
            assert abs(row.change) > allowed(b[row.name].tolerance, row.a)
    assert json.loads(result.to_json())["regressions"] == [row.name for row in result.regressions]
    assert result.to_table() and result.to_markdown()


@given(FINITE, FINITE, st.sampled_from(["lower", "higher"]), st.floats(0, 100))
def test_worse_one_way_is_better_the_other_way(a, b, direction, tolerance):
    there, back = (one(*pair, direction, tolerance).verdict for pair in ((a, b), (b, a)))
    assert {there, back} in ({"same"}, {"better", "worse"}, {"better", "changed"})


@given(FINITE, FINITE, st.floats(0, 100), st.floats(0, 100))
def test_a_wider_tolerance_never_makes_a_regression(a, b, narrow, more):
    if one(a, b, tolerance=narrow).verdict != "worse":
        assert one(a, b, tolerance=narrow + more).verdict != "worse"


@pytest.mark.parametrize(
    ("a", "b", "direction", "tolerance", "verdict"),
    [
        (100, 101, "lower", "1%", "changed"),
        (100, 101.5, "lower", "1%", "worse"),
        (100, 98.5, "higher", "1%", "worse"),
        (99.0, 98.75, "higher", 0.25, "changed"),
        (99.0, 98.5, "higher", 0.25, "worse"),
        (-10, -11, "higher", "5%", "worse"),
        (0, 1e-9, "lower", "5%", "worse"),
        (1, 2, "info", 0.0, "changed"),
        (1, None, "info", 0.0, "gone"),
        (None, 1, "lower", 0.0, "new"),
    ],
)
def test_verdicts(a, b, direction, tolerance, verdict):
    assert one(a, b, direction, tolerance).verdict == verdict


def test_a_metric_that_vanished_is_a_regression_unless_it_says_nothing():
    assert compare({"m": Metric(1, "s", "lower")}, {}, []).regressed
    assert not compare({"m": Metric(1, "s", "info")}, {}, []).regressed
    assert not compare({"m": Metric(1, "s", "lower", volatile=True)}, {}, []).regressed
    assert not compare({}, {"m": Metric(1, "s", "lower")}, []).regressed


@pytest.mark.parametrize(
    ("rule", "a", "b", "unit", "worse"),
    [
        ("m.*>+2%", 100, 101.9, "count", False),
        ("m.*>+2%", 100, 102.1, "count", True),
        ("m.*>+2%", -100, -97, "count", True),
        ("m.x<-0.5", 99, 98.4, "%", True),
        ("m.x<-0.5", 99, 98.6, "%", False),
        ("m.x > 5", 1, 5.1, "%", True),
        ("m.x>5%", 1, 5.1, "%", True),
        ("m.x>5%", 1, 4.9, "%", False),
        ("m.x>1e3", 1, 1001, "count", True),
        ("m.x>5", None, 6, "count", True),
        ("m.x>+5", None, 6, "count", False),
    ],
)
def test_rules(rule, a, b, unit, worse):
    row = one(a, b, "info", rules=[rule], unit=unit)
    assert (row.verdict == "worse") == worse
    assert (row.rule == f"worse ({rule})") == worse


def test_a_rule_replaces_the_tolerance_and_holds_for_measured_times():
    assert one(100, 110, "lower", 0.0, ["m.x>+20%"]).verdict == "changed"
    assert one(100, 130, "lower", 0.0, ["m.x>+20%"], volatile=True).verdict == "worse"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("m.x", "not a rule"),
        ("m.x>", "not a rule"),
        ("m.x>=2", "not a rule"),
        ("m.x>two", "not a rule"),
        ("m.x>+2%%", "not a rule"),
        ("other>2", "no metric matches 'other'"),
        ("m.x>5%", "needs a sign"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_an_error(rule, message):
    with pytest.raises(UsageError, match=message):
        one(1, 2, rules=[rule])


def test_two_units_do_not_compare():
    with pytest.raises(UsageError, match="'ms' and is now 'cycles'"):
        compare({"m": Metric(1, "ms")}, {"m": Metric(1, "cycles")}, [])


def test_from_folders_and_as_markdown(tmp_path):
    for name, value in (("a", 1000.0), ("b", 1100.0)):
        (tmp_path / name).mkdir()
        store.write_metrics(tmp_path / name, {"search.latency": Metric(value, "cycles", "lower", "1%")})
    result = diff(tmp_path / "a", tmp_path / "b")
    assert result.regressed
    lines = result.to_markdown().splitlines()
    assert lines[0] == "**1 regression**"
    assert lines[2].startswith("| metric")
    assert "+100 (+10.00 %)" in lines[4] and "cycles" in lines[4] and "±1%" in lines[4] and "worse" in lines[4]
    with pytest.raises(UsageError, match=r"no metrics\.json"):
        diff(tmp_path, tmp_path / "b")
    (tmp_path / "a" / "metrics.json").write_text("{")
    with pytest.raises(UsageError, match="not a metrics file"):
        diff(tmp_path / "a", tmp_path / "b")
