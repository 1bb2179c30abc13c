"""Several runs of one state: what a metric was each time that it was measured, and how sure the difference of two means is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.json_files import read_object

REPEATS = "repeats.json"  # of a baseline that was saved from several runs

Values = dict[str, list[float]]  # by the metric's name


def repeats(version: Path, most: int) -> Values:
    """What the metrics were in the newest `most` runs of the same state as `version`: same inputs, same code, by the fingerprints.

    A result that a later version took from the cache counts once: it was measured once. A baseline holds its own.
    Raises UsageError for a baseline whose file is damaged.
    """
    if (version / REPEATS).exists():
        return _checked(version / REPEATS)
    state = _fingerprints(store.manifest(version)) if (version / "manifest.json").exists() else {}
    found: dict[str, dict[tuple[Any, ...], float]] = {}
    others = [other for other in reversed(store.versions(version.parent)) if other != version]
    for other in [version, *others] if state else []:
        try:
            manifest, metrics = store.manifest(other), store.metrics(other)
        except UsageError:  # one that is damaged, or deleted meanwhile
            continue
        if _fingerprints(manifest) != state:
            continue
        for about in manifest["steps"].values():
            execution = (about.get("fingerprint"), about.get("wall_seconds"), about.get("cpu_seconds"))
            for name in about.get("metrics", ()):
                if name in metrics and len(found.setdefault(name, {})) < most:
                    found[name].setdefault(execution, metrics[name].value)
    return {name: list(values.values()) for name, values in found.items()}


def half_width(a: Sequence[float], b: Sequence[float], confidence: float) -> float | None:
    """Half the confidence interval of the difference of the two means; None when a side has fewer than two values, or none varies.

    Welch's t interval, which takes the two variances for different ones: B. L. Welch, "The generalization of 'Student's' problem when
    several different population variances are involved", Biometrika 34, 1947.
    """
    if len(a) < 2 or len(b) < 2:
        return None
    parts = [statistics.variance(side) / len(side) for side in (a, b)]
    if not sum(parts):
        return None
    from scipy.special import stdtrit

    freedom = sum(parts) ** 2 / sum(p**2 / (len(side) - 1) for p, side in zip(parts, (a, b), strict=True))
    return float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(sum(parts))


def _fingerprints(manifest: store.Manifest) -> dict[str, Any]:
    return {step: about.get("fingerprint") for step, about in manifest["steps"].items()}


def _checked(path: Path) -> Values:
    content = read_object(path, "repeats")
    for name, values in content.items():
        numbers = isinstance(values, list) and all(type(v) in (int, float) and math.isfinite(v) for v in values)
        if not numbers:
            raise UsageError(f"{path}: metric {name!r}: allowed: a list of finite numbers")
    return content
