"""Everything that a spec can name, by kind: what `mico-run list` shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mico_runner import durable, hardware, paths, yaml_source
from mico_runner.accelerators import ACCELERATORS
from mico_runner.data import LOADERS, catalog
from mico_runner.errors import UnknownName
from mico_runner.models import MODELS
from mico_runner.ops import OPERATORS
from mico_runner.profiling.samplers import SAMPLERS
from mico_runner.proxy import FEATURES, REGRESSORS, STRATEGIES
from mico_runner.registry import Registry
from mico_runner.remembered import Remembered
from mico_runner.reproductions import REPRODUCTIONS
from mico_runner.search import ALGORITHMS
from mico_runner.steps import STEPS
from mico_runner.targets import TARGETS
from mico_runner.tasks import TASKS
from mico_runner.tune import POLICIES
from mico_runner.validation import PROTOCOLS
from mico_runner.yaml_schema import describe

Rows = list[dict[str, str]]
_SIZES = ("outputs", "weights", "macs")  # of a model for the input that its entry states, by default parameters

REGISTRIES = {
    "steps": STEPS,
    "models": MODELS,
    "operators": OPERATORS,
    "algorithms": ALGORITHMS,
    "strategies": STRATEGIES,
    "features": FEATURES,
    "regressors": REGRESSORS,
    "protocols": PROTOCOLS,
    "reproductions": REPRODUCTIONS,
    "samplers": SAMPLERS,
    "targets": TARGETS,
    "accelerators": ACCELERATORS,
    "kinds": TASKS,
    "loaders": LOADERS,
    "policies": POLICIES,
}
KINDS = ["hardware", "tasks", "profiles", "templates", *REGISTRIES]
GROUPS = {"datasets": ["tasks", "profiles"]}


def kinds(name: str | None) -> list[str]:
    """The kinds that are meant by the name of one, of a group, or None for all. Raises UnknownName."""
    if name is not None and name not in (*KINDS, *GROUPS):
        raise UnknownName("kind of name", name, [*KINDS, *GROUPS])
    return KINDS if name is None else GROUPS.get(name, [name])


def known(kind: str) -> Rows:
    """One row per name: name, description, and what else the kind has.

    Args:
        kind: one of `KINDS`.
    """
    if kind in REGISTRIES:
        return _entries(REGISTRIES[kind])
    if kind == "hardware":
        return _of_files(paths.shipped("hardware"), hardware.names(), _device)
    if kind in ("tasks", "profiles"):
        return _datasets({"tasks": "task", "profiles": "kernel_profile"}[kind])
    return _of_files(paths.shipped("specs") / "templates", templates(), _template)


def _of_files(folder: Path, names: list[str], row: Callable[[Path], dict[str, str]]) -> Rows:
    """A row of each YAML file, remembered in the user's cache: to parse them all takes most of the time of `mico-run list`."""
    with Remembered(f"rows-{folder.name}.json", _how()) as memory:
        return [memory(folder / f"{name}.yaml", row) for name in names]


@cache
def _how() -> str:
    """What makes the rows: when it changes, what was remembered of them is void."""
    files = [Path(__file__), *sorted(Path(hardware.__file__).parent.glob("*.py"))]
    return "".join(durable.sha256(file)[:8] for file in files)


def templates() -> list[str]:
    """The shipped templates, by their names."""
    return sorted(path.stem for path in (paths.shipped("specs") / "templates").glob("*.yaml"))


def device_templates() -> list[str]:
    """Those that a first spec for a device extends; others, as for little memory, have a purpose for a name."""
    return [name for name in templates() if name in hardware.names()]


def _entries(registry: Registry) -> Rows:
    rows = []
    for entry in registry.entries.values():
        row = {"name": entry.name, "description": entry.summary}
        if any("params" in e.meta for e in registry.entries.values()):
            row["params"] = "; ".join(_parameter(*item) for item in entry.meta.get("params", {}).items())
        if size := entry.meta.get("size"):
            row |= {"input": "x".join(map(str, size["input"]))} | {key: str(size[key]) for key in _SIZES}
        rows.append(row)
    return rows


def _parameter(name: str, rules: dict[str, Any]) -> str:
    default = f" ({rules['default']})" if "default" in rules else ""
    return f"{name}: {describe(rules)}{default}"


def _device(file: Path) -> dict[str, str]:
    device = hardware.load(file)
    bits = {"weight bits": device.weight_bits, "activation bits": device.activation_bits}
    shown = {what: " ".join(f"{b:g}" for b in values) for what, values in bits.items()}
    return {"name": file.stem, "description": device.description, **shown, "latency": device.latency_unit}


def _datasets(kind: str) -> Rows:
    rows = []
    for name in catalog.names(kind):
        entry = catalog.entry(name)
        row = {"name": name, "description": entry.description}
        if kind == "kernel_profile":
            row |= {"device": entry.device or "", "unit": entry.unit or ""}
        rows.append({**row, "shipped": "yes" if all(file.shipped for file in entry.files) else ""})
    return rows


def _template(file: Path) -> dict[str, str]:
    data = yaml_source.read(file).data
    sections = ", ".join(key for key in data if key != "spec_version")
    return {"name": f"templates/{file.name}", "description": f"for {data.get('hardware', 'any device')}: {sections}"}
