"""The environment a run took place in, for its manifest."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata

from mico_runner import machine, paths, processes
from mico_runner.version import VERSION

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


def describe() -> dict[str, object]:
    """Versions, platform, processor and, in a checkout, the git revision ("-dirty" with uncommitted changes)."""
    return {
        "mico_runner": VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": machine.cpu(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git_revision(),
    }


def numerics() -> dict[str, object]:
    """What the last digits of a result depend on, of the libraries that this process has loaded: BLAS kernels and threads.

    Keys: "pools", for each library of threads its name, the kernel it has chosen for this processor, its threads; "torch", its
    instruction set and threads.
    """
    found: dict[str, object] = {}
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_info

        keys = {"internal_api": "library", "architecture": "kernel", "version": "version", "num_threads": "threads"}
        pools = [{to: info.get(key) for key, to in keys.items() if info.get(key)} for info in threadpool_info()]
        found["pools"] = sorted((dict(p) for p in {tuple(p.items()) for p in pools}), key=str)
    if torch := sys.modules.get("torch"):
        found["torch"] = {"kernel": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    checkout = paths.PACKAGE.parent
    if not (checkout / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"]
        done = processes.run(command, timeout_s=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()
