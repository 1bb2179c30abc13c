"""What results depend on, as data: light, because `plan` asks every step for it without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def network_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """What the quantised network and its costs depend on, besides the weights."""
    from mico_runner import hardware

    return {"quantization": spec["quantization"], "hardware": hardware.load(spec["hardware"]).sha256}


def profile_inputs(names: list[str]) -> dict[str, Any]:
    """The kernel profiles in their order, each a name of the catalog or the path of a CSV file, by content and how it is read."""
    from mico_runner.data import catalog

    found: dict[str, Any] = {}
    for name in names:
        if name.endswith(".csv"):
            label = Path(name).name
            found[f"{label} (another)" if label in found else label] = catalog.sha256(Path(name))
        else:
            of = catalog.entry(name)
            keys = ("unit", "device", "kernel", "header", "columns", "fill")
            found[name] = {"files": catalog.fingerprint(name), "read": {key: getattr(of, key) for key in keys}}
    return {"order": list(found), **found}


def task_inputs(name: str) -> dict[str, Any]:
    """A task by its name, its files' content and how they are read."""
    from mico_runner.data import catalog

    of = catalog.entry(name)
    return {"name": name, "files": catalog.fingerprint(name), "loader": of.loader, "loader_params": of.loader_params}


def chosen(spec: dict[str, Any]) -> dict[str, list[str]]:
    """The entries of registries that a spec names, by package: the source of the others takes no part. See `sources.Sources`.

    Of features, regressors and validation protocols all take part: strategies name some in their own code.
    """
    from mico_runner import hardware
    from mico_runner.accelerators import ACCELERATORS
    from mico_runner.data import LOADERS, catalog
    from mico_runner.models import MODELS
    from mico_runner.profiling.samplers import SAMPLERS
    from mico_runner.proxy import STRATEGIES
    from mico_runner.search import ALGORITHMS
    from mico_runner.targets import TARGETS

    def named(section: str, *keys: str) -> list[str]:
        return [spec[section][key] for key in keys] if spec.get(section) else []

    proxy, search, task = spec.get("proxy"), spec.get("search"), spec.get("datasets", {}).get("task")
    predictors = [proxy, *proxy["compare"]] if proxy else []
    return {
        MODELS.package: named("model", "name") + named("allocate", "network"),
        LOADERS.package: [catalog.entry(task).loader] if task else [],
        ALGORITHMS.package: [search["algorithm"], *search["compare"]] if search else [],
        STRATEGIES.package: [of["strategy"] for of in predictors],
        TARGETS.package: named("profile", "target"),
        SAMPLERS.package: named("profile", "sampler"),
        ACCELERATORS.package: [hardware.load(spec["hardware"]).kind] if spec.get("hardware") else [],
    }


def device_targets(spec: dict[str, Any]) -> list[str]:
    """The targets of `simulate` that link a program for a board, "rtl" first: it is what latencies in cycles are of."""
    target = (spec["simulate"] or {}).get("target", [])
    return [name for name in ("rtl", "qemu") if name in ([target] if isinstance(target, str) else target)]


def deployment_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """Which program the network becomes: the keywords of `codegen.deployment.Deployment`.

    It is that of the board on which the spec's `simulate` runs it, else that of the `codegen` section, else the host's.
    """
    from mico_runner import hardware
    from mico_runner.targets import boards

    device = hardware.load(spec["hardware"])
    section = spec["codegen"] or {}
    linked = device_targets(spec)
    runtime = "baremetal" if linked else section.get("runtime", "host")
    core = None if runtime == "host" else device.core
    runs_on = linked[0] if linked else "rtl" if device.latency_unit == "cycles" else "qemu"
    board = boards(runs_on).get(core) if core else None
    return {"runtime": runtime, "core": core, "scratch": section.get("scratch", "two_rows"), "board": board}
