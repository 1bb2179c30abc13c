"""What results depend on, as data: light, because `plan` asks every step for it without torch."""

from __future__ import annotations

from typing import Any


def network_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """What the quantised network and its costs depend on, besides the weights."""
    from mico_runner import hardware

    return {"quantization": spec["quantization"], "hardware": hardware.load(spec["hardware"]).sha256}


def profile_inputs(names: list[str]) -> dict[str, Any]:
    """sha256 of the files of each kernel profile: a name of the catalog, or the path of a CSV file."""
    from pathlib import Path

    from mico_runner.data import catalog

    return {name: catalog.sha256(Path(name)) if name.endswith(".csv") else catalog.fingerprint(name) for name in names}


def task_inputs(name: str) -> dict[str, Any]:
    """sha256 of the files of a task; for data that a package embeds, the package's version."""
    from importlib import metadata

    from mico_runner.data import catalog

    return catalog.fingerprint(name) or {"scikit-learn": metadata.version("scikit-learn")}
