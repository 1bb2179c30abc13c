"""The linear system of the residual's Gaussian process, solved through its structure.

Rows lie on a grid of shapes and pairs of bit-widths, and the covariance on the whole grid is

    A = S1 x 11' + S2 x B + noise^2 I,    S1 = shape^2 K + own^2 I,    S2 = bits^2 K + own_bits^2 I,

x the Kronecker product, K (shapes) and B (pairs) the two kernels. S1 and S2 share K's eigenvectors, so A falls into one block of the
size of the pairs per eigenvalue. Profiles measure most shapes at the same pairs: A's inverse, cut to the measured cells, preconditions
conjugate gradients so well that a few iterations do (one, when the grid is full). Cubic in shapes and in pairs, never in rows. Rows of
one cell count as their mean, with as much less noise.
"""

from __future__ import annotations

import numpy as np

from mico_runner.errors import StepError

TOLERANCE = 1e-11  # of the residual's norm
ITERATIONS = 2000


def solve(
    K: np.ndarray, B: np.ndarray, theta: dict[str, float], shape_of: np.ndarray, pair_of: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Weights of the measured cells, float64 (shapes, pairs), 0 elsewhere: the process' mean is their sum with the covariances.

    Raises StepError when the iterations do not converge.
    """
    cells, cell_of, counts = np.unique(shape_of * len(B) + pair_of, return_inverse=True, return_counts=True)
    shape_of, pair_of = np.divmod(cells, len(B))
    target = np.bincount(cell_of, target) / counts
    noise = theta["noise"] ** 2 / counts
    grid = (len(K), len(B))
    eigenvalues, vectors = np.linalg.eigh(K)
    ones = np.ones_like(B)
    blocks = np.linalg.inv(
        (theta["shape"] ** 2 * eigenvalues + theta["own"] ** 2)[:, None, None] * ones
        + (theta["bits"] ** 2 * eigenvalues + theta["own_bits"] ** 2)[:, None, None] * B
        + theta["noise"] ** 2 * np.eye(len(B))
    )

    def on_grid(x: np.ndarray) -> np.ndarray:
        values = np.zeros(grid)
        values[shape_of, pair_of] = x
        return values

    def covariance(x: np.ndarray) -> np.ndarray:
        values = on_grid(x)
        summed, weighted = values.sum(axis=1), values @ B
        product = K @ (theta["shape"] ** 2 * summed[:, None] + theta["bits"] ** 2 * weighted)
        product += theta["own"] ** 2 * summed[:, None] + theta["own_bits"] ** 2 * weighted
        return product[shape_of, pair_of] + noise * x

    def precondition(x: np.ndarray) -> np.ndarray:
        rotated = vectors.T @ on_grid(x)
        return (vectors @ np.einsum("spq,sq->sp", blocks, rotated))[shape_of, pair_of]

    x = np.zeros(len(target))
    left = target.copy()
    limit = TOLERANCE * np.linalg.norm(left)
    z = precondition(left)
    direction, rho = z.copy(), left @ z
    for _ in range(ITERATIONS):
        if np.linalg.norm(left) <= limit:
            return on_grid(x)
        image = covariance(direction)
        step = rho / (direction @ image)
        x += step * direction
        left -= step * image
        z = precondition(left)
        rho, before = left @ z, rho
        direction = z + rho / before * direction
    raise StepError(f"the latency predictor's linear system did not converge in {ITERATIONS} iterations")
