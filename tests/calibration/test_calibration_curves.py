"""Efficiency curves: each shape recovers itself, the choice is by error on sizes left out, the end of the measurements is flagged."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.calibration import assumed, curves
from mico_runner.calibration.cases import CURVE_SHAPES
from mico_runner.errors import UsageError

X = np.geomspace(1e4, 1e10, 25)
TRUTHS = {
    "constant": np.full(25, 0.4),
    "linear": 5e-6 + 2e-12 * X,
    "log_linear": 1e-3 * X**0.25,
    "sigmoid": 0.8 * X / (X + 1e7),
    "piecewise": np.where(X < 1e7, 1e-3 * (X / 1e7) ** 0.6, 1e-3 * (X / 1e7) ** -0.2),
}


@pytest.mark.parametrize("shape", curves.SHAPES)
def test_each_shape_recovers_itself(shape):
    np.testing.assert_allclose(curves.fit(X, TRUTHS[shape], shape).predict(X), TRUTHS[shape], rtol=0.02)


@pytest.mark.parametrize("shape", curves.SHAPES)
def test_the_choice_predicts_sizes_that_were_left_out(shape):
    noise = np.exp(np.random.default_rng(1).normal(0, 0.03, len(X)))
    chosen = curves.choose(X[::2], (TRUTHS[shape] * noise)[::2])
    np.testing.assert_allclose(chosen.predict(X[1::2]), TRUTHS[shape][1::2], rtol=0.25)
    assert chosen.cv_error < 0.2


def test_of_equal_shapes_the_simplest_is_chosen():
    noise = np.exp(np.random.default_rng(2).normal(0, 0.05, len(X)))
    assert curves.choose(X, 0.4 * noise).shape == "constant"


def test_the_band_holds_most_new_measurements():
    rng = np.random.default_rng(3)
    curve = curves.choose(np.repeat(X, 4), np.repeat(TRUTHS["sigmoid"], 4) * np.exp(rng.normal(0, 0.1, 100)))
    new = TRUTHS["sigmoid"] * np.exp(rng.normal(0, 0.1, (40, 25)))
    low, high = curve.band(X)
    assert 0.88 < ((new > low) & (new < high)).mean() <= 1


def test_parameter_errors_shrink_with_measurements():
    rng = np.random.default_rng(4)
    few, many = (
        curves.fit(np.repeat(X, n), np.repeat(TRUTHS["sigmoid"], n) * np.exp(rng.normal(0, 0.1, 25 * n)), "sigmoid")
        for n in (1, 16)
    )
    assert many.errors["log_top"] < 0.5 * few.errors["log_top"]


def test_beyond_the_measurements_is_flagged_and_clamped_or_goes_on():
    clamped, sloped = (curves.fit(X, TRUTHS["log_linear"], "log_linear", e) for e in curves.EXTRAPOLATION)
    far = np.array([1e3, 1e7, 1e12])
    assert clamped.extrapolates(far).tolist() == [True, False, True]
    np.testing.assert_allclose(clamped.predict(far)[[0, 2]], TRUTHS["log_linear"][[0, -1]], rtol=1e-6)
    np.testing.assert_allclose(sloped.predict(far), 1e-3 * far**0.25, rtol=1e-6)


def test_a_spline_goes_on_with_the_slope_of_its_end():
    spline = assumed.curve([1e3, 1e6], [0.01, 0.1], "slope")
    np.testing.assert_allclose(spline.predict(np.array([1.0, 1e4, 1e9])), [1e-3, 0.01 * 10 ** (1 / 3), 1.0])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.01, 100), min_size=4, max_size=20))
def test_a_spline_is_monotone_whatever_the_points(values):
    curve = curves.fit(np.geomspace(1, 1e6, len(values)), np.array(values), "spline")
    steps = np.diff(curve.predict(np.geomspace(1, 1e6, 200)))
    assert (steps >= -1e-9).all() or (steps <= 1e-9).all()


@pytest.mark.parametrize("shape", curves.NAMES)
def test_a_curve_survives_json(shape):
    curve = curves.fit(X, TRUTHS["sigmoid"], shape)
    again = curves.Curve.from_json(json.loads(json.dumps(curve.to_json())))
    np.testing.assert_array_equal(again.predict(X), curve.predict(X))


@pytest.mark.parametrize("shape", [name for name in curves.NAMES if name != "constant"])
def test_the_order_of_keys_in_a_file_does_not_matter(shape):
    x = np.geomspace(1e3, 1e7, 12)
    curve = curves.fit(x, 0.1 + 0.5 * x / (x + 1e5), shape)
    data = curve.to_json()
    data["parameters"] = dict(reversed(data["parameters"].items()))
    assert np.array_equal(curves.Curve.from_json(data).predict(x), curve.predict(x))


def test_figures_that_were_written_down_are_kept_and_called_assumed():
    curve = assumed.curve([1e6, 1e9, 1e7], [0.1, 0.9, 0.5])
    np.testing.assert_allclose(curve.predict(np.array([1e6, 1e7, 1e9])), [0.1, 0.5, 0.9])
    assert curve.provenance == "assumed" and np.isnan(curve.band(np.array([1e7]))[0]).all()


@pytest.mark.parametrize(
    ("x", "y", "shape", "message"),
    [
        ([1.0, 2.0], [1.0, -1.0], "constant", "positive"),
        ([1.0], [1.0, 2.0], "constant", "sizes and"),
        ([1.0, 1.0], [1.0, 2.0], "sigmoid", "1 sizes; sigmoid needs 2"),
        ([1.0, 2.0], [1.0, 2.0], "cubic", "allowed: constant"),
    ],
)
def test_points_that_make_no_curve_are_refused(x, y, shape, message):
    with pytest.raises(UsageError, match=message):
        curves.fit(np.array(x), np.array(y), shape)


def test_hard_coded_curves_of_other_tools_are_read_and_called_assumed(tmp_path):
    old = {"flops": [1e6, 1e9], "measured_efficiency": [0.1, 0.6], "std_dev": [0.01, 0.06], "interpolation": "linear"}
    (tmp_path / "old.json").write_text(json.dumps({"conv2d": old | {"extrapolation": "clamp"}, "matmul": old}))
    found = assumed.read(tmp_path / "old.json")
    assert set(found) == {"conv2d", "matmul"} and found["conv2d"].provenance == "assumed"
    low, high = found["conv2d"].band(np.array([1e6]))
    assert low == pytest.approx([0.1 / np.exp(0.196)]) and high == pytest.approx([0.1 * np.exp(0.196)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "old.json:1:2: cannot be read as JSON"),
        ("[]", "a mapping of operation"),
        ('{"a": {"flops": [1]}}', "a: found flops; needed"),
        ('{"a": {"flops": [1], "measured_efficiency": [1, 2]}}', "a: curve: "),
        ('{"a": {"flops": [1, 1], "measured_efficiency": [1, 2]}}', "a: curve: a size occurs twice"),
        ('{"a": {"flops": ["x"], "measured_efficiency": [1]}}', "a: flops\\[0\\]: found 'x'; allowed: a number"),
        ('{"a": {"flops": [1], "measured_efficiency": [1], "extrapolation": "wild"}}', "extrapolation is 'wild'"),
        ('{"a": {"flops": [1], "measured_efficiency": [1], "interpolation": "cubic"}}', "interpolation is 'cubic'"),
        ('{"a": {"flops": [1, 2], "measured_efficiency": [1, 2], "std_dev": [1]}}', "std_dev must be one or 2 numbers"),
    ],
)
def test_a_damaged_file_of_curves_is_refused(tmp_path, text, message):
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        assumed.read(tmp_path / "old.json")


@pytest.mark.parametrize(
    ("between", "middle"), [("linear", 0.4), ("log_linear", 0.1 * 7 ** (np.log(5.5) / np.log(10)))]
)
def test_figures_are_joined_as_their_author_says(between, middle):
    curve = assumed.curve([1e6, 1e7], [0.1, 0.7], "slope", interpolation=between)
    assert curve.predict(np.array([1e6, 5.5e6, 1e7])) == pytest.approx([0.1, middle, 0.7])
    near, far = curve.predict(np.array([0.99e7, 1.02e7]))
    assert near < 0.7 < far and curve.extrapolates(np.array([1.02e7]))
    assert curves.Curve.from_json(json.loads(json.dumps(curve.to_json()))).predict(np.array([5.5e6])) == pytest.approx(
        middle
    )


def test_the_spec_names_the_shapes_that_there_are():
    assert set(CURVE_SHAPES) == set(curves.NAMES)


def test_with_an_overhead_points_count_by_what_the_curve_explains():
    seconds = 1e-5 + X / (1e13 * TRUTHS["sigmoid"])
    seconds[:8] *= np.exp(np.random.default_rng(5).normal(0, 0.02, 8))  # noise of calls that are nearly all overhead
    net = np.maximum(seconds - 1e-5, 1e-8)
    plain, aware = (curves.choose(X, X / net / 1e13, ("sigmoid",), fixed=f) for f in (None, 1 - net / seconds))
    assert aware.cv_error < 0.05 < plain.cv_error
    np.testing.assert_allclose(aware.predict(X[10:]), TRUTHS["sigmoid"][10:], rtol=0.05)
