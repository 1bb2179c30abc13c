"""Baselines: what `diff` compares with by default, `outputs/baselines/NAME/`, to be committed.

Below it there may be one for each kind of processor, `NAME/linux-x86_64-avx2/`: libraries choose other kernels on another one, and training
gives other weights.
"""

from __future__ import annotations

import dataclasses
import json
import re
import statistics
from pathlib import Path
from typing import Any

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.differences import ENVIRONMENT, environment
from mico_runner.outputs.files import write_text
from mico_runner.outputs.json_files import read_text
from mico_runner.outputs.repeats import REPEATS, repeats
from mico_runner.outputs.rules import rules_of

BASELINES = "baselines"


def baseline_of(version: Path, root: Path) -> Path:
    """The baseline to compare a version with: that of its processor if there is one, else that of all.

    Raises UsageError that says how to make one when there is none.
    """
    common = root / BASELINES / version.parent.name
    for folder in (_of_platform(common, version), common):
        if folder and (folder / "metrics.json").is_file():
            return folder
    raise UsageError(f"no baseline {common}; mico-run diff {version.parent.name} --save-baseline makes one")


def _of_platform(common: Path, version: Path) -> Path | None:
    label = platform_of(environment(version))
    return common / label if label else None


def platform_of(about: dict[str, Any]) -> str:
    """System, machine and the instruction set of torch's kernels, "linux-x86_64-avx2"; "" where the environment does not say it."""
    if "system" not in about or "machine" not in about:
        return ""
    parts = (about["system"], about["machine"], about.get("kernels", ""))
    return "-".join(re.sub(r"[^a-z0-9_]+", "-", str(part).lower()) for part in parts if part)


def save_baseline(version: Path, root: Path, per_platform: bool = False, runs: int | None = None) -> Path:
    """Copy what `diff` and a re-run need: metrics, the resolved spec, the environment; returns the folder.

    Args:
        per_platform: for processors like the version's alone.
        runs: the newest runs of the same state whose measured values are kept; None: as the spec says. A volatile metric of which there
            are fewer than two is left out.

    Raises UsageError for a version that does not say its platform, when asked for that.
    """
    folder = root / BASELINES / version.parent.name
    about = environment(version)
    if per_platform:
        if not platform_of(about):
            raise UsageError(f"{version / 'manifest.json'} does not say its platform; run the spec again")
        folder /= platform_of(about)
    most = rules_of(version).runs if runs is None else runs
    values = {name: each for name, each in repeats(version, most).items() if len(each) > 1} if most > 1 else {}
    metrics = store.metrics(version)
    kept = {name: metric for name, metric in metrics.items() if name in values or not metric.volatile}
    for name, each in values.items():
        if len(set(each)) > 1:
            kept[name] = dataclasses.replace(kept[name], value=statistics.fmean(each))
    resolved = read_text(version / "spec.resolved.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    store.write_metrics(folder, kept)
    write_text(folder / "spec.resolved.yaml", resolved)
    for name, content in ((ENVIRONMENT, about), (REPEATS, values)):
        if content:
            write_text(folder / name, json.dumps(content, indent=1, sort_keys=True) + "\n")
        else:
            (folder / name).unlink(missing_ok=True)
    return folder
