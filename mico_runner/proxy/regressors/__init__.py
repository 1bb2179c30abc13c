"""Regressors on feature matrices: `fit(X, y)`, `predict(X)`, scikit-learn parameters, fitted attributes that `persist` can save."""

from __future__ import annotations

from typing import Any

from mico_runner.errors import UsageError
from mico_runner.proxy import REGRESSORS

register = REGRESSORS.register


def make(name: str, params: dict[str, object] | None, seed: int) -> Any:
    """An unfitted regressor. Raises UnknownName, or UsageError when a parameter is not among its own."""
    regressor = REGRESSORS.get(name)(seed=seed)
    known = set(regressor.get_params()) - {"seed"}
    unknown = sorted(set(params or {}) - known)
    if unknown:
        raise UsageError(f"regressor {name!r} has no parameter {unknown[0]!r}; allowed: {', '.join(sorted(known))}")
    return regressor.set_params(**(params or {}))
