"""Error-compensating rounding: in blocks, and without H for wide layers, against the recursion as it was published."""

import numpy as np
import pytest

from mico_runner.quant import compensation
from mico_runner.quant.compensation import BLOCK, WIDE, Layer, _Problem, _Wide
from mico_runner.quant.qgraph import TERNARY
from mico_runner.quant.rounding.gptq import Gptq
from mico_runner.quant.weights import round_weights, weight_scales


def straightforward(problem, hessian, scales, bits):
    """Each column's error goes to all later ones, by the inverse of H over the columns that are left (OBQ, in a fixed order)."""
    order = problem.order
    real, inverse = problem.rows[:, order].copy(), np.linalg.inv(hessian[np.ix_(order, order)])
    q = np.empty(real.shape, np.int8)
    for j in range(len(order)):
        q[:, order[j]] = rounded = round_weights(real[:, j : j + 1], scales, bits)[:, 0]
        real -= np.outer((real[:, j] - rounded * scales) / inverse[j, j], inverse[j])
        inverse -= np.outer(inverse[:, j], inverse[j]) / inverse[j, j]
    return q


def drawn(samples, k, outputs, seed=0):
    """Weights, correlated inputs of unequal sizes, and inputs near them; no two with the same squares, so that all take one order."""
    rng = np.random.default_rng([samples, k, seed])
    x = rng.normal(size=(samples, k)) * rng.exponential(1, k) + rng.normal(size=(samples, 1))
    read = x + 0.3 * rng.normal(size=x.shape)
    return rng.normal(size=(outputs, k)), x - x.mean(0), read - read.mean(0)


@pytest.mark.parametrize("bits", [1, TERNARY, 2, 4, 8])
@pytest.mark.parametrize(("samples", "k"), [(300, 40), (500, 3 * BLOCK + 5), (60, BLOCK + 40), (20, 2 * BLOCK)])
def test_blocks_give_the_integers_of_the_recursion(samples, k, bits):
    rows, x, read = drawn(samples, k, 6)
    scales = weight_scales(rows, bits, "channel", "mse")
    problem = _Problem(rows, x, read)
    wanted = straightforward(problem, problem.hessian, scales, bits)
    np.testing.assert_array_equal(problem.compensating(scales, bits), wanted)
    assert (wanted != round_weights(problem.rows, scales, bits)).any()  # errors were spread
    wide = _Wide(rows, x, read)
    np.testing.assert_allclose(wide.rows, problem.rows, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(wide.compensating(scales, bits), wanted)
    np.testing.assert_allclose(wide.times(rows), problem.times(rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_wide_layers_are_solved_without_the_hessian_and_alike(monkeypatch, granularity):
    rows, x, read = drawn(50, 50 * WIDE, 9)
    rows[4] = 0  # a channel without weights
    given, arguments = (rows, x[:, None], read[:, None]), (3, granularity, "mse", Gptq())
    monkeypatch.setattr(compensation, "_Problem", None)
    found = Layer(*given).compensated(*arguments)
    monkeypatch.undo()
    monkeypatch.setattr(compensation, "WIDE", np.inf)
    for ours, wanted in zip(found, Layer(*given).compensated(*arguments), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_two_bits_are_never_worse_than_three_values(granularity):
    """Which are some of theirs."""
    gained = 0
    for seed in range(5):
        rows, x, read = drawn(200, 30, 20, seed)
        errors = []
        for bits in (2, TERNARY):
            q, scales, _ = Layer(rows, x[:, None], read[:, None]).compensated(bits, granularity, "mse", Gptq())
            rest = _Problem(rows, x, read).rows - q * scales[:, None]
            errors.append((_Problem(rows, x, read).times(rest) * rest).sum(1))
        if granularity == "tensor":
            errors = [each.sum() for each in errors]
        assert (errors[0] <= np.multiply(errors[1], 1 + 1e-9)).all()
        gained += int(np.any(errors[0] < np.multiply(errors[1], 0.999)))
    assert gained


def test_constant_inputs_and_inputs_that_are_zero_can_be_solved():
    """H is regular by its damping alone."""
    rows = np.random.default_rng(0).normal(size=(3, 64))
    for value in (0.0, 1.0, 1e-25):
        x = np.full((8, 1, 64), value)
        q, scales, correction = Layer(rows, x, x).compensated(8, "channel", "mse", Gptq())
        np.testing.assert_allclose(q * scales[:, None], rows, atol=0.6 * scales.max())
        assert np.isfinite(correction).all()
