"""Rounding that looks at what the layer reads: integer weights whose outputs, not values, are near the float layer's.

Rounding each weight to its nearest step does most harm where inputs are large or correlated. Let x be what the float layer reads at
sampled output positions, xq what the integer layer reads, both with their means taken off (step 4 restores them), H = mean(xq xq'):
1. Least squares: w <- w + w mean((x - xq) xq') H^-1, the real weights that best reproduce w x from xq.
2. Rounding by a method of `quant.rounding`. `gptq`, column by column, largest H[j, j] first: round w[j] and spread the error over the
   columns not yet rounded,
   w[k] -= error / U[j, j] * U[j, k], with U the upper Cholesky factor of H^-1 (GPTQ: Frantar et al. 2023, algorithm 1).
3. Scales: least squared output error for the integers found, s = w H q' / q H q'. Then step 2 once more, and again the scales.
4. Bias: the mean output error goes into the bias, mean(w x) - mean(s q xq) (Nagel et al. 2019, section 4.2).
H's diagonal is raised by DAMPING of its mean, which keeps corrections small in directions that the samples say little about.
Where a layer reads many more inputs than there are samples, H is not written out: `_Wide` gives the same in time linear in K.
Channels without weights take no part: scale 0, integers 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import blas, lapack

from mico_runner.quant.qgraph import TERNARY
from mico_runner.quant.rounding.base import Rounding
from mico_runner.quant.weights import round_weights, weight_scales, without_weights

DAMPING = 0.1  # of 0.01, 0.1 and 0.3 the best on LeNet and on a residual network, MNIST and Fashion-MNIST
ROUNDS = 2
BLOCK = 128  # columns whose errors are spread at once over those behind (Frantar et al. 2023, "lazy batch updates")
WIDE = 4  # inputs per sample from which on `_Wide` is faster, measured with 256 samples and 256 outputs
TINY = 1e-30  # keeps H regular where a layer read only constants; less where the inputs' own squares are less


class Layer:
    """What rounding a layer's weights needs to know of what it reads: costly to find, and the same for any number of bits.

    Args:
        weight: (Cout, ...), K values a row.
        x, xq: (samples, groups, K), real inputs of the float and of the quantised layer; outputs are divided evenly over groups.
    """

    def __init__(self, weight: np.ndarray, x: np.ndarray, xq: np.ndarray) -> None:
        groups, k = x.shape[1:]
        self._weight, self._mean, self._mean_read = weight, x.mean(0), xq.mean(0)
        self._rows = weight.reshape(groups, -1, k).astype(np.float64)
        kind = _Wide if k >= WIDE * len(x) else _Problem
        centred = [(x[:, g] - self._mean[g], xq[:, g] - self._mean_read[g]) for g in range(groups)]
        self._problems = [kind(rows, *pair) for rows, pair in zip(self._rows, centred, strict=True)]

    def compensated(
        self, bits: float, granularity: str, method: str, rounding: Rounding
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Integer weights (int8, of the weight's shape), their scales (Cout,) and what to add to the real bias (Cout,).

        A channel without weights has the scale 0 and zeros for integers, at 1 bit, too, where no weight may be zero: `quant.bias`
        settles both.

        Args:
            granularity, method: of the scales to start from, see `weight_scales`.
        """
        problems, weight = self._problems, self._weight
        q, scales = _integers(problems, weight, bits, granularity, method, rounding)
        if bits == 2:  # greedy rounding finds -1, 0, +1 alone the better ones of -2 .. +1 in some channels
            others = _integers(problems, weight, TERNARY, granularity, method, rounding)
            better = _errors(problems, *others) < _errors(problems, q, scales)
            if granularity == "tensor":
                better[:] = _errors(problems, *others).sum() < _errors(problems, q, scales).sum()
            q, scales = np.where(better[..., None], others[0], q), np.where(better, others[1], scales)
        wanted = np.einsum("gk,gok->go", self._mean, self._rows)
        found = np.einsum("gk,gok->go", self._mean_read, q * scales[..., None])
        return q.reshape(weight.shape), scales.reshape(-1), (wanted - found).reshape(-1)


def _integers(
    problems: Sequence[_Problem | _Wide],
    weight: np.ndarray,
    bits: float,
    granularity: str,
    method: str,
    rounding: Rounding,
) -> tuple[np.ndarray, np.ndarray]:
    """Steps 2 and 3: integers (groups, out, K) and scales (groups, out)."""
    scales = weight_scales(weight, bits, granularity, method).reshape(len(problems), -1)
    dead = without_weights(weight, granularity).reshape(scales.shape)
    for _ in range(ROUNDS):
        q = np.stack([rounding.layer(problem, some, bits) for problem, some in zip(problems, scales, strict=True)])
        q[dead] = 0
        scales = _refit(problems, q, scales, granularity)
    return q, scales


