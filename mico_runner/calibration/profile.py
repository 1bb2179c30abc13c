"""The profile that a calibration leaves: peaks, per-operation points and curves, what it was validated on, what changed since."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import pandas as pd

from mico_runner.calibration import curves, figures, timing
from mico_runner.calibration.curves import Curve
from mico_runner.calibration.machine import Point
from mico_runner.calibration.processor import Environment
from mico_runner.calibration.roofline import COPY, Roofline
from mico_runner.errors import UsageError
from mico_runner.yaml_schema import show

MIN_SIZES = 4  # distinct sizes from which an operation gets a curve
OVERHEADS = (0.0, 0.25, 0.5, 0.75, 0.9)  # tried, as shares of the shortest call measured
BEYOND = 1.05  # efficiency above which an overhead cannot be: the call would compute faster than the machine
GRADES = {
    "excellent": 0.1,
    "good": 0.2,
    "fair": 0.3,
    "poor": np.inf,
}  # absolute errors up to which a network counts as such
MOST_PER_S = 1e24  # FLOP/s, bytes/s and sizes in a file
MOST_SECONDS = 1e6  # of one call
CHANGED = 0.1  # relative; an operation that became slower by more is named


class Rates(TypedDict):
    """Bytes per second: the highest measured, and that of copies by the bytes that they go over."""

    highest: float
    by_working_set_bytes: dict[str, float]


class Peak(TypedDict):
    """What the machine does at most at one precision; `cv_error`: by operator class, of log latency."""

    flops_per_s: float | None
    bytes_per_s: Rates
    cv_error: NotRequired[Mapping[str, float]]


class Operation(TypedDict):
    """An operator at one precision; `of`: what its efficiency counts, flops or bytes."""

    of: str
    overhead_s: float
    points: list[dict[str, Any]]
    curve: NotRequired[Mapping[str, object]]
    given_name: NotRequired[str]


class Judgement(TypedDict):
    """Errors of whole networks, signed as log(predicted / measured) where they are `log_errors`."""

    networks: list[str]
    mape: float
    max_ape: float
    log_errors: list[float]
    grades: dict[str, int]
    best_operation: NotRequired[dict[str, object]]
    worst_operation: NotRequired[dict[str, object]]
    datasheet_mape: NotRequired[float]
    roofline_mape: NotRequired[float]
    given_mape: NotRequired[float]


class Changes(TypedDict):
    """What became of a previous profile's operations."""

    measured: str | None
    median_ratio: float
    slower: dict[str, float]
    validation: Judgement | None


class Measured(TypedDict):
    """What the measurements alone say; times in seconds."""

    measured: str
    restlessness: float
    quiet: bool
    peaks: dict[str, Peak]
    operations: dict[str, Operation]


class Profile(Measured):
    """profile.json."""

    environment: Environment
    given: NotRequired[dict[str, object]]
    validation: NotRequired[Judgement]
    previous: NotRequired[Changes]


def of_points(
    points: list[Point],
    restlessness: float,
    shapes: tuple[str, ...] = curves.NAMES,
    folds: int = 5,
) -> Measured:
    """Peaks, bandwidths, per-operation points and curves of the measurements; JSON-able.

    Efficiency is FLOP/s over the highest measured FLOP/s of that precision; of operators without FLOPs, bytes/s over the highest. Both
    without the overhead of the call, which is a term of its own: the one with which latencies are predicted best in cross-validation.

    Args:
        shapes, folds: of the curves that are tried, and of the cross-validation that chooses.
    """
    result: Measured = {
        "measured": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "restlessness": restlessness,
        "quiet": restlessness <= timing.QUIET_SPREAD,
        "peaks": {},
        "operations": {},
    }
    for precision, rows in pd.DataFrame(points).groupby("precision"):
        flops, moved = rows[rows["flops"] > 0], rows[rows["op"] == COPY]
        peak = float((flops["flops"] / flops["seconds"]).max()) if len(flops) else None
        sets = (moved["bytes"] / moved["seconds"]).groupby(moved["bytes"]).median()
        result["peaks"][precision] = {
            "flops_per_s": peak,
            "bytes_per_s": {
                "highest": float((rows["bytes"] / rows["seconds"]).max()),
                "by_working_set_bytes": {str(int(k)): float(v) for k, v in sets.items()},
            },
        }
        for op, some in rows.groupby("op"):
            result["operations"][f"{op}/{precision}"] = _operation(some, result["peaks"][precision], shapes, folds)
    return result


