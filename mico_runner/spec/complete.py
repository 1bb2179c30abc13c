"""What the form of a spec cannot say: names of data and devices, parameters of plug-ins, and sections that need one another."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mico_runner import hardware
from mico_runner.data import catalog
from mico_runner.errors import UnknownName, UsageError, did_you_mean
from mico_runner.hardware import Hardware
from mico_runner.models import MODELS
from mico_runner.proxy import STRATEGIES
from mico_runner.registry import Registry
from mico_runner.search import ALGORITHMS
from mico_runner.spec.consistency import check_consistency
from mico_runner.spec.files import escapes, is_file
from mico_runner.spec.gates import add_default_gates
from mico_runner.spec.schema import CURVES, sections
from mico_runner.spec.steps import order_steps
from mico_runner.yaml_schema import Problem, SchemaErrors, check_part, show
from mico_runner.yaml_source import Keys, Source

UNIFORM = [[8, 8], [4, 4], [2, 2]]  # evaluated by default, as far as the hardware has them
NEED_HARDWARE = ("model", "profile", "search", "allocate", "simulate")


class Draft:
    """A spec whose form is right, on its way to a resolved one, with the problems found so far."""

    def __init__(self, source: Source, data: dict[str, Any], folder: Path) -> None:
        self.source, self.data, self.folder = source, data, folder
        self.problems: list[Problem] = []

    def fail(self, path: Keys, text: str, of_key: bool = False) -> None:
        self.problems.append(Problem(self.source.place(path, of_key), path, text))

    def fail_if_escapes(self, path: Keys, file: str) -> bool:
        if escapes(file):
            self.fail(
                path, f"found {show(file)}; allowed: a path below the spec's folder, or an absolute one, without '..'"
            )
        return escapes(file)

    def unknown(self, path: Keys, value: str, known: list[str], allowed: str) -> None:
        near = did_you_mean(value, known).rstrip(";")
        self.fail(path, f"found {show(value)}; allowed: {allowed}{near}")


def complete(source: Source, data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Check a spec of the right form against the world and itself, and fill in what depends on other keys.

    Args:
        folder: where relative paths start.

    Raises:
        SchemaErrors: all problems at once.
    """
    draft = Draft(source, copy.deepcopy(data), folder)
    draft.data["extends"] = None  # merged in already: the resolved spec runs without it
    device = _hardware(draft)
    _efficiency_curves(draft)
    _calibrate(draft)
    _datasets(draft, device)
    _parameters(draft)
    _uniform_bits(draft, device)
    _memory_limits(draft, device)
    order_steps(draft)
    check_consistency(draft, device)
    add_default_gates(draft)
    if draft.problems:
        raise SchemaErrors(draft.problems)
    return {key: draft.data[key] for key in sections()}


def _hardware(draft: Draft) -> Hardware | None:
    """The device. A path becomes the mapping that the file holds, so that the resolved spec does not depend on it."""
    wanted = draft.data["hardware"]
    if wanted is None:
        needed = [name for name in NEED_HARDWARE if draft.data[name] is not None]
        if needed:
            known = ", ".join(hardware.names())
            draft.fail(("hardware",), f"missing, needed by {needed[0]}; allowed: one of {known}, a path, a mapping")
        return None
    try:
        if isinstance(wanted, dict):
            completed, problems = check_part(draft.source, ("hardware",), wanted, hardware.SCHEMA)
            problems = problems or hardware.problems(draft.source, completed, ("hardware",))
            draft.problems += problems
            if problems:
                return None
            draft.data["hardware"] = completed
        elif hardware.is_path(wanted):
            if draft.fail_if_escapes(("hardware",), wanted):
                return None
            draft.data["hardware"] = hardware.read(draft.folder / wanted)
        return hardware.load(draft.data["hardware"])
    except UnknownName as error:
        allowed = f"one of {', '.join(error.known)}, a path to a YAML file, a mapping"
        draft.unknown(("hardware",), wanted, error.known, allowed)
    except SchemaErrors as error:
        draft.problems += error.problems
    except UsageError as error:
        draft.fail(("hardware",), str(error))
    return None


def _efficiency_curves(draft: Draft) -> None:
    wanted = draft.data["efficiency_curves"]
    path: Keys = ("efficiency_curves",)
    if isinstance(wanted, dict):
        draft.data["efficiency_curves"], problems = check_part(draft.source, path, wanted, CURVES)
        draft.problems += problems
    elif wanted not in (None, "auto") and not draft.fail_if_escapes(path, wanted):
        file = draft.folder / wanted
        if not is_file(file):
            draft.fail(path, f"found {show(wanted)}; no such file: {file}")
            return
        draft.data["efficiency_curves"] = str(file.resolve())