def _errors(problems: Sequence[_Problem | _Wide], q: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Mean square error of each output (groups, out)."""
    rest = [
        problem.rows - integers * some[:, None] for problem, integers, some in zip(problems, q, scales, strict=True)
    ]
    return np.stack([(problem.times(each) * each).sum(1) for problem, each in zip(problems, rest, strict=True)])


class _Problem:
    """Steps 1 and 2 for one group: `rows` are the best real weights (out, K), `hessian` is H (K, K)."""

    def __init__(self, rows: np.ndarray, x: np.ndarray, read: np.ndarray) -> None:
        h = read.T @ read / len(read)
        damping = DAMPING * np.trace(h) / len(h)
        h[np.diag_indices(len(h))] += damping + min(TINY, damping) or TINY
        self.hessian = h
        self.order = np.argsort(-np.diag(h), kind="stable")
        self.upper = _inverse_factor(h[np.ix_(self.order, self.order)])
        target = (rows @ (x - read).T) @ read / len(read)
        lower = self.upper.T  # the products with triangles are half those with whole matrices
        step = blas.dtrmm(1.0, lower, np.asfortranarray(target[:, self.order]), side=1, lower=1)
        step = blas.dtrmm(1.0, lower, step, side=1, lower=1, trans_a=1)
        self.own, self.rows = rows, rows.copy()
        self.rows[:, self.order] += step

    def compensating(self, scales: np.ndarray, bits: float) -> np.ndarray:
        columns, upper = self.rows.T[self.order], self.upper
        q = np.empty(columns.shape, dtype=np.int8)
        for start in range(0, len(columns), BLOCK):
            block = columns[start : start + BLOCK]
            inner = upper[start : start + BLOCK, start : start + BLOCK]
            errors = np.empty_like(block)
            for j, column in enumerate(block):
                q[start + j] = rounded = round_weights(column[:, None], scales, bits)[:, 0]
                errors[j] = (column - rounded * scales) / inner[j, j]
                block[j + 1 :] -= inner[j, j + 1 :, None] * errors[j]
            columns[start + BLOCK :] -= upper[start : start + BLOCK, start + BLOCK :].T @ errors
        return q[np.argsort(self.order, kind="stable")].T

    def times(self, q: np.ndarray) -> np.ndarray:
        """q H."""
        product: np.ndarray = q @ self.hessian
        return product


class _Wide:
    """The same for K inputs of few samples R (n, K), where H = R'R / n + d I: nothing here is larger than (n + out) K.

    While columns are rounded, `state` is R e', the outputs' error by the columns rounded so far. The best real weight of a column j
    that is not yet rounded is rows[j] + v[j]' state, with v[j] = (n d I + sum of x[k] x[k]' for all such columns k)^-1 x[j].
    """

    def __init__(self, rows: np.ndarray, x: np.ndarray, read: np.ndarray) -> None:
        squares = (read**2).mean(0)
        damping = DAMPING * squares.mean()
        self.damping = damping + min(TINY, damping) or TINY
        self.order = np.argsort(-squares, kind="stable")
        self.read, self.ordered = read, np.ascontiguousarray(read[:, self.order].T)
        apart = len(read) * self.damping * np.eye(len(read))
        self.own = rows
        self.rows = rows + (rows @ (x - read).T) @ np.linalg.solve(read @ read.T + apart, read)
        self.solved = self._solve(np.linalg.inv(apart))

    def _solve(self, inverse: np.ndarray) -> np.ndarray:
        """v, (K, n): from the last column on, a block at once; `inverse` is that of v with no columns left."""
        solved = np.empty_like(self.ordered)
        for start in reversed(range(0, len(solved), BLOCK)):
            block = self.ordered[start : start + BLOCK]
            found = block @ inverse
            upper = _backward_factor(found @ block.T + np.eye(len(block)))
            root = _solve_upper(upper, found)
            inverse -= root.T @ root
            solved[start : start + BLOCK] = root / np.diag(upper)[:, None]
        return solved

    def compensating(self, scales: np.ndarray, bits: float) -> np.ndarray:
        q = np.empty(self.rows.T.shape, dtype=np.int8)
        state = np.zeros((len(self.read), len(self.rows)))
        for start in range(0, len(q), BLOCK):
            at = slice(start, start + BLOCK)
            real = self.rows.T[self.order[at]]
            block = real + self.solved[at] @ state
            inner = self.solved[at] @ self.ordered[at].T
            for j, column in enumerate(block):
                q[start + j] = rounded = round_weights(column[:, None], scales, bits)[:, 0]
                real[j] -= rounded * scales
                block[j + 1 :] += inner[j + 1 :, j, None] * real[j]
            state += self.ordered[at].T @ real
        return q[np.argsort(self.order, kind="stable")].T

    def times(self, q: np.ndarray) -> np.ndarray:
        """q H."""
        product: np.ndarray = (q @ self.read.T) @ self.read / len(self.read) + self.damping * q
        return product


def _inverse_factor(h: np.ndarray) -> np.ndarray:
    """Upper triangular U with U'U = H^-1."""
    factor = _backward_factor(h).T  # transposed it is in the order that LAPACK takes without a copy
    inverse, _ = lapack.dtrtri(factor, lower=1)
    found: np.ndarray = inverse.T
    return found


def _backward_factor(h: np.ndarray) -> np.ndarray:
    """Upper triangular F with F F' = H: the Cholesky factor of H read backwards."""
    factor: np.ndarray = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1].copy()
    return factor


def _solve_upper(upper: np.ndarray, right: np.ndarray) -> np.ndarray:
    """upper^-1 right."""
    found: np.ndarray = torch.linalg.solve_triangular(*map(torch.from_numpy, (upper, right)), upper=True).numpy()
    return found


def _refit(problems: Sequence[_Problem | _Wide], q: np.ndarray, scales: np.ndarray, granularity: str) -> np.ndarray:
    """Scales of least output error; a channel whose integers say nothing keeps its own."""
    products = [p.times(integers) for integers, p in zip(q.astype(np.float64), problems, strict=True)]
    agree = np.stack([(product * p.rows).sum(1) for product, p in zip(products, problems, strict=True)])
    power = np.stack([(product * integers).sum(1) for product, integers in zip(products, q, strict=True)])
    if granularity == "tensor":
        agree, power = np.full_like(agree, agree.sum()), np.full_like(power, power.sum())
    known = (agree > 0) & (power > 0)
    return np.where(known & (scales > 0), agree / np.where(known, power, 1.0), scales)