def _operation(rows: pd.DataFrame, peaks: Peak, shapes: tuple[str, ...], folds: int) -> Operation:
    computes = rows["flops"].max() > 0
    size = rows["flops" if computes else "bytes"].to_numpy(float)
    entry: Operation = {"of": "flops" if computes else "bytes", "overhead_s": 0.0, "points": []}
    if (size <= 0).any():  # an operator that only looks at its input: a launch, no curve
        return {**entry, "overhead_s": float(rows["seconds"].median())}
    highest = peaks["flops_per_s"] if computes else peaks["bytes_per_s"]["highest"]
    seconds = rows["seconds"].to_numpy(float)
    best = None
    if len(np.unique(size)) >= MIN_SIZES:
        for share in OVERHEADS:
            overhead = share * seconds.min()
            efficiency = size / (seconds - overhead) / highest
            if overhead > 0 and efficiency.max() > BEYOND:
                break
            with suppress(
                UsageError
            ):  # none of the shapes asked for fits so few sizes: points without a curve, and the estimators say so
                curve = curves.choose(size, efficiency, shapes, folds, fixed=overhead / seconds)
                if best is None or curve.cv_error < best.cv_error:
                    best, entry["overhead_s"] = curve, float(overhead)
    net = seconds - entry["overhead_s"]
    efficiency = size / net / highest
    about = rows.assign(efficiency=efficiency, std=rows["spread"] / net * efficiency, n=rows["samples"].map(len))
    keep = ["flops", "bytes", "shape", "batch", "seconds", "efficiency", "std", "n"]
    entry["points"] = about[keep].to_dict("records")
    return entry if best is None else {**entry, "curve": best.to_json()}


def roofline(profile: Measured, precision: str, smooth: float | None = None) -> Roofline:
    """The roofline estimator of a profile. Raises UsageError for a precision that it lacks."""
    if precision not in profile["peaks"]:
        raise UsageError(f"profile: no precision {precision}; measured: {', '.join(profile['peaks'])}")
    peaks, compute, memory, overhead = profile["peaks"][precision], {}, {}, {}
    for name, entry in profile["operations"].items():
        op, _, of = name.partition("/")
        if of != precision:
            continue
        overhead[op] = entry["overhead_s"]
        if "curve" in entry:
            (compute if entry["of"] == "flops" else memory)[op] = Curve.from_json(entry["curve"])
    rates = peaks["flops_per_s"] or 0.0, peaks["bytes_per_s"]["highest"]
    return Roofline(precision, *rates, compute, memory, overhead, smooth)


def read(path: Path) -> Profile:
    """A profile that a calibration wrote (profile.json or profile.yaml). Raises UsageError naming the file and the key that is wrong."""
    data = figures.load(path)
    if not is_profile(data):
        raise UsageError(f"{path}: not a profile of mico-run calibrate: environment, peaks and operations are needed")
    _check(str(path), data)
    found: Profile = data
    return found


def _check(where: str, data: dict[str, Any]) -> None:
    """The form of all that is read from a profile again."""
    figures.mapping(f"{where}: environment", data["environment"])
    for precision, peak in figures.mapping(f"{where}: peaks", data["peaks"]).items():
        at = f"{where}: peaks.{precision}"
        figures.mapping(at, peak, "flops_per_s", "bytes_per_s")
        rates = {"flops_per_s": peak["flops_per_s"]} if peak["flops_per_s"] is not None else {}
        rates["bytes_per_s.highest"] = figures.mapping(f"{at}.bytes_per_s", peak["bytes_per_s"], "highest")["highest"]
        for name, rate in rates.items():
            figures.number(f"{at}.{name}", rate, 1, MOST_PER_S)
    for name, entry in figures.mapping(f"{where}: operations", data["operations"]).items():
        _check_operation(f"{where}: operations.{name}", name, entry, data["peaks"])
    if "validation" in data:
        judged = figures.mapping(f"{where}: validation", data["validation"], "mape")
        figures.number(f"{where}: validation.mape", judged["mape"], 0, np.inf)


