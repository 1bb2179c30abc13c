"""Sections against each other: bits against the device, latency against the predictor, gates against steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mico_runner import hardware
from mico_runner.errors import UsageError, did_you_mean
from mico_runner.outputs import store
from mico_runner.outputs.rules import parse
from mico_runner.spec.programs import check_generated, check_scratch, check_targets
from mico_runner.spec.schema.values import ACCURACY, QUALITY, RULE_TEXT
from mico_runner.steps import STEPS
from mico_runner.tasks import DEFAULT, TASKS
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys

OWNER = {"proxy": "fit"}  # step that writes the metrics of a prefix, where they are not named alike
CROSSVALIDATED = ("folds", "draws", "group_by")  # one of them says what is tested on
SPANS = ("in_channels", "out_channels", "in_h")  # [lowest, highest] in profile.kernels.<kind>


def check_consistency(draft: Draft, device: Hardware | None) -> None:
    """Add what is wrong to the draft's problems."""
    data = draft.data
    if taken := store.clash(data["name"], STEPS.names()):
        draft.fail(("name",), f"found {show(data['name'])}; allowed: another name, because {taken}")
    if data["datasets"]["profile"] == [] and "fit" in data["steps"] and "profile" not in data["steps"]:
        draft.fail(("datasets", "profile"), "missing, needed by proxy; allowed: catalog names or .csv files")
    if device is not None:
        _check_bits(draft, device)
        check_targets(draft, device)
    if data["crossvalidate"] is not None:
        _check_folds(draft)
    if data["search"] is not None:
        _check_search(draft)
        if device is not None:
            _check_energy(draft, device)
    if data["profile"] is not None:
        _check_ranges(draft)
    if data["codegen"] is not None:
        check_generated(draft)
        check_scratch(draft)
    _check_gates(draft)
    _check_rules(draft)


def _check_bits(draft: Draft, device: Hardware) -> None:
    """Every bit-width that the spec names is one that the device has."""
    data = draft.data
    of_weights, of_activations = device.weight_bits, device.activation_bits

    def check(path: Keys, value: float, allowed: Iterable[float], what: str) -> None:
        if value not in allowed:
            names = ", ".join(f"{bits:g}" for bits in allowed)
            draft.fail(path, f"found {show(value)}; allowed: {what} bits of {device.name}: {names}")

    def each(path: Keys, values: list[float], allowed: Iterable[float], what: str) -> None:
        for i, value in enumerate(values):
            check((*path, i), value, allowed, what)

    for section in ("search", "allocate"):
        if data[section] is None:
            continue
        space = data[section]["space"]
        each((section, "space", "weight_bits"), space["weight_bits"], of_weights, "weight")
        each((section, "space", "activation_bits"), space["activation_bits"], of_activations, "activation")
        for layer, bits in space["pinned"].items():
            path = (section, "space", "pinned", layer)
            if "weight_bits" in bits:
                check((*path, "weight_bits"), bits["weight_bits"], of_weights, "weight")
            if "activation_bits" in bits:
                check((*path, "activation_bits"), bits["activation_bits"], of_activations, "activation")
    if data["evaluate"] is not None:
        for i, (weight, activation) in enumerate(data["evaluate"]["uniform_bits"]):
            check(("evaluate", "uniform_bits", i, 0), weight, of_weights, "weight")
            check(("evaluate", "uniform_bits", i, 1), activation, of_activations, "activation")
    for key in ("bits", "ends"):
        if data["codegen"] is not None and data["codegen"][key] is not None:
            check(("codegen", key, 0), data["codegen"][key][0], of_weights, "weight")
            check(("codegen", key, 1), data["codegen"][key][1], of_activations, "activation")
    if data["profile"] is not None:
        bits = data["profile"]["bits"]
        each(("profile", "bits", "weight"), bits["weight"], of_weights, "weight")
        each(("profile", "bits", "activation"), bits["activation"], of_activations, "activation")


def _check_search(draft: Draft) -> None:
    search = draft.data["search"]
    constraints = search["constraints"]
    _check_quality(draft)
    _check_shares(draft, constraints)
    if constraints.get("latency", {}).get("risk") and draft.data["proxy"] is not None:
        protocols = draft.data["proxy"]["validation"]["protocols"]
        if "group_kfold" not in protocols:
            path = ("search", "constraints", "latency", "risk")
            draft.fail(
                path, "needs errors on unseen shapes; add group_kfold to proxy.validation.protocols", of_key=True
            )
    if "fit" in draft.data["steps"] or "search" not in draft.data["steps"]:
        return
    why = "latency needs the predictor of step 'fit', which does not take part; add the section 'proxy'"
    if "latency" in search["objectives"]:
        draft.fail(("search", "objectives", search["objectives"].index("latency")), why)
    if "latency" in constraints:
        draft.fail(("search", "constraints", "latency"), why, of_key=True)


def _check_shares(draft: Draft, constraints: dict[str, Any]) -> None:
    """A size with its unit is no share, such as that of a base spec whose `relative_to` still holds."""
    written = draft.source.data["search"].get("constraints") or {}
    for cost, limit in constraints.items():
        if limit.get("relative_to") and isinstance(found := (written.get(cost) or {}).get("max"), str):
            path: Keys = ("search", "constraints", cost, "max")
            draft.fail(path, f"found {show(found)}; allowed: a share of int8's, or relative_to: null")


