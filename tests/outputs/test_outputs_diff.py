"""Two versions compared."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner.errors import UsageError
from mico_runner.outputs import diff, store
from mico_runner.outputs.comparison import allowed, compare
from mico_runner.steps.base import Metric

FINITE = st.floats(-1e9, 1e9, allow_nan=False).map(lambda v: v + 0.0)
DIRECTIONS = {"a.x": "lower", "a.y": "higher", "b.x": "info", "b.y": "lower", "c": "higher"}


def metrics(name):
    return st.builds(
        Metric,
        value=FINITE | st.integers(-(10**9), 10**9),
        unit=st.just("count"),
        direction=st.just(DIRECTIONS[name]),
        tolerance=st.floats(0, 100) | st.integers(0, 50).map(lambda n: f"{n}%"),
        volatile=st.booleans(),
    )


METRICS = st.fixed_dictionaries({}, optional={name: metrics(name) for name in DIRECTIONS})


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
            assert not (a[row.name].volatile and b[row.name].volatile) and b[row.name].direction != "info"
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
    ],
)
def test_rules(rule, a, b, unit, worse):
    row = one(a, b, "info", rules=[rule], unit=unit)
    assert (row.verdict == "worse") == worse
    assert (row.rule == f"worse ({rule})") == worse


@pytest.mark.parametrize("volatile", [False, True])
def test_a_rule_on_a_metric_that_vanished_is_broken(volatile):
    for rule in ("m.x>5", "m.x>+5", "m.*<-1%"):
        result = compare(
            {"m.x": Metric(1, "%", "info", volatile=volatile), "n": Metric(1, "s")}, {"n": Metric(1, "s")}, [rule]
        )
        assert [row.rule for row in result.regressions] == [f"gone ({rule})"]


def test_a_relative_rule_passes_over_new_metrics_unless_there_are_only_such():
    sides = ({"m.x": Metric(1, "s", "lower")}, {"m.x": Metric(1, "s", "lower"), "m.new": Metric(9, "s", "lower")})
    assert not compare(*sides, ["m.*>+5%"]).regressed
    with pytest.raises(UsageError, match=r"A lacks m\.new"):
        compare(*sides, ["m.new>+5%"])


def test_every_rule_on_a_metric_counts():
    for rules in (["m.x>+50%", "m.x>105"], ["m.x>105", "m.x>+50%"]):
        assert one(100, 110, "lower", 0.0, rules).rule == "worse (m.x>105)"
    assert one(100, 110, "lower", 0.0, ["m.x>+50%", "m.x>200"]).verdict == "changed"


@pytest.mark.parametrize(("direction", "rule", "b"), [("higher", "m.x>+2%", 50), ("lower", "m.x<10", 150)])
def test_a_rule_on_the_better_side_leaves_the_tolerance_in_force(direction, rule, b):
    assert one(100, b, direction, 1.0, [rule]).verdict == "worse"


@pytest.mark.parametrize(("a", "b", "worse"), [(0, 1e-12, True), (0, 0, False), (-10, -9.9, False), (-10, -9.7, True)])
def test_percent_of_zero_and_of_negative_values(a, b, worse):
    assert (one(a, b, "info", rules=["m.x>+2%"]).verdict == "worse") == worse


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
        ("m.x>nan", "not a rule"),
        ("m.x>inf", "not a rule"),
        ("m.x>1e999", "not a rule"),
        ("m.x>+ 5%", "not a rule"),
        ("m.x>-", "not a rule"),
        ("", "not a rule"),
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


def test_two_directions_do_not_compare():
    with pytest.raises(UsageError, match="m: the direction was 'lower' and is now 'info'; n: the unit was 's'"):
        compare({"m": Metric(1, "s", "lower"), "n": Metric(1, "s")}, {"m": Metric(9, "s"), "n": Metric(1, "ms")}, [])


def test_a_metric_is_measured_only_where_both_say_so():
    for a, b in ((True, False), (False, True)):
        sides = [{"m": Metric(value, "s", "lower", volatile=v)} for value, v in ((1, a), (9, b))]
        assert compare(*sides, []).regressed


@pytest.mark.parametrize(
    "fields",
    [
        {"value": float("nan")},
        {"value": float("-inf")},
        {"value": None},
        {"value": "98.5"},
        {"value": True},
        {"value": 10**400},
        {"unit": None},
        {"direction": "up"},
        {"direction": None},
        {"tolerance": -1},
        {"tolerance": float("nan")},
        {"tolerance": "1 percent"},
        {"tolerance": "9" * 400 + "%"},
        {"tolerance": None},
        {"volatile": 1},
    ],
    ids=str,
)
def test_a_metric_that_no_comparison_holds_for_is_none(fields):
    with pytest.raises(ValueError):
        Metric(**{"value": 1.0, "unit": "%", **fields})


def test_two_versions_without_a_metric_in_common(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store.write_metrics(tmp_path / name, {f"m.{name}": Metric(1, "s")})
    with pytest.raises(UsageError, match="no metric in common"):
        diff(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "found an array; allowed: an object"),
        ('{"m": 1}', "metric 'm': found a number"),
        ('{"m": {"value": 1}}', "metric 'm': no unit"),
        ('{"m": {"unit": "s"}}', "metric 'm': no value"),
        ('{"m": {"value": 1, "unit": "s", "directon": "lower"}}', "unknown key 'directon'; did you mean 'direction'?"),
        ('{"m": {"value": 1, "value": 2, "unit": "s"}}', "duplicate key 'value'"),
        ('{"m": {"value": 1, "unit": "s"}, "m": {"value": 2, "unit": "s"}}', "duplicate key 'm'"),
        ("[" * 100_000, "not a metrics file"),
        ("\xff", "not UTF-8 text"),
    ],
)
def test_a_file_that_no_run_would_write(tmp_path, text, message):
    (tmp_path / "metrics.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=re.escape(str(tmp_path / "metrics.json"))) as caught:
        store.metrics(tmp_path)
    assert message in str(caught.value)


def test_markdown_shows_names_as_they_are():
    name = "a|b`c`<i>*d*\n\x1b[31m\u2028"
    lines = compare({name: Metric(1, "|")}, {name: Metric(2, "|")}, []).to_markdown().splitlines()
    assert len(lines) == 5
    assert "a\\|b\\`c\\`&lt;i>\\*d\\*\\\\n\\\\x1b\\[31m\\\\u2028" in lines[4]
    assert "\x1b" not in compare({name: Metric(1, "s")}, {}, []).to_table()


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
