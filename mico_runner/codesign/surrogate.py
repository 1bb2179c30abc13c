"""The best pair of a network and a device in few evaluations: a surrogate that says how sure it is.

The logarithm of the cost is a Gaussian process (C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1
and section 2.7): a linear trend over features of the pair, of which a rough closed form of the cost may be one, a Matern 5/2 kernel with a
length of its own for each feature, and what features leave out of a network and of a device, which all its pairs share. What it does
not know is its standard deviation, which falls where pairs were evaluated; what no evaluation tells is a variance of its own. (CODEBench,
S. Tuli et al., TECS 2023, parts the two likewise, with networks in the process's place.)

Some pairs are drawn at random; then, one by one, the pair of the greatest expected improvement is evaluated. The interval's width is that
in which pairs drawn at random fell when the process had not seen them (split into folds; conformal prediction, V. Vovk, 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from mico_runner.search.gaussian import expected_improvement

_FOLDS = 5
_REFIT = 5  # evaluations after which lengths and variances are fitted anew
_CANDIDATES = 1500  # pairs of each sort that an improvement is looked up on
_LEADERS = 3  # best pairs whose network, or whose device, is kept in candidates
# Means and deviations of a normal prior on logarithms: lengths in standard deviations of a feature, variances as a share of the data's.
_LENGTH, _SHARED, _NOISE, _TREND = (1.0, 1.0), (-6.0, 2.0), (-9.0, 2.0), (0.0, 2.0)


class Process:
    """Gaussian process with a linear trend; `fit` first. Lengths and variances are those of the highest posterior density."""

    def __init__(self, start: Process | None = None) -> None:
        """`start`: whose lengths and variances a fit begins with."""
        self._logs: np.ndarray | None = None if start is None else start._logs

    def fit(self, x: np.ndarray, pairs: np.ndarray, y: np.ndarray, tune: bool = True) -> None:
        """Learn values (n,) at points (n, f), n > 1.

        Args:
            pairs: numbers of the network and of the device of each point, int64 (n, 2).
            tune: fit lengths and variances as well, from where they are; else they stay as they are.
        """
        self._x, self._pairs, self._mean, self._scale = x, pairs, float(y.mean()), float(y.std()) or 1.0
        target = (y - self._mean) / self._scale
        if tune or self._logs is None:
            self._logs = _tuned(x, pairs, target, self._logs)
        noise = np.exp(self._known[-2]) * np.eye(len(x))
        self._factor = cho_factor(self._kernel(x, pairs) + noise, lower=True)
        self._weights = cho_solve(self._factor, target)

    def predict(self, x: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of values at points (P, f), (P,) each; `pairs` as in `fit`."""
        cross = self._kernel(x, pairs)
        network, device, noise, trend = np.exp(self._known[-4:])
        own = 1.0 + network + device + noise + trend * ((x**2).sum(axis=1) + 1.0)
        variance = own - (cross * cho_solve(self._factor, cross.T).T).sum(axis=1)
        return self._mean + self._scale * (cross @ self._weights), self._scale * np.sqrt(np.maximum(variance, 1e-12))

    def left_out(self) -> np.ndarray:
        """Standard deviation of each value learned where all others but it were (Rasmussen and Williams, equation 5.12), (n,)."""
        inverse = cho_solve(self._factor, np.eye(len(self._x)))
        found: np.ndarray = self._scale / np.sqrt(np.diag(inverse))
        return found

    @property
    def _known(self) -> np.ndarray:
        if self._logs is None:
            raise ValueError("a process that has learned nothing; allowed: fit first")
        return self._logs

    def _kernel(self, x: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Covariances with what was learned, (P, n)."""
        lengths, (network, device, _, trend) = np.exp(self._known[:-4]), np.exp(self._known[-4:])
        near, far = x / lengths, self._x / lengths
        squares = (near**2).sum(axis=1)[:, None] + (far**2).sum(axis=1)[None] - 2 * near @ far.T
        r = np.sqrt(5 * np.maximum(squares, 0.0))
        same_network, same_device = _same(pairs, self._pairs)
        shared = network * same_network + device * same_device
        found: np.ndarray = (1 + r + r**2 / 3) * np.exp(-r) + shared + trend * (x @ self._x.T + 1)
        return found


def _same(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether pairs (n, 2) and (m, 2) have the same network, and the same device, (n, m) each."""
    return a[:, None, 0] == b[None, :, 0], a[:, None, 1] == b[None, :, 1]


def _tuned(x: np.ndarray, pairs: np.ndarray, target: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    """Logarithms of the lengths (f,) and of the variances of networks, devices, noise and trend: most probable ones, (f + 4,)."""
    n, f = x.shape
    apart = (x[:, None] - x[None]) ** 2  # (n, n, f)
    scaled = [*_same(pairs, pairs), np.eye(n), x @ x.T + 1]  # what each of the variances is multiplied with
    middle, width = np.array([*[_LENGTH] * f, _SHARED, _SHARED, _NOISE, _TREND]).T

    def density(logs: np.ndarray) -> tuple[float, np.ndarray]:
        """The negative logarithm of the posterior density and its gradient."""
        squares, variances = np.exp(-2 * logs[:f]), np.exp(logs[f:])
        r = np.sqrt(5 * (apart @ squares))
        decay = np.exp(-r)
        kernel = (1 + r + r**2 / 3) * decay + sum(v * part for v, part in zip(variances, scaled, strict=True))
        factor = cho_factor(kernel, lower=True)
        weights = cho_solve(factor, target)
        inner = 0.5 * (cho_solve(factor, np.eye(n)) - np.outer(weights, weights))
        by_length = np.einsum("ab,abf->f", inner * (5 / 3 * (1 + r) * decay), apart) * squares
        by_variance = [v * (inner * part).sum() for v, part in zip(variances, scaled, strict=True)]
        off = (logs - middle) / width
        value = 0.5 * target @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        return float(value), np.array([*by_length, *by_variance]) + off / width

    limits = [(m - 4 * w, m + 4 * w) for m, w in zip(middle, width, strict=True)]
    found = minimize(density, middle if start is None else start, jac=True, method="L-BFGS-B", bounds=limits)
    logs: np.ndarray = found.x
    return logs


@dataclass(frozen=True)
class Pairs:
    """Networks and devices, every pair of which has features.

    Attributes:
        networks: features of each network, float64 (networks, a).
        devices: of each device, (devices, b).
        rough: closed form of the cost's logarithm, (networks, devices); None: none is known.
    """

    networks: np.ndarray
    devices: np.ndarray
    rough: np.ndarray | None = None

    def features(self, pairs: np.ndarray) -> np.ndarray:
        """Of pairs (n, 2) of numbers of networks and devices: float64 (n, f), each with mean 0 and variance 1 over its own kind."""
        networks, devices, rough = self._scaled
        parts = [networks[pairs[:, 0]], devices[pairs[:, 1]]]
        return np.hstack(parts if rough is None else [*parts, rough[tuple(pairs.T)][:, None]])

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        rough = None if self.rough is None else (self.rough - self.rough.mean()) / (self.rough.std() or 1.0)
        return _standard(self.networks), _standard(self.devices), rough

    def drawn(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Different pairs at random, int64 (count, 2)."""
        flat = rng.choice(len(self.networks) * len(self.devices), count, replace=False)
        return np.column_stack(np.divmod(flat, len(self.devices)))


@dataclass(frozen=True)
class Found:
    """What a search saw, and what it says of the others.

    Attributes:
        pairs: evaluated, in their order, int64 (evaluations, 2).
        values: their costs, (evaluations,).
        process: of the costs' logarithm.
        width: standard deviations on each side of the mean in which 90 % of the pairs fell that were drawn at random and left out.
    """

    pairs: np.ndarray
    values: np.ndarray
    process: Process
    width: float

    def interval(self, space: Pairs, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the 90 % interval of the cost of pairs (P, 2) of the space, (P,) each."""
        mean, std = self.process.predict(space.features(pairs), pairs)
        return np.exp(mean - self.width * std), np.exp(mean + self.width * std)


def search(
    space: Pairs, measure: Callable[[np.ndarray], np.ndarray], evaluations: int, initial: int, rng: np.random.Generator
) -> Found:
    """The least cost that so many evaluations find.

    Args:
        measure: costs above 0 of pairs (n, 2), float64 (n,).
        initial: evaluations at random, at least two a fold.
    """
    if not 2 * _FOLDS <= initial <= evaluations:
        raise ValueError(f"initial is {initial}; allowed: {2 * _FOLDS} to evaluations, {evaluations}")
    pairs = space.drawn(initial, rng)
    x, y = space.features(pairs), np.log(measure(pairs))
    process, promising = Process(), _promising(space)
    for step in range(evaluations - initial):
        process.fit(x, pairs, y, tune=step % _REFIT == 0)
        nearby = _candidates(space, pairs[np.argsort(y, kind="stable")[:_LEADERS]], rng)
        candidates = np.vstack([nearby, promising])
        seen = (candidates[:, None] == pairs[None]).all(axis=2).any(axis=1)
        of = space.features(candidates)
        gain = np.where(seen, -np.inf, expected_improvement(*process.predict(of, candidates), float(y.min())))
        best = int(np.argmax(gain))
        pairs, x = np.vstack([pairs, candidates[[best]]]), np.vstack([x, of[[best]]])
        y = np.append(y, np.log(measure(candidates[[best]])))
    process.fit(x, pairs, y)
    return Found(pairs, np.exp(y), process, _width(process, x, pairs, y, initial))


def _candidates(space: Pairs, leaders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pairs at random, and those that share the network or the device with a leader."""
    networks, devices = len(space.networks), len(space.devices)
    found = [space.drawn(min(_CANDIDATES, networks * devices), rng)]
    for network, device in leaders:
        for at, count, kept in ((0, networks, device), (1, devices, network)):
            free = rng.choice(count, min(count, _CANDIDATES), replace=False)
            found.append(np.insert(free[:, None], 1 - at, kept, axis=1))
    return np.vstack(found)


def _promising(space: Pairs) -> np.ndarray:
    """Pairs of the least rough costs; none where no rough form is known."""
    if space.rough is None:
        return np.empty((0, 2), dtype=np.int64)
    least = np.argsort(space.rough, axis=None, kind="stable")[:_CANDIDATES]
    return np.column_stack(np.divmod(least, len(space.devices)))


def _width(known: Process, x: np.ndarray, pairs: np.ndarray, y: np.ndarray, initial: int) -> float:
    """Standard deviations that hold 90 % of the first pairs, which were drawn at random.

    Each is predicted by a process that was fitted without its fold, and its deviation is what is known, as it would be without this pair: a
    density may have several maxima, whose deviations differ.
    """
    fold = np.arange(len(y)) % _FOLDS
    fold[initial:] = -1  # those chosen are near the best one and say little of the others
    off = np.empty(initial)
    for each in range(_FOLDS):
        process, left = Process(known), fold == each
        process.fit(x[~left], pairs[~left], y[~left])
        off[left[:initial]] = np.abs(y[left] - process.predict(x[left], pairs[left])[0])
    rank = min(initial, int(np.ceil(0.9 * (initial + 1))))
    return float(np.sort(off / known.left_out()[:initial])[rank - 1])


def _standard(features: np.ndarray) -> np.ndarray:
    spread = features.std(axis=0)
    found: np.ndarray = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return found
