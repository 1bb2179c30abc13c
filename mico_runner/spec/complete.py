"""What the form of a spec cannot say: names of data and devices, parameters of plug-ins, and sections that need one another."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

from mico_runner import hardware
from mico_runner.errors import UnknownName, UsageError, did_you_mean
from mico_runner.hardware import Hardware
from mico_runner.models import MODELS
from mico_runner.proxy import STRATEGIES
from mico_runner.registry import Registry
from mico_runner.reproductions import REPRODUCTIONS
from mico_runner.search import ALGORITHMS
from mico_runner.spec.codesign import check_codesign
from mico_runner.spec.consistency import check_consistency
from mico_runner.spec.curves import check_estimate, check_own_network, check_verify
from mico_runner.spec.data_files import check_curves, check_datasets, check_profile, check_sources
from mico_runner.spec.exits import check_exits
from mico_runner.spec.files import escapes
from mico_runner.spec.filter import check_filter
from mico_runner.spec.gates import add_default_gates
from mico_runner.spec.own_network import TEACHER, check_networks, teacher_of
from mico_runner.spec.schema import sections
from mico_runner.spec.schema.latency import CURVES
from mico_runner.spec.steps import order_steps
from mico_runner.spec.story import check_story
from mico_runner.spec.tuning import check_designs, check_tuning
from mico_runner.yaml_schema import Problem, SchemaErrors, check_part, show
from mico_runner.yaml_source import Keys, Source

INT8 = (8, 8)
UNIFORM = [[8, 8], [4, 4], [2, 2]]  # evaluated by default, as far as the hardware has them
NEED_HARDWARE = ("profile", "search", "allocate", "verilog")
THIS_MACHINE = "host"  # what a network is for when a spec that neither searches nor profiles names no hardware


class Draft:
    """A spec whose form is right, on its way to a resolved one, with the problems and warnings found so far."""

    def __init__(self, source: Source, data: dict[str, Any], folder: Path) -> None:
        self.source, self.data, self.folder = source, data, folder
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def fail(self, path: Keys, text: str, of_key: bool = False) -> None:
        self.problems.append(Problem(self.source.place(path, of_key), path, text))

    def fail_if_escapes(self, path: Keys, file: str) -> bool:
        if escapes(file):
            self.fail(
                path, f"found {show(file)}; allowed: a path below the spec's folder, or an absolute one, without '..'"
            )
        return escapes(file)

    def existing(self, path: Keys, wanted: str) -> Path | None:
        """A file that the spec names, as messages call it; None after a problem."""
        if self.fail_if_escapes(path, wanted):
            return None
        file = self.folder / wanted
        if not os.path.exists(file):
            self.fail(path, f"found {show(wanted)}; no such file: {file}")
            return None
        return file

    def unknown(self, path: Keys, value: str, known: list[str], allowed: str) -> None:
        near = did_you_mean(value, known).rstrip(";")
        self.fail(path, f"found {show(value)}; allowed: {allowed}{near}")


def complete(source: Source, data: dict[str, Any], folder: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Check a spec of the right form against the world and itself, and fill in what depends on other keys.

    Returns:
        the completed data, and warnings: what looks wrong in the files that it names, and may be right.

    Args:
        folder: where relative paths start.

    Raises:
        SchemaErrors: all problems at once.
    """
    draft = Draft(source, copy.deepcopy(data), folder)
    draft.data["extends"] = None  # merged in already: the resolved spec runs without it
    device = _hardware(draft)
    draft.data["plugins"] = [str((folder / each).resolve()) for each in draft.data["plugins"]]
    _efficiency_curves(draft)
    _calibrate(draft)
    check_estimate(draft)
    check_verify(draft)
    check_datasets(draft, device)
    check_networks(draft)
    check_codesign(draft, device)
    check_tuning(draft)
    check_designs(draft)
    _parameters(draft)
    _uniform_bits(draft, device)
    _memory_limits(draft, device)
    order_steps(draft)
    _codegen_bits(draft)
    check_exits(draft, device)
    check_filter(draft)
    check_story(draft)
    check_consistency(draft, device)
    add_default_gates(draft)
    _executor(draft)
    if draft.problems:
        raise SchemaErrors(draft.problems)
    return {key: draft.data[key] for key in sections()}, draft.warnings


