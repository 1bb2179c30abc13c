"""Roofline through curves: overhead plus the larger term, smooth when asked, and a sentence that explains every figure."""

import numpy as np
import pandas as pd
import pytest

from mico_runner.calibration import assumed, curves
from mico_runner.calibration.roofline import Roofline, curve_name
from mico_runner.errors import UnknownName

HALF = curves.choose(np.geomspace(1e6, 1e10, 6), np.full(6, 0.5) * np.array([0.95, 1.05, 0.95, 1.05, 0.95, 1.05]))


def operators(*rows):
    zeros = dict.fromkeys(("macs", "weights", "elements", "reduction", "in_channels", "out_channels"), 0.0)
    return pd.DataFrame([zeros | row for row in rows])


CONV = {
    "op": "conv_k3",
    "macs": 115.6e6,
    "weights": 36864,
    "elements": 401408,
    "reduction": 576,
    "in_channels": 64,
    "out_channels": 64,
}
BIG = {"op": "add", "elements": 25e6}


def roofline(**changes):
    about = {"precision": "fp32", "flops_per_s": 720e9, "bytes_per_s": 20e9, "compute": {"conv_k3": HALF}, "memory": {}}
    return Roofline(**about | {"overhead_s": {"conv_k3": 1e-5}} | changes)


def test_latency_is_overhead_plus_the_larger_of_compute_and_memory():
    compute, memory = 231.2e6 / (720e9 * 0.5), 4 * (36864 + 401408) / 20e9
    seconds = roofline().predict(operators(CONV, BIG))
    assert seconds == pytest.approx([1e-5 + max(compute, memory), 100e6 / 20e9], rel=0.01)


def test_a_smooth_maximum_lies_between_the_maximum_and_the_sum():
    rows = operators(CONV, CONV | {"elements": 2e6}, BIG, {"op": "view"})
    hard, soft, added = (roofline(smooth=p).predict(rows) for p in (None, 4, 1))
    assert (hard[:2] < soft[:2]).all() and (soft[:2] < added[:2]).all()
    terms = roofline().terms(rows)
    np.testing.assert_allclose(added, terms["overhead"] + terms["compute"] + terms["memory"])
    np.testing.assert_allclose(roofline(smooth=100).predict(rows), hard, rtol=0.01)
    assert hard[3] == soft[3] == 0  # nothing to do, no overhead known


def test_every_figure_is_explained():
    (text,) = roofline().explain(operators(CONV))
    assert text.startswith("conv 3x3 64→64: 231 MFLOP at 50 % of 720 GFLOP/s + 10 µs overhead = 653 µs, ")
    assert "curve conv_k3/fp32 (constant, measured), 6 points, ±" in text and "EXTRAPOLATED" not in text
    assert "EXTRAPOLATED" in roofline().explain(operators(CONV | {"macs": 1e13}))[0]
    assert roofline().explain(operators(BIG)) == ["add: 100 MB at 100 % of 20 GB/s = 5 ms, no curve: the full rate"]
    strided = CONV | {"op": "conv_std", "reduction": 147, "in_channels": 3}
    assert roofline(compute={"conv2d": HALF}).explain(operators(strided))[0].startswith("conv 7x7 3→64: ")


def test_curves_of_coarser_classes_and_assumed_ones_are_said():
    old = {"conv2d": assumed.curve([1e6, 1e9], [0.25, 0.25], std_dev=0.025)}
    (text,) = roofline(compute=old, overhead_s={}).explain(operators(CONV))
    assert "25 % of 720 GFLOP/s" in text and "curve conv2d/fp32 (spline, assumed), 2 points, ±11 %" in text
    assert curve_name("conv_pw", ["pointwise", "conv2d"]) == "pointwise"


def test_an_operator_without_a_curve_is_an_error_with_the_nearest_name():
    with pytest.raises(UnknownName, match="unknown efficiency curve 'linear'; did you mean 'linears'"):
        roofline(compute={"linears": HALF}).predict(operators(CONV | {"op": "linear"}))
    full = roofline(compute=None, overhead_s={})
    assert full.predict(operators(CONV)) == pytest.approx([231.2e6 / 720e9])


def test_no_curve_goes_beyond_the_roof():
    line = curves.fit(np.array([1e6, 1e7, 1e8]), np.array([0.1, 0.5, 2.5]), "log_linear")
    seconds = roofline(compute={"conv_k3": line}, overhead_s={}).predict(operators(CONV))
    assert seconds == pytest.approx([231.2e6 / 720e9])