def _check_folds(draft: Draft) -> None:
    section, model = draft.data["crossvalidate"], draft.data["model"]
    found = [key for key in CROSSVALIDATED if key in section]
    if len(found) != 1:
        text = f"found {' and '.join(found) or 'none'}; allowed: one of {', '.join(CROSSVALIDATED)}"
        draft.fail(("crossvalidate",), text, of_key=True)
    if model is None or model["train"] is None:
        draft.fail(("crossvalidate",), "needs a network to train: add model, with a recipe in model.train", of_key=True)


def _check_quality(draft: Draft) -> None:
    """The limit on quality and the objective, which classification calls accuracy, under their one name."""
    search, task = draft.data["search"], draft.data["datasets"]["task"]
    kind = task.get("kind", DEFAULT) if isinstance(task, dict) else DEFAULT
    constraints = search["constraints"]
    for i, name in enumerate(search["objectives"]):
        if name == ACCURACY:
            path: Keys = ("search", "objectives", i)
            if kind != DEFAULT:
                draft.fail(path, f"found {ACCURACY!r}; allowed: {QUALITY!r}, as the task is {kind}")
            elif QUALITY in search["objectives"]:
                draft.fail(path, f"found {ACCURACY!r} beside {QUALITY!r}; allowed: one of them, they are the same")
            search["objectives"][i] = QUALITY
    path = ("search", "constraints", ACCURACY)
    if ACCURACY in constraints and kind != DEFAULT:
        draft.fail(path, f"unknown, as the task is {kind}; allowed: {QUALITY}", of_key=True)
    elif ACCURACY in constraints and QUALITY in constraints:
        draft.fail(path, f"found beside {QUALITY}; allowed: one of them, they are the same", of_key=True)
    bounds = _bounds_of(kind)
    for name in constraints.keys() & {QUALITY, ACCURACY}:
        path, limit = ("search", "constraints", name), constraints[name]
        for wrong in {"min", "max"} & limit.keys() - bounds:
            better = "less" if wrong == "min" else "more"
            draft.fail(
                (*path, wrong), f"of {kind}'s quality {better} is better; allowed: {', '.join(bounds)}", of_key=True
            )
        if not limit.keys() & {"max_drop", *bounds}:
            draft.fail(path, f"no limit; allowed: max_drop, {' or '.join(bounds)}, or both")
    if ACCURACY in constraints:
        constraints[QUALITY] = constraints.pop(ACCURACY)


def _bounds_of(kind: str) -> set[str]:
    """The bounds that a task's quality may have; both for a task of a plug-in, whose file is not run here."""
    if kind == DEFAULT:  # without importing it
        return {"min"}
    if TASKS.info(kind).path is not None:
        return {"min", "max"}
    return {"min"} if TASKS.get(kind).MEASURE.higher else {"max"}


def _check_energy(draft: Draft, device: Hardware) -> None:
    """Energy comes from an accelerator's simulator; the energy-delay product needs a latency besides."""
    search = draft.data["search"]
    wanted: list[tuple[Keys, str]] = [
        (("search", "objectives", i), name) for i, name in enumerate(search["objectives"]) if name in ("energy", "edp")
    ]
    wanted += [(("search", "constraints", name), name) for name in search["constraints"] if name in ("energy", "edp")]
    for path, name in wanted:
        of_key = path[1] == "constraints"
        if not device.simulated:
            simulated = ", ".join(hardware.simulated_kinds())
            why = f"{name} needs a simulated accelerator (kind {simulated}); {device.name} is of kind {device.kind}"
            draft.fail(path, why, of_key=of_key)
        elif name == "edp" and "search" in draft.data["steps"] and "fit" not in draft.data["steps"]:
            why = "edp needs the predictor of step 'fit', which does not take part; add the section 'proxy'"
            draft.fail(path, why, of_key=of_key)


def _check_ranges(draft: Draft) -> None:
    for kind, ranges in draft.data["profile"]["kernels"].items():
        for name, limits in ranges.items():
            if name in SPANS and limits[0] > limits[1]:
                path = ("profile", "kernels", kind, name)
                draft.fail(path, f"found {limits}; allowed: [lowest, highest], the first not above the second")


def _check_gates(draft: Draft) -> None:
    steps = draft.data["steps"]
    prefixes = {**{name: name for name in STEPS.names() if name not in OWNER.values()}, **OWNER}
    for metric, limits in draft.data["gates"].items():
        path = ("gates", metric)
        if limits.get("min", float("-inf")) > limits.get("max", float("inf")):
            draft.fail(path, f"found min {limits['min']} above max {limits['max']}; allowed: min not above max")
        prefix = metric.split(".")[0]
        if prefix not in prefixes:
            near = did_you_mean(prefix, prefixes).rstrip(";")
            draft.fail(
                path, f"no step writes this metric; allowed: {', '.join(sorted(prefixes))} first{near}", of_key=True
            )
        elif prefixes[prefix] not in steps:
            text = f"step {prefixes[prefix]!r}, which writes this metric, does not take part; null removes a gate"
            draft.fail(path, text, of_key=True)


def _check_rules(draft: Draft) -> None:
    """Rules of `diff` can be read; which metrics there will be is known when two versions are compared."""
    for i, rule in enumerate(draft.data["diff"]["fail_on"]):
        try:
            parse(rule)
        except UsageError:
            draft.fail(("diff", "fail_on", i), f"found {show(rule)}; allowed: {RULE_TEXT}")