def _hardware(draft: Draft) -> Hardware | None:
    """The device. A path becomes the mapping that the file holds, so that the resolved spec does not depend on it."""
    wanted = draft.data["hardware"]
    if wanted is None and draft.data["model"] is not None and not any(draft.data[name] for name in NEED_HARDWARE):
        wanted = draft.data["hardware"] = THIS_MACHINE
    if wanted is None:
        needed = [name for name in NEED_HARDWARE if draft.data[name] is not None]
        if needed:
            known = ", ".join(hardware.names())
            draft.fail(("hardware",), f"missing, needed by {needed[0]}; allowed: one of {known}, a path, a mapping")
        return None
    try:
        if isinstance(wanted, dict):
            completed, problems = check_part(draft.source, ("hardware",), wanted, hardware.rules())
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
        if not os.path.exists(file):
            draft.fail(path, f"found {show(wanted)}; no such file: {file}")
            return
        draft.data["efficiency_curves"] = str(file.resolve())
        if draft.data["calibrate"] is not None:
            check_curves(draft, path, file, bool(draft.data["calibrate"]["networks"]))


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
    check_own_network(draft, ("calibrate", "networks"), section["networks"])
    for key in ("compare", "write_to"):
        path: Keys = ("calibrate", key)
        if section[key] is None or draft.fail_if_escapes(path, section[key]):
            continue
        file = draft.folder / section[key]
        if key == "compare" and not os.path.exists(file):
            draft.fail(path, f"found {show(section[key])}; no such file: {file}")
            continue
        if key == "compare":
            check_profile(draft, path, file)
        section[key] = str(file.resolve())


def _parameters(draft: Draft) -> None:
    """Fill in and check `params` by the plug-in that they are for."""
    data = draft.data
    if data["model"] and data["model"]["name"] is not None:
        _params(draft, ("model",), data["model"], MODELS, data["model"]["name"])
    if data["model"] and (teacher := teacher_of(data["model"])) and teacher["name"] is not None:
        _params(draft, TEACHER, teacher, MODELS, teacher["name"])
    for name in ("allocate", "verilog"):
        if data[name]:
            _params(draft, (name,), data[name], MODELS, data[name]["network"])
    if data["reproduce"]:
        _params(draft, ("reproduce",), data["reproduce"], REPRODUCTIONS, data["reproduce"]["runs"])
    if data["search"]:
        _params(draft, ("search",), data["search"], ALGORITHMS, data["search"]["algorithm"])
    if data["proxy"]:
        proxies: dict[Keys, dict[str, Any]] = {("proxy",): data["proxy"]}
        proxies |= {("proxy", "compare", i): candidate for i, candidate in enumerate(data["proxy"]["compare"])}
        for path, candidate in proxies.items():
            _params(draft, path, candidate, STRATEGIES, candidate["strategy"])
            check_sources(draft, (*path, "params"), candidate["params"])


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


def _codegen_bits(draft: Draft) -> None:
    """A search chooses the bits; without one every layer gets the same."""
    section = draft.data["codegen"]
    if section is None:
        if "finetune" in draft.data["steps"] and "search" not in draft.data["steps"]:
            draft.fail(("finetune",), "needs bits to train for: add search, or codegen with its bits", of_key=True)
        return
    if "search" not in draft.data["steps"]:
        section["bits"] = section["bits"] or list(INT8)
        return
    for key in ("bits", "ends"):
        if section[key] is not None:
            draft.fail(("codegen", key), f"found {section[key]}; allowed: null, because the search chooses the bits")


def _executor(draft: Draft) -> None:
    """`local` of earlier specs, whose jobs were threads of torch, as what it means now."""
    section = draft.data["executor"]
    if section["address"] is not None and section["backend"] != "dask":
        draft.fail(("executor", "address"), f"found {section['address']!r}; allowed: null, or backend: dask beside it")
    if section["backend"] != "local":
        return
    path: Keys = ("executor", "backend")
    threads = section["jobs"]
    if section["threads"] != 1:
        draft.fail(path, "found 'local', whose jobs are threads, beside threads; allowed: processes")
    instead = f"executor: {{backend: processes, threads: {threads}}}"
    text = f"local, whose jobs are threads of torch, is the form of earlier specs; write {instead}"
    draft.warnings.append(Problem(draft.source.place(path), path, text))
    draft.data["executor"] = section | {"backend": "processes", "jobs": 1, "threads": threads}


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
