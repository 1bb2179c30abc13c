"""A broken gate's message shows numbers that justify it."""

from hypothesis import given
from hypothesis import strategies as st

from mico_runner.amounts import apart
from mico_runner.pipeline.gates import broken_gates, table
from mico_runner.steps.base import Metric

number = st.floats(-1e15, 1e15, allow_nan=False)


@given(number, st.floats(1e-12, 1e-3), st.sampled_from(["max", "min"]))
def test_a_value_beyond_its_limit_never_reads_like_it(limit, off, bound):
    sign = 1 if bound == "max" else -1
    value = limit + sign * max(abs(limit), 1e-300) * off
    found = broken_gates({"a.b": {bound: limit}}, {"a.b": Metric(value, "pJ")})
    if value == limit:
        assert not found
        return
    left, _, right = str(found[0]).removeprefix("a.b is ").partition(f" pJ; {bound} ")
    assert left != right
    assert left in table(found) and right in table(found)


@given(number, number, st.sampled_from(["{:.3g}", "{:,.0f}", "{:+.2f}"]))
def test_amounts_are_rounded_unless_they_would_read_the_same(value, other, form):
    text = apart(value, other, form.format)
    assert (text == form.format(value)) or (form.format(value) == form.format(other) and value != other)
    assert value == other or text != apart(other, value, form.format)


def test_gates_that_the_spec_removed_are_not_checked():
    assert broken_gates({"a.b": None, "c.d": None}, {"a.b": Metric(1.0, "")}) == []
