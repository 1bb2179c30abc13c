"""Data sheets: peak rates of a device and what they are made of. No measurement; what calibration is compared with.

A multiply-accumulate counts as two operations. Each peak is published or derived, and must be units x operations per cycle x clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mico_runner import paths, yaml_schema, yaml_source
from mico_runner.errors import UnknownName, UsageError

ROUNDING = 0.01  # published peaks have two or three digits
_POSITIVE = {"type": "number", "above": 0, "required": True}
_TEXT = {"type": "string", "minlength": 1, "required": True}
_PART = {"units": {**_POSITIVE, "type": "integer"}, "unit": _TEXT, "ops_per_cycle": _POSITIVE, "clock_hz": _POSITIVE}
_PEAK = {
    "ops_per_s": _POSITIVE,
    "parts": {"type": "list", "schema": {"type": "dict", "schema": _PART}, "minlength": 1, "required": True},
    "source": _TEXT,
}
_CHANNELS = {
    "channels": {**_POSITIVE, "type": "integer"},
    "bytes_per_transfer": _POSITIVE,
    "transfers_per_s": _POSITIVE,
}
_MEMORY = {
    "bytes_per_s": _POSITIVE,
    "derived": {"type": "dict", "schema": _CHANNELS, "required": True},
    "source": _TEXT,
}
PRECISIONS = ["fp32", "tf32", "fp16", "bf16", "int8"]
SCHEMA: dict[str, dict[str, Any]] = {
    "name": _TEXT,
    "description": {"type": "string", "default": ""},
    "modes": {
        "type": "dict",
        "minlength": 1,
        "required": True,
        "keysrules": {"type": "string", "regex": "[a-z0-9_]+", "meta": {"text": "lower-case names"}},
        "valuesrules": {
            "type": "dict",
            "minlength": 1,
            "keysrules": {"type": "string", "allowed": PRECISIONS},
            "valuesrules": {"type": "dict", "schema": _PEAK},
        },
    },
    "memory": {"type": "dict", "schema": _MEMORY, "required": True},
}


@dataclass(frozen=True)
class Datasheet:
    """Peaks of a device.

    Attributes:
        peaks: operations per second by power mode ("default" where there is one only) and precision.
        bytes_per_s: of the main memory.
        sources: where each peak comes from, by (mode, precision); ("memory", "") for the bandwidth.
    """

    name: str
    description: str
    peaks: dict[str, dict[str, float]]
    bytes_per_s: float
    sources: dict[tuple[str, str], str]


def names() -> list[str]:
    """Names of the shipped data sheets, sorted."""
    return sorted(path.stem for path in (paths.shipped("hardware") / "datasheets").glob("*.yaml"))


def load(device: str | Path) -> Datasheet:
    """A data sheet by name, or from a YAML file.

    Raises:
        UnknownName: with the nearest names; another device's figures are never used instead.
        UsageError: the file is no data sheet, or a figure is not the product of its factors.
    """
    path = device
    if not isinstance(device, Path):
        if device not in names():
            raise UnknownName("data sheet", device, names())
        path = paths.shipped("hardware") / "datasheets" / f"{device}.yaml"
    data: dict[str, Any] = yaml_schema.check(yaml_source.read(Path(path)), SCHEMA)
    peaks: dict[str, dict[str, float]] = {}
    sources = {("memory", ""): data["memory"]["source"]}
    for mode, rates in data["modes"].items():
        peaks[mode] = {}
        for precision, peak in rates.items():
            product = sum(p["units"] * p["ops_per_cycle"] * p["clock_hz"] for p in peak["parts"])
            _compare(path, f"modes.{mode}.{precision}.ops_per_s", peak["ops_per_s"], product)
            peaks[mode][precision] = float(peak["ops_per_s"])
            sources[mode, precision] = peak["source"]
    memory = data["memory"]["derived"]
    product = memory["channels"] * memory["bytes_per_transfer"] * memory["transfers_per_s"]
    _compare(path, "memory.bytes_per_s", data["memory"]["bytes_per_s"], product)
    return Datasheet(data["name"], data["description"], peaks, float(data["memory"]["bytes_per_s"]), sources)


def _compare(path: str | Path, key: str, stated: float, product: float) -> None:
    if abs(stated / product - 1) > ROUNDING:
        raise UsageError(f"{path}: {key}: found {stated:.6g}; its factors give {product:.6g}")
