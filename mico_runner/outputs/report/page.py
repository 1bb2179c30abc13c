"""The page of a version: one file, without outside files. Each section appears when its artifacts are there."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from mico_runner.outputs.files import write_text
from mico_runner.outputs.report.asked import asked
from mico_runner.outputs.report.tables import bytes_text, number
from mico_runner.outputs.report.tiles import tiles
from mico_runner.outputs.report.version import Version


class _Part(NamedTuple):
    """A function of a module of this package, imported where one of the steps that it shows took part.

    Pandas and matplotlib take seconds.
    """

    home: str
    function: str
    steps: frozenset[str]
    otherwise: object = None


_NETWORK = frozenset({"train", "evaluate", "search", "codegen", "simulate"})
_PARTS = {
    "facts": _Part("layers", "facts", _NETWORK, {}),
    "front": _Part("front", "part", frozenset({"search"})),
    "bits": _Part("layers", "part", _NETWORK),
    "allocation": _Part("allocation", "part", frozenset({"allocate"})),
    "codesign": _Part("codesign", "part", frozenset({"codesign"})),
    "mapped": _Part("mapping", "part", frozenset({"simulate", "codesign"}), ()),
    "latency": _Part("latency", "part", frozenset({"fit", "simulate"})),
    "calibration": _Part("calibration", "part", frozenset({"calibrate"})),
    "verified": _Part("calibration", "verified", frozenset({"verify"}), ()),
    "estimated": _Part("estimated", "part", frozenset({"estimate"})),
    "devices": _Part("predictor", "devices", frozenset({"fit"})),
    "exits": _Part("exits", "part", frozenset({"exits"})),
    "filtering": _Part("filtering", "part", frozenset({"filter"})),
    "tuning": _Part("tuning", "part", frozenset({"tune"})),
    "quality": _Part("quality", "part", _NETWORK),
    "kernels": _Part("memory", "kernels", frozenset({"codegen"})),
    "memory": _Part("memory", "part", frozenset({"codegen"})),
}


def write_report(version: Path, path: Path | None = None) -> Path:
    """Render a version folder to `path`; returns where it is.

    By default that is its own report.html, or, where that would have to change and may not be written, a file in the current folder.
    """
    text = render(version)
    if path is None:
        path = version / "report.html"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return path
        if not os.access(version, os.W_OK):
            path = Path(f"{version.parent.name}-{version.name}.html")
    write_text(path, text)
    return path


def render(version: Path) -> str:
    """The page of a version, or of a sweep's, as text; the same version gives the same text."""
    found = Version(version)
    if "cells" in found.manifest:
        return fill("sweep.html.j2", _sweep(found))
    return fill("report.html.j2", _context(found))


def fill(template: str, context: dict[str, Any]) -> str:
    """A template of this folder with its styles and its script inside."""
    environment = Environment(
        loader=PackageLoader("mico_runner.outputs.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "bytes": bytes_text}
    return environment.get_template(template).render(context)


def _context(version: Version) -> dict[str, Any]:
    manifest = version.manifest
    steps = manifest["steps"]
    return {name: _shown(part, version) for name, part in _PARTS.items()} | {
        "name": version.spec["name"],
        "spec": version.spec,
        "spec_text": version.spec_text,
        "manifest": manifest,
        "asked": asked(version),
        "tiles": tiles(version),
        "measure": version.task.MEASURE.name,
        "metrics": version.metrics,
        "broken_gates": manifest["broken_gates"],
        "skipped": {step: about["hint"] for step, about in steps.items() if about["status"] == "skipped"},
        "slowest": max((about["wall_seconds"] for about in steps.values()), default=0) or 1,
    }


def _shown(part: _Part, version: Version) -> object:
    if part.steps.isdisjoint(version.manifest["steps"]):
        return part.otherwise
    return getattr(import_module(f"mico_runner.outputs.report.{part.home}"), part.function)(version)


def _sweep(version: Version) -> dict[str, Any]:
    from mico_runner.outputs.report import sweep

    return sweep.context(version)
