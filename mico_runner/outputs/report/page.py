"""The page of a version: one file, without outside files. Each section appears when its artifacts are there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mico_runner.outputs.files import write_text
from mico_runner.outputs.report import (
    allocation,
    calibration,
    codesign,
    estimated,
    exits,
    filtering,
    front,
    latency,
    layers,
    mapping,
    memory,
    predictor,
    quality,
    sweep,
    tuning,
)
from mico_runner.outputs.report.asked import asked
from mico_runner.outputs.report.tables import bytes_text, number, table
from mico_runner.outputs.report.tiles import tiles
from mico_runner.outputs.report.version import Version


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
        return fill("sweep.html.j2", sweep.context(found))
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
    return {
        "name": version.spec["name"],
        "facts": layers.facts(version),
        "spec": version.spec,
        "spec_text": version.spec_text,
        "manifest": manifest,
        "asked": asked(version),
        "tiles": tiles(version),
        "front": front.part(version),
        "bits": layers.part(version),
        "allocation": allocation.part(version),
        "codesign": codesign.part(version),
        "mapped": mapping.part(version),
        "latency": latency.part(version),
        "calibration": calibration.part(version),
        "verified": calibration.verified(version),
        "estimated": estimated.part(version),
        "devices": predictor.devices(version),
        "exits": exits.part(version),
        "filtering": filtering.part(version),
        "tuning": tuning.part(version),
        "measure": version.task.MEASURE.name,
        "quality": quality.part(version),
        "kernels": table(version.csv("codegen", "kernels.csv")),
        "memory": memory.part(version),
        "metrics": version.metrics,
        "broken_gates": manifest["broken_gates"],
        "skipped": {step: about["hint"] for step, about in steps.items() if about["status"] == "skipped"},
        "slowest": max((about["wall_seconds"] for about in steps.values()), default=0) or 1,
    }
