"""The structured solver against the plain one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.errors import StepError
from mico_runner.proxy import grid_solver
from mico_runner.proxy.grid_solver import solve

THETA = {"shape": 0.05, "bits": 0.02, "own": 0.03, "own_bits": 0.01, "noise": 0.01}


def kernel(points):
    return np.exp(-0.5 * ((points[:, None] - points[None]) ** 2).sum(axis=2))


def case(seed, shapes, pairs, share, repeated):
    """Kernels, cells of the rows (some missing, some measured twice), target."""
    rng = np.random.default_rng(seed)
    K, B = kernel(rng.normal(0, 2, (shapes, 3))), kernel(rng.normal(0, 1, (pairs, 2)))
    cells = np.flatnonzero(rng.random(shapes * pairs) < share)
    cells = np.concatenate([cells, [0], rng.choice(cells, repeated) if len(cells) else []]).astype(int)
    shape_of, pair_of = np.divmod(cells, pairs)
    return K, B, shape_of, pair_of, rng.normal(0, 0.1, len(cells))


@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 9), st.sampled_from([0.1, 0.5, 1.0]), st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_equal_to_the_dense_solution(seed, shapes, pairs, share, repeated):
    K, B, shape_of, pair_of, target = case(seed, shapes, pairs, share, repeated)
    rows, same = np.ix_(shape_of, shape_of), shape_of[:, None] == shape_of
    dense = THETA["shape"] ** 2 * K[rows] + THETA["own"] ** 2 * same
    dense += (THETA["bits"] ** 2 * K[rows] + THETA["own_bits"] ** 2 * same) * B[np.ix_(pair_of, pair_of)]
    dense += THETA["noise"] ** 2 * np.eye(len(target))
    expected = np.zeros((shapes, pairs))
    np.add.at(expected, (shape_of, pair_of), np.linalg.solve(dense, target))
    found = solve(K, B, THETA, shape_of, pair_of, target)
    assert np.abs(found - expected).max() <= 1e-7 * np.abs(expected).max()


def test_no_convergence_is_an_error(monkeypatch):
    monkeypatch.setattr(grid_solver, "ITERATIONS", 1)
    with pytest.raises(StepError, match="converge"):
        solve(*case(0, 10, 8, 0.5, 0)[:2], THETA, *case(0, 10, 8, 0.5, 0)[2:])