def _calibrate(draft: Draft) -> None:
    section = draft.data["calibrate"]
    if section is None:
        wrong = any(problem.path[:1] == ("efficiency_curves",) for problem in draft.problems)
        if draft.data["efficiency_curves"] is not None and not wrong:
            draft.fail(
                ("efficiency_curves",),
                "read by calibrate, which this spec lacks; allowed: null, or a calibrate section",
            )
        return
    for key in ("compare", "write_to"):
        path: Keys = ("calibrate", key)
        if section[key] is None or draft.fail_if_escapes(path, section[key]):
            continue
        file = draft.folder / section[key]
        if key == "compare" and not is_file(file):
            draft.fail(path, f"found {show(section[key])}; no such file: {file}")
            continue
        section[key] = str(file.resolve())


def _datasets(draft: Draft, device: Hardware | None) -> None:
    data = draft.data
    section = data["datasets"]
    if data["model"] is not None and section["task"] is None:
        known = ", ".join(catalog.names("task"))
        draft.fail(("datasets", "task"), f"missing, needed by model; allowed: one of {known}")
    for i, name in enumerate(section["profile"]):
        path: Keys = ("datasets", "profile", i)
        if name.endswith(".csv"):
            if draft.fail_if_escapes(path, name):
                continue
            file = draft.folder / name
            if not is_file(file):
                draft.fail(path, f"found {show(name)}; no such file: {file}")
                continue
            section["profile"][i] = str(file.resolve())
            _check_unit(draft, path, file, device)
        elif name not in catalog.names("kernel_profile"):
            known = catalog.names("kernel_profile")
            draft.unknown(path, name, known, "a profile of the catalog (mico-run list profiles), a path to a .csv file")
        elif device is not None:
            _check_device(draft, path, catalog.entry(name), device)


def _check_unit(draft: Draft, path: Keys, file: Path, device: Hardware | None) -> None:
    """Nothing converts units: latencies in ms would pass for the device's ns."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        header = [column.strip() for column in lines.readline().split(",")]
    latency = [column for column in header if column.startswith("latency_")]
    if device is not None and f"latency_{device.latency_unit}" not in header:
        found = ", ".join(latency) or "no latency"
        draft.fail(
            path,
            f"{file.name}:1: found {found}; allowed: a column latency_{device.latency_unit}, as {device.name} counts",
        )


def _check_device(draft: Draft, path: Keys, profile: catalog.Entry, device: Hardware) -> None:
    """A predictor learns one device: latencies of another one would pass for its own."""
    if profile.device == device.name:
        return
    fitting = [n for n in catalog.names("kernel_profile") if catalog.entry(n).device == device.name]
    allowed = f"profiles of {device.name}: {', '.join(fitting) or 'none in the catalog, give a .csv file'}"
    draft.fail(path, f"found {show(profile.name)}, latencies of {profile.device}; allowed: {allowed}")


def _parameters(draft: Draft) -> None:
    """Fill in and check `params` by the plug-in that they are for."""
    data = draft.data
    if data["model"]:
        _params(draft, ("model",), data["model"], MODELS, data["model"]["name"])
    if data["allocate"]:
        _params(draft, ("allocate",), data["allocate"], MODELS, data["allocate"]["network"])
    if data["search"]:
        _params(draft, ("search",), data["search"], ALGORITHMS, data["search"]["algorithm"])
    if data["proxy"]:
        _params(draft, ("proxy",), data["proxy"], STRATEGIES, data["proxy"]["strategy"])
        for i, candidate in enumerate(data["proxy"]["compare"]):
            _params(draft, ("proxy", "compare", i), candidate, STRATEGIES, candidate["strategy"])


def _params(draft: Draft, path: Keys, section: dict[str, Any], registry: Registry, name: str) -> None:
    schema = registry.info(name).meta.get("params", {})
    section["params"], problems = check_part(draft.source, (*path, "params"), section["params"], schema)
    draft.problems += problems


def _uniform_bits(draft: Draft, device: Hardware | None) -> None:
    section = draft.data["evaluate"]
    if section is not None and section["uniform_bits"] is None and device is not None:
        section["uniform_bits"] = [
            [weight, act] for weight, act in UNIFORM if weight in device.weight_bits and act in device.activation_bits
        ]


def _memory_limits(draft: Draft, device: Hardware | None) -> None:
    """What does not fit the device is no result: its memories limit the search unless the spec sets a tighter limit."""
    if draft.data["search"] is None or device is None:
        return
    constraints = draft.data["search"]["constraints"]
    for cost, size in (("flash_bytes", device.flash_bytes), ("ram_bytes", device.ram_bytes)):
        if size is None:
            continue
        limit = constraints.setdefault(cost, {"max": size, "relative_to": None})
        if limit["relative_to"] is None and limit["max"] > size:
            path: Keys = ("search", "constraints", cost, "max")
            draft.fail(path, f"found {show(limit['max'])}; allowed: at most {size}, which is what {device.name} has")
