"""Non-negative physical terms, fitted to relative errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from mico_runner.codegen.policy import KernelPolicy
from mico_runner.proxy.strategies import Strategy, register
from mico_runner.proxy.terms import DEVIATIONS, physical_terms

SHARED_PENALTY = 1e-6  # keeps the fit unique; too small to bias it
HUBER = 0.05  # relative error from which a row counts linearly: a few shapes with cache conflicts must not bend all coefficients
REWEIGHTINGS = 4  # of iteratively reweighted least squares; later ones change errors by less than 0.01 points
FLOOR = 1e-3  # of the smallest training latency: predictions stay positive far outside the training range


@register(
    "structural",
    params={
        "power": {"type": "number", "min": 1, "max": 8},
        "bit_penalty": {"type": "number", "min": 0, "max": 1000},
        "runs": {"type": "boolean"},
        "tiled": {"type": ["boolean", "string"], "allowed": [False, True, "tables"]},
        "wide": {"type": "boolean"},
    },
)
class Structural(Strategy):
    """latency^power = sum of c_i * term_i^power, c_i >= 0, least Huber loss of relative errors (P. Huber 1964).

    Every term has one coefficient for all bit-widths; some may deviate upwards by bit-width (`terms.DEVIATIONS`), at a price.

    Args:
        power: 1 adds the terms up (one thing after another), larger values approach their maximum (overlapping compute and memory).
        bit_penalty: ridge penalty of the deviations; 0 fits each pair of bit-widths freely, a large value makes them all alike.
        runs: of `terms.physical_terms`.
        tiled: the kernels are this project's tiled ones; "tables": with `codegen.scratch: tables`.
        wide: they are this project's on a host.
        ridge: penalty of the coefficients that all bit-widths share; larger ones spread the cost over terms that grow alike.
        only: names of the terms that are used, those of them that the kernels have; None: all.
    """

    def __init__(
        self,
        power: float = 1,
        bit_penalty: float = 1e-3,
        runs: bool = False,
        tiled: bool | str = False,
        wide: bool = False,
        ridge: float = SHARED_PENALTY,
        only: Sequence[str] | None = None,
    ) -> None:
        self.power = power
        self.bit_penalty = bit_penalty
        self.runs = runs
        self.tiled = tiled
        self.wide = wide
        self.ridge = ridge
        self.only = only

    @property
    def policy(self) -> KernelPolicy:
        return KernelPolicy(tiles=bool(self.tiled), tables=self.tiled == "tables", simd=self.wide)

    def fit(self, table: pd.DataFrame, latency: np.ndarray) -> Structural:
        latency = np.asarray(latency, dtype=float)
        terms = physical_terms(table, self.runs, self.policy)
        if self.only is not None:
            terms = terms[[name for name in self.only if name in terms]]
        self.terms_ = list(terms)
        self.levels_ = {"s": np.zeros(1), **{level: np.unique(bit_codes(table, level)) for level in "awp"}}
        X, penalty = self._columns(table, terms.to_numpy())
        A = X / (latency**self.power)[:, None]
        scale = np.sqrt((A**2).sum(axis=0))
        used = scale > 0
        A = A[:, used] / scale[used]
        weight = np.ones(len(latency))
        for _ in range(1 + REWEIGHTINGS):
            solution = _least_squares(A, weight, penalty[used])
            weight = HUBER / np.maximum(np.abs(A @ solution - 1), HUBER)
        self.coefficients_ = np.zeros(X.shape[1])
        self.coefficients_[used] = solution / scale[used]
        self.floor_ = FLOOR * float(latency.min())
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Bit-widths that were not profiled take the deviations of the nearest profiled ones (on a log scale)."""
        powered = physical_terms(table, self.runs, self.policy)[self.terms_].to_numpy() ** self.power
        summed = np.zeros(len(table))  # term by term: the last bits of a matrix product depend on the number of rows
        for term in range(len(self.terms_)):
            summed += powered[:, term] * self.coefficients_[term]
        start = len(self.terms_)
        for term, level, nearest in self._deviations(table):
            summed += powered[:, term] * self.coefficients_[start + nearest]
            start += len(self.levels_[level])
        return np.maximum(np.maximum(summed, 0) ** (1 / self.power), self.floor_)

    def relative_terms(self, table: pd.DataFrame, latency: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Terms over latency, each of mean square 1, (rows, terms); and which of them all bit-widths share, bool (terms,)."""
        X, _ = self._columns(table, physical_terms(table, self.runs, self.policy)[self.terms_].to_numpy())
        A = X / latency[:, None]
        scale = np.sqrt((A**2).mean(axis=0))
        return A[:, scale > 0] / scale[scale > 0], (np.arange(A.shape[1]) < len(self.terms_))[scale > 0]

    def _columns(self, table: pd.DataFrame, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Design matrix (rows, coefficients) and ridge penalty of each coefficient."""
        powered = terms**self.power
        columns, penalty = list(powered.T), [self.ridge] * len(self.terms_)
        for term, level, nearest in self._deviations(table):
            known = range(len(self.levels_[level]))
            columns += [np.where(nearest == code, powered[:, term], 0.0) for code in known]
            penalty += [max(self.bit_penalty, self.ridge)] * len(known)
        return np.stack(columns, axis=1), np.array(penalty)

    def _deviations(self, table: pd.DataFrame) -> Iterator[tuple[int, str, np.ndarray]]:
        """Terms that deviate: position of the term, level, and each row's position among the profiled bits of that level."""
        for level in "awp":
            known = self.levels_[level]
            if len(known) < 2:
                continue  # one bit-width only: nothing to deviate from
            nearest = _nearest(bit_codes(table, level), known)
            for name, deviation in DEVIATIONS.items():
                if level == deviation and name in self.terms_:
                    yield self.terms_.index(name), level, nearest


def _least_squares(A: np.ndarray, weight: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Non-negative x of least weight * (A x - 1)^2 + penalty * x^2, by the normal equations: the columns have norm 1."""
    weighted = A.T * weight
    factor = np.linalg.cholesky(weighted @ A + np.diag(penalty))  # as many rows as columns
    target = solve_triangular(factor, weighted.sum(axis=1), lower=True)
    return nnls(factor.T, target, maxiter=100 * len(target))[0]


def bit_codes(table: pd.DataFrame, level: str) -> np.ndarray:
    """Bits as one number: activation (a), weight (w), or 100 * activation + weight (p)."""
    act, weight = table["act_bits"].to_numpy(float), table["weight_bits"].to_numpy(float)
    return {"a": act, "w": weight, "p": 100 * act + weight}[level]


def _nearest(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Index of the nearest known code of each code, in octaves of both bit-widths."""

    def octaves(values: np.ndarray) -> np.ndarray:
        return np.log2(np.maximum(np.stack(np.divmod(values, 100), axis=1), 0.5))

    values, inverse = np.unique(codes, return_inverse=True)
    distance = np.abs(octaves(values)[:, None] - octaves(known)[None]).sum(axis=2)
    return distance.argmin(axis=1)[inverse]
