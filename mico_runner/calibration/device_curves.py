"""Latency curves of a device as a file: what they are per operator and precision, where they come from, how far they are off.

A file in `hardware/curves/`, or one of a user's own, has per precision one of two forms: `terms` (launches and physical terms in seconds,
`calibration.latency`), or `efficiency` (curves over FLOPs of a peak, `calibration.roofline`). Its provenance is "measured" (by a
calibration of that machine), "fitted" (to other people's measurements) or "assumed" (somebody's constants).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mico_runner import paths, yaml_schema, yaml_source, yaml_text
from mico_runner.calibration import assumed, cases
from mico_runner.calibration.estimator import Estimator
from mico_runner.calibration.roofline import Roofline, curve_name
from mico_runner.errors import UnknownName, UsageError
from mico_runner.yaml_schema import Problem, SchemaErrors
from mico_runner.yaml_source import Source

ROOM = "curves"  # folder in hardware/
PROVENANCE = ("measured", "fitted", "assumed")
CONFIDENCE = 0.9  # of a network's interval
# Standard deviation of log latency for a network all of whose operators are e times larger than any measured: the most likely one on
# i7_12700K and jetson_orin_agx_maxn, and on the boards at 30 W, too (docs/results/calibration.md).
BEYOND = 0.14
_TEXT = {"type": "string", "minlength": 1, "required": True}
_POSITIVE = {"type": "number", "above": 0, "required": True}
_NAME = {"type": "string", "minlength": 1}


def _by_name(item: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return {"type": "dict", "keysrules": _NAME, "valuesrules": item, "default": {}, **rules}


def _vector(item: dict[str, Any], length: int) -> dict[str, Any]:
    return {"type": "list", "schema": item, "minlength": length, "maxlength": length, "required": True}


_AXES = 3  # of a regime's sizes: MACs, weights, elements
_NUMBER = {"type": "number"}
_CURVE = {
    "share": {"type": "number", "above": 0, "max": 1, "required": True},
    "caution": {"type": "number", "min": 0, "required": True},
    "level": {"type": "number", "required": True},
    "slopes": _vector(_NUMBER, _AXES),
    "centre": _vector(_NUMBER, _AXES),
    "precision": _vector({"type": "list", "schema": _NUMBER, "minlength": _AXES, "maxlength": _AXES}, _AXES),
    "rows": {"type": "integer", "min": 1, "required": True},
    "networks": {"type": "integer", "min": 1, "required": True},
}
_SECONDS = {"type": "number", "min": 0, "max": 1e3}
TERMS = {
    "launches_s": _by_name(_SECONDS, minlength=1, required=True),
    "families_s": {
        **_by_name(_SECONDS, required=True),
        "meta": {"text": "a mapping with any, what a class of no family costs"},
    },
    "work_s": _by_name(_SECONDS, required=True),
    "reach": _by_name(_vector({"type": "number", "min": 0}, 2)),
    "errors": _by_name({"type": "number", "min": 0, "max": 100}),
    "curves": _by_name({"type": "dict", "schema": _CURVE}),
}
EFFICIENCY = {
    "ops_per_s": _POSITIVE,
    "bytes_per_s": _POSITIVE,
    "curves": _by_name({"type": "dict"}, minlength=1, required=True),
}
_VALIDATION = {
    "protocol": _TEXT,
    "networks": {"type": "integer", "min": 2, "required": True},
    "mape": {"type": "number", "min": 0, "required": True},
    "max_ape": {"type": "number", "min": 0, "required": True},
    "log_error": {"type": "number", "min": 0, "nullable": True, "default": None},
}
_PRECISION = {
    "provenance": {"type": "string", "allowed": list(PROVENANCE), "required": True},
    "source": _TEXT,
    "validation": {"type": "dict", "schema": _VALIDATION, "nullable": True, "default": None},
    "terms": {"type": "dict", "schema": TERMS, "nullable": True, "default": None},
    "efficiency": {"type": "dict", "schema": EFFICIENCY, "nullable": True, "default": None},
}
SCHEMA: dict[str, dict[str, Any]] = {
    "name": {**_TEXT, "regex": r"[A-Za-z0-9][A-Za-z0-9._-]*", "meta": {"text": "letters, digits, '.', '_', '-'"}},
    "description": {"type": "string", "default": ""},
    "precisions": {
        "type": "dict",
        "minlength": 1,
        "required": True,
        "keysrules": {"type": "string", "allowed": list(cases.BYTES)},
        "valuesrules": {"type": "dict", "schema": _PRECISION},
    },
}


@dataclass(frozen=True)
class Validation:
    """How whole networks that took no part were predicted.

    Attributes:
        mape, max_ape: fractions.
        log_error: root mean square of log(predicted / measured); None where it is not stated.
    """

    protocol: str
    networks: int
    mape: float
    max_ape: float
    log_error: float | None


@dataclass(frozen=True)
class DeviceCurves:
    """Latency of operators on one device at one precision, and what it stands on."""

    device: str
    precision: str
    provenance: str
    source: str
    validation: Validation | None
    model: Estimator | Roofline

    def interval(self, operators: pd.DataFrame) -> tuple[float, float]:
        """90 % prediction interval, in seconds, of the network with these operators (rows as `capture.capture` gives them).

        (nan, nan) without a validation that says how far networks are off. See `interval`.
        """
        if self.validation is None or self.validation.log_error is None:
            return math.nan, math.nan
        far = self.model.beyond(operators) if isinstance(self.model, Estimator) else 0.0
        seconds = float(self.model.predict(operators).sum())
        return interval(seconds, self.validation.log_error, self.validation.networks, far)

    def in_words(self) -> str:
        text = f"{self.device} {self.precision}: {self.provenance.upper() if self.provenance == 'assumed' else self.provenance}"
        if self.validation is None:
            return f"{text}, never validated ({self.source})"
        of = self.validation
        errors = f"{100 * of.mape:.1f} % mean, {100 * of.max_ape:.1f} % largest error on {of.networks} networks"
        return f"{text}, {errors}, {of.protocol} ({self.source})"


def interval(seconds: float, log_error: float, networks: int, beyond: float) -> tuple[float, float]:
    """90 % prediction interval of a whole network.

    Errors of whole networks are taken as they were found, so how those of its operators go together is in them: log errors of n networks
    with root mean square s give exp(±t · sqrt((1 + 1 / n) · (s² + (BEYOND · beyond)²))), Student's t with n - 1 degrees of freedom.

    Args:
        beyond: how far the network lies beyond what was measured, `estimator.beyond`.
    """
    t = float(stats.t.ppf((1 + CONFIDENCE) / 2, networks - 1))
    spread = math.exp(t * math.hypot(log_error, BEYOND * beyond) * math.sqrt(1 + 1 / networks))
    return seconds / spread, seconds * spread


def names() -> list[str]:
    """Names of the shipped files, sorted."""
    return sorted(path.stem for path in (paths.shipped("hardware") / ROOM).glob("*.yaml"))


def path_of(device: str | Path) -> Path:
    """The file of a device: a shipped one by its name, or a path that ends in .yaml. Raises UnknownName."""
    if isinstance(device, Path) or device.endswith((".yaml", ".yml")):
        return Path(device)
    if device not in names():
        raise UnknownName("device with latency curves", device, names())
    return paths.shipped("hardware") / ROOM / f"{device}.yaml"


def load(device: str | Path) -> dict[str, DeviceCurves]:
    """The curves of a device by precision; `device` as `path_of` takes it.

    Raises:
        UnknownName: with the nearest names.
        UsageError: the file is no file of curves; all problems at once, each with its line.
    """
    source = yaml_source.read(path_of(device))
    data = yaml_schema.check(source, SCHEMA)
    found, problems = {}, []
    for precision, of in data["precisions"].items():
        try:
            model = _model(source, precision, of)
        except UsageError as error:
            at = ("precisions", precision)
            problems += (
                error.problems if isinstance(error, SchemaErrors) else [Problem(source.place(at), at, str(error))]
            )
            continue
        said = None if of["validation"] is None else Validation(**of["validation"])
        found[precision] = DeviceCurves(data["name"], precision, of["provenance"], of["source"], said, model)
    if problems:
        raise SchemaErrors(problems)
    return found


def _model(source: Source, precision: str, of: Mapping[str, Any]) -> Estimator | Roofline:
    at = ("precisions", precision)
    forms = [form for form in ("terms", "efficiency") if of[form] is not None]
    if len(forms) != 1:
        raise UsageError(
            f"found {' and '.join(forms) or 'neither terms nor efficiency'}; allowed: one of terms, efficiency"
        )
    if (of["provenance"] == "assumed") != (forms == ["efficiency"]):
        raise UsageError(
            f"provenance: found {of['provenance']} with {forms[0]}; allowed: assumed with efficiency, others with terms"
        )
    if forms == ["terms"]:
        if "any" not in of["terms"]["families_s"]:
            raise UsageError("terms.families_s: any is missing, what a class of no family costs")
        if odd := [op for op, (low, high) in of["terms"]["reach"].items() if low > high]:
            where = (*at, "terms", "reach", odd[0])
            raise SchemaErrors([Problem(source.place(where), where, "found a lowest size above the highest")])
        return Estimator.from_json(of["terms"])
    curves = {
        name: assumed.entry(f"efficiency.curves.{name}", each) for name, each in of["efficiency"]["curves"].items()
    }
    for op in cases.COMPUTING:
        try:
            curve_name(op, curves)
        except UnknownName as error:
            raise UsageError(f"efficiency.curves: {error}") from None
    return Roofline(precision, of["efficiency"]["ops_per_s"], of["efficiency"]["bytes_per_s"], curves, {}, {})


def document(name: str, description: str, precisions: Mapping[str, Mapping[str, object]]) -> str:
    """The text of a file of curves: provenance, source, validation and terms by precision. Figures have five digits."""
    data = {
        "name": name,
        "description": description,
        "precisions": {k: _rounded(dict(v)) for k, v in precisions.items()},
    }
    return yaml_text.dump(data)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float | np.floating) else value


def validation(protocol: str, log_errors: np.ndarray) -> dict[str, object]:
    """The `validation` of a file, of log(predicted / measured) of each network, float64 (networks,)."""
    ape = np.abs(np.expm1(log_errors))
    figures = {
        "mape": float(ape.mean()),
        "max_ape": float(ape.max()),
        "log_error": float(np.sqrt((log_errors**2).mean())),
    }
    return {"protocol": protocol, "networks": len(log_errors), **figures}
