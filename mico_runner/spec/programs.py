"""The program that a spec asks for against what runs it: targets against the device, the code's options against the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mico_runner import hardware
from mico_runner.data import catalog
from mico_runner.targets import TARGETS, boards, unit
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys


def check_targets(draft: Draft, device: Hardware) -> None:
    """A simulator runs devices of its own kind only, RTL and QEMU those that name a core."""
    places: list[tuple[Keys, Any]] = []
    if draft.data["simulate"] is not None:
        target = draft.data["simulate"]["target"]
        path: Keys = ("simulate", "target")
        places += [(path, target)] if isinstance(target, str) else [((*path, i), t) for i, t in enumerate(target)]
    if draft.data["profile"] is not None:
        target = draft.data["profile"]["target"]
        places.append((("profile", "target"), target))
        runs = target in TARGETS and device.core in boards(target)  # else what is wrong is said below
        counted = unit(target) if runs else None
        if counted not in (None, device.latency_unit):
            text = f"found {target!r}, which counts {counted}; allowed: a target that counts {device.latency_unit}, as {device.name} does"
            draft.fail(("profile", "target"), text)
    if draft.data["allocate"] is not None and not device.simulated:
        simulated = ", ".join(hardware.simulated_kinds())
        why = f"allocate needs a simulated accelerator (kind {simulated}); {device.name} is of kind {device.kind}"
        draft.fail(("allocate",), why, of_key=True)
    if draft.data["verilog"] is not None and device.kind != "systolic":
        why = f"verilog needs a systolic array (kind systolic); {device.name} is of kind {device.kind}"
        draft.fail(("verilog",), why, of_key=True)
    for path, target in places:
        if target in hardware.simulated_kinds() and device.kind != target:
            own = f"host, {device.kind}" if device.simulated else "host"
            draft.fail(path, f"found {show(target)}; allowed: {own}, because {device.name} is of kind {device.kind}")
        if target in TARGETS and boards(target) and device.core not in boards(target):
            others = "".join(f", {t}" for t in TARGETS.names() if device.core in boards(t))
            why = "names no core to simulate" if device.core is None else f"has the core {device.core}"
            draft.fail(path, f"found {target!r}; allowed: host{others}, because hardware {device.name} {why}")


def check_generated(draft: Draft) -> None:
    """What runs the program needs one: a model of ONNX is none."""
    data = draft.data
    target = data["codegen"]["target"]
    if target == "c":
        schedule, macs = data["codegen"]["schedule"], data["codegen"]["max_macs"]
        _check_points(draft)
        if schedule != "rows" and macs != 1:
            draft.fail(("codegen", "max_macs"), f"found {macs}; allowed: 1, because codegen.schedule is {schedule}")
        return
    for key, only in (
        ("runtime", "host"),
        ("bundle", "files"),
        ("package", "cmake"),
        ("schedule", "layers"),
        ("max_macs", 1.0),
        ("points", 1),
    ):
        if (found := data["codegen"][key]) != only:
            draft.fail(("codegen", key), f"found {found!r}; allowed: {only}, because codegen.target is {target}")
    simulated = data["simulate"]["target"] if "simulate" in data["steps"] else []
    running = [t for t in ([simulated] if isinstance(simulated, str) else simulated) if t in TARGETS]
    if running:
        why = f"because simulate.target {', '.join(running)} runs the program"
        draft.fail(("codegen", "target"), f"found {target!r}; allowed: c, {why}")


def _check_points(draft: Draft) -> None:
    """Those of a front, with the integers that the search evaluated."""
    steps, points = draft.data["steps"], draft.data["codegen"]["points"]
    if points > 1 and "search" not in steps:
        draft.fail(("codegen", "points"), f"found {points}; allowed: 1, because no search makes a front")
    elif points > 1 and "finetune" in steps:
        draft.fail(("codegen", "points"), f"found {points}; allowed: 1, because finetune trains the choice alone")


def check_scratch(draft: Draft) -> None:
    """Scratch is chosen on baremetal alone, and the predictor's profile is of kernels with the same."""
    data = draft.data
    scratch, runtime = data["codegen"]["scratch"], data["codegen"]["runtime"]
    why = f"codegen.scratch is {scratch}"
    if scratch != "two_rows" and runtime != "baremetal":
        draft.fail(
            ("codegen", "scratch"), f"found {scratch!r}; allowed: two_rows, because codegen.runtime is {runtime}"
        )
        return
    for i, name in enumerate(data["datasets"]["profile"]):
        if name in catalog.names("kernel_profile") and catalog.entry(name).scratch not in (None, scratch):
            of = catalog.entry(name)
            others = [n for n in catalog.names("kernel_profile") if catalog.entry(n).device == of.device]
            fitting = [n for n in others if catalog.entry(n).scratch == scratch]
            allowed = ", ".join(fitting) or f"a .csv file, profiled with codegen.scratch {scratch}"
            text = f"found {name!r}, whose kernels have scratch {of.scratch}; allowed: {allowed}, because {why}"
            draft.fail(("datasets", "profile", i), text)
    tiled = ((data["proxy"] or {}).get("params") or {}).get("tiled", False)
    fitting_tiled = "tables" if scratch == "tables" else True
    if tiled is not False and tiled != fitting_tiled:
        path = ("proxy", "params", "tiled")
        draft.fail(path, f"found {show(tiled)}; allowed: {show(fitting_tiled)}, because {why}")
