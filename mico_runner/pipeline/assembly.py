"""What a version holds, from what a run has done."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from mico_runner import durable, outputs
from mico_runner.errors import StepError, UsageError
from mico_runner.outputs import environment, store
from mico_runner.outputs.files import sha256, write_text
from mico_runner.outputs.json_files import read_text
from mico_runner.pipeline.gates import BrokenGate
from mico_runner.steps.base import Metric


@dataclass
class Finished:
    """The steps that a run is through with.

    Attributes:
        folders: step -> its artifacts, without the skipped steps.
        sums: step -> what `durable.contents` said of them when the step had finished.
        statuses: step -> "run", "cached" or "skipped".
        skipped: step -> why.
        steps: step -> its record in the manifest.
    """

    metrics: dict[str, Metric] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    sums: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, object]] = field(default_factory=dict)
    log: list[dict[str, object]] = field(default_factory=list)


def assemble(
    folder: Path, data: dict[str, object], done: Finished, broken: list[BrokenGate], previous: Path | None
) -> None:
    """Fill the folder of a new version; `previous` is the newest one before it.

    Raises StepError when an artifact is not what its step wrote, or cannot be shown in the report.
    """
    for step, artifacts in done.folders.items():
        shutil.copytree(artifacts, folder / "steps" / step)
        if damage := durable.damage(folder / "steps" / step, done.sums[step]):
            raise StepError(f"step {step!r}: its result changed during the run: {damage}; run again")
    write_text(folder / "spec.resolved.yaml", _resolved(data))
    store.write_metrics(folder, done.metrics)
    write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in done.log))
    manifest = {
        "name": data["name"],
        "seed": data["seed"],
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": environment.describe(),
        "report_template": _report_template(),
        "steps": done.steps,
        "broken_gates": [asdict(gate) for gate in broken],
    }
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    _report(folder, previous)
    manifest["artifacts"] = store.artifact_hashes(folder)
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1))


def written(folder: Path, data: dict[str, object], done: Finished) -> Path | None:
    """The newest version, where it holds all that a new one would: that of a run which an interruption did not keep from ending."""
    newest = store.latest(folder)
    if newest is None:
        return None
    try:
        same = read_text(newest / "spec.resolved.yaml") == _resolved(data)
        before = {step: about.get("fingerprint") for step, about in store.manifest(newest)["steps"].items()}
    except UsageError:  # a damaged one
        return None
    now = {step: about["fingerprint"] for step, about in done.steps.items()}
    return newest if same and before == now and "run" not in done.statuses.values() else None


def _resolved(data: dict[str, object]) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _report(folder: Path, previous: Path | None) -> None:
    """report.html; the previous version's when it would show the same, which spares importing matplotlib."""
    if previous and _same_report(previous, folder):
        shutil.copyfile(previous / "report.html", folder / "report.html")
        return
    try:
        outputs.write_report(folder)
    except Exception as error:
        raise StepError(f"report.html: {type(error).__name__}: {error}") from error


def _same_report(previous: Path, folder: Path) -> bool:
    """Whether the previous version has a report, whole, that would show the same."""
    try:
        whole = sha256(previous / "report.html") == store.manifest(previous)["artifacts"]["report.html"]
        return whole and _shown(previous) == _shown(folder)
    except (UsageError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # a damaged version
        return False


def _report_template() -> str:
    """Hash of the files that make the report."""
    files = sorted((Path(outputs.__file__).parent / "report").iterdir())
    return "".join(sha256(file)[:8] for file in files if file.is_file())


def _shown(version: Path) -> dict[str, object] | None:
    """What the report depends on: the spec, the manifest, and the artifacts, for which the fingerprints stand; None: it is damaged."""
    try:
        manifest, spec = store.manifest(version), read_text(version / "spec.resolved.yaml")
    except UsageError:
        return None
    kept = ("fingerprint", "wall_seconds", "hint")
    steps = {step: [about.get(key) for key in kept] for step, about in manifest["steps"].items()}
    rest = {key: value for key, value in manifest.items() if key not in ("created", "artifacts", "steps")}
    return {"spec": spec, "steps": steps, **rest}
