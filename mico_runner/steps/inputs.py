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


def device_targets(spec: dict[str, Any]) -> list[str]:
    """The targets of `simulate` that link a program for a board, "rtl" first: it is what latencies in cycles are of."""
    target = (spec["simulate"] or {}).get("target", [])
    return [name for name in ("rtl", "qemu") if name in ([target] if isinstance(target, str) else target)]


def deployment_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """Which program the network becomes: the keywords of `codegen.deployment.Deployment`.

    It is that of the board on which the spec's `simulate` runs it, else that of the `codegen` section, else the host's.
    """
    from mico_runner import hardware
    from mico_runner.simulate.cores import BOARDS

    device = hardware.load(spec["hardware"])
    section = spec["codegen"] or {}
    linked = device_targets(spec)
    runtime = "baremetal" if linked else section.get("runtime", "host")
    core = None if runtime == "host" else device.core
    runs_on = linked[0] if linked else "rtl" if device.latency_unit == "cycles" else "qemu"
    board = BOARDS[runs_on].get(core) if core else None
    return {"runtime": runtime, "core": core, "scratch": section.get("scratch", "two_rows"), "board": board}