def _check_operation(at: str, name: str, entry: Any, peaks: dict[str, Any]) -> None:
    figures.mapping(at, entry, "of", "overhead_s", "points")
    if entry["of"] not in ("flops", "bytes"):
        raise UsageError(f"{at}.of: found {show(entry['of'])}; allowed: flops, bytes")
    precision = name.partition("/")[2]
    if precision not in peaks or (entry["of"] == "flops" and peaks[precision]["flops_per_s"] is None):
        raise UsageError(f"{at}: peaks has no rate of precision {precision!r} that its efficiency could be of")
    figures.number(f"{at}.overhead_s", entry["overhead_s"], 0, MOST_SECONDS)
    if not isinstance(entry["points"], list):
        raise UsageError(f"{at}.points: found {show(entry['points'])}; allowed: a list")
    for i, point in enumerate(entry["points"]):
        here = f"{at}.points[{i}]"
        figures.mapping(here, point, "shape", "batch", "seconds")
        figures.number(f"{here}.seconds", point["seconds"], np.finfo(float).tiny, MOST_SECONDS)
        figures.number(f"{here}.batch", point["batch"], 1, MOST_PER_S)
        for key, size in figures.mapping(f"{here}.shape", point["shape"]).items():
            figures.number(f"{here}.shape.{key}", size, 0, MOST_PER_S)
    if "curve" in entry:
        try:
            Curve.from_json(entry["curve"])
        except UsageError as error:
            raise UsageError(f"{at}: {error}") from None


def is_profile(data: Any) -> bool:
    return isinstance(data, dict) and {"environment", "peaks", "operations"} <= set(data)


def write(profile: Profile, folder: Path, samples: Mapping[str, list[float]]) -> None:
    """profile.yaml, and profile.json with the raw samples, too."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
    whole = profile | {"samples_s": dict(samples)}
    (folder / "profile.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def grades(networks: pd.DataFrame, operations: Mapping[str, float]) -> Judgement:
    """Errors of whole networks in a few numbers, to be kept with a profile.

    Args:
        networks: per network `network` and `error` (signed fraction), optionally `datasheet_s` and `measured_s`.
        operations: error by operation, of which the best and the worst are kept.
    """
    ape = networks["error"].abs()
    grade = pd.cut(ape, [-1, *GRADES.values()], labels=list(GRADES))
    result: Judgement = {
        "networks": networks["network"].tolist(),
        "mape": float(ape.mean()),
        "max_ape": float(ape.max()),
        "log_errors": np.log1p(networks["error"].to_numpy(float)).tolist(),
        "grades": {str(k): int(v) for k, v in grade.value_counts(sort=False).items()},
    }
    if operations:
        best, worst = (choose(operations, key=operations.__getitem__) for choose in (min, max))
        result["best_operation"] = {"name": best, "error": float(operations[best])}
        result["worst_operation"] = {"name": worst, "error": float(operations[worst])}
    if "datasheet_s" in networks:
        rough = (networks["datasheet_s"] / networks["measured_s"] - 1).abs()
        result["datasheet_mape"] = float(rough.mean())
    return result


def compare(before: Measured, after: Measured) -> pd.DataFrame:
    """Operations that both profiles measured at the same sizes: operation, points, ratio (median of seconds after / before), cv errors."""
    rows = []
    for name in before["operations"].keys() & after["operations"].keys():
        old, new = (
            {
                (json.dumps(p["shape"], sort_keys=True), p["batch"]): p["seconds"]
                for p in d["operations"][name]["points"]
            }
            for d in (before, after)
        )
        ratios = [new[k] / old[k] for k in old.keys() & new.keys()]
        if ratios:
            errors = [d["operations"][name].get("curve", {}).get("cv_error") for d in (before, after)]
            rows.append((name, len(ratios), float(np.median(ratios)), *errors))
    columns = ["operation", "points", "ratio", "cv_error_before", "cv_error_after"]
    return pd.DataFrame(rows, columns=columns).sort_values("operation", ignore_index=True)
