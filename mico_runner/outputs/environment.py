"""The environment a run took place in, for its manifest."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import mico_runner

PACKAGES = (
    "cerberus",
    "jinja2",
    "matplotlib",
    "numpy",
    "pandas",
    "pygmo",
    "pyyaml",
    "scikit-learn",
    "scipy",
    "tabulate",
    "torch",
    "tqdm",
    "xgboost-cpu",
)


def describe() -> dict[str, Any]:
    """Versions, platform, processor and, in a checkout, the git revision ("-dirty" with uncommitted changes)."""
    return {
        "mico_runner": mico_runner.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git_revision(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git_revision() -> str | None:
    checkout = Path(mico_runner.__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
