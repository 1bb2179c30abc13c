"""What the spec wants, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mico_runner.data.source import own_loaders
from mico_runner.outputs.report.sections import words
from mico_runner.outputs.report.version import Version
from mico_runner.tasks import DEFAULT

# Keys of a spec that rows of their own speak of, and those that say nothing of what is wanted.
_WORDED = {"model", "datasets", "hardware", "proxy", "search", "codegen", "finetune", "simulate", "gates"}
_ASIDE = {"spec_version", "name", "description", "extends", "plugins", "seed", "steps", "matrix", "executor", "diff"}
_ASIDE |= {"quantization"}  # how, where nothing else is said: in the whole spec below
_TOPICS = {
    "crossvalidate": "Cross-validation",
    "codesign": "Co-design",
    "dse": "Designs",
    "filter": "Filtered attention",
}


def asked(version: Version) -> list[tuple[str, str]]:
    """What the spec wants, in words: (topic, text)."""
    spec = version.spec
    rows = []
    if spec.get("model"):
        rows.append(("Network", _network(spec["model"], spec.get("datasets") or {})))
        if spec["model"].get("exits"):
            rows.append(("Early exits", words(spec["model"]["exits"])))
    elif data := words({key: value for key, value in (spec.get("datasets") or {}).items() if key in _read(spec)}):
        rows.append(("Data", data))
    hardware = spec.get("hardware")
    if hardware:
        rows.append(("Hardware", hardware if isinstance(hardware, str) else hardware.get("name", "given inline")))
    profile = (spec.get("datasets") or {}).get("profile")
    if spec.get("proxy"):
        proxy = spec["proxy"]
        parts = [
            str(proxy[key])
            for key in ("strategy", "features", "regressor")
            if proxy.get(key) != "auto" or key == "strategy"
        ]
        rows.append(("Latency predictor", ", ".join(parts) + (f", on {', '.join(profile)}" if profile else "")))
    if spec.get("search"):
        search = spec["search"]
        space = search["space"]
        widths = f"weights {_list(space['weight_bits'])}, activations {_list(space['activation_bits'])} bits"
        rows.append(("Space", widths + (f"; pinned: {', '.join(space['pinned'])}" if space.get("pinned") else "")))
        objectives = _list([version.named(each) for each in search["objectives"]])
        rows.append(("Objectives", f"{objectives} by {search['algorithm']}, {_budget(search)}"))
        limits = [
            _constraint(version.named(name), bound, version.task.MEASURE.higher)
            for name, bound in (search.get("constraints") or {}).items()
        ]
        rows.append(("Constraints", "; ".join(limits) or "none"))
    elif spec.get("codegen") and spec["codegen"].get("bits"):
        weight, activation = spec["codegen"]["bits"]
        where = "in every layer"
        if ends := spec["codegen"].get("ends"):
            where = f"in every layer but the first and the last, which have {ends[0]} and {ends[1]}"
        rows.append(("Bits", f"{weight} for weights, {activation} for activations, {where}"))
    if finetune := spec.get("finetune"):
        rows.append(("Trained at these bits", f"{finetune['epochs']} epochs"))
    if spec.get("codegen") and (program := _program(spec["codegen"])):
        rows.append(("Program", program))
    if spec.get("simulate"):
        target = spec["simulate"]["target"]
        rows.append(("Run on", target if isinstance(target, str) else ", ".join(target)))
    for name, section in spec.items():
        if section and name not in _WORDED | _ASIDE:
            rows.append((_TOPICS.get(name, name.replace("_", " ").capitalize()), words(section)))
    gates = [f"{name} {bounds_text(bounds)}" for name, bounds in (spec.get("gates") or {}).items() if bounds]
    return [*rows, ("Gates", "; ".join(gates) or "none")]


def _read(spec: dict[str, Any]) -> set[str]:
    """What a spec without a network reads of its data, where no other row says it."""
    return {"task"} if spec.get("proxy") else {"task", "profile"}


def _program(codegen: dict[str, Any]) -> str:
    """What is generated, where the spec says so."""
    parts = [codegen.get("target"), codegen.get("runtime") and f"for {codegen['runtime']}"]
    parts += [f"{key} {codegen[key]}" for key in ("schedule", "scratch") if codegen.get(key)]
    return ", ".join(filter(None, parts))


def _list(values: list[Any]) -> str:
    return ", ".join(str(v) for v in values)


def _network(model: dict[str, Any], datasets: dict[str, Any]) -> str:
    what = model.get("name") or Path(model.get("file") or "").name
    what += f": {model['entry']}" if model.get("entry") else ""
    what += f", weights of {Path(model['weights']).name}" if model.get("weights") else ""
    count = datasets.get("validation")
    held = f" ({count} samples held out for validation)" if count else ""
    how = "trained on" if model.get("train") else "taken as it is, for"
    return f"{what}, {how} {_data(datasets.get('task') or '')}{held}"


def _data(task: str | dict[str, Any]) -> str:
    if isinstance(task, str):
        return task
    found = next((str(task[key]) for key in ("name", *own_loaders()) if key in task), "")
    return f"{Path(found).name}, {task.get('kind', DEFAULT)}"


def _budget(search: dict[str, Any]) -> str:
    budget = search.get("budget") or {}
    parts = [f"{budget[key]:,} {key}" for key in ("evaluations", "seconds") if budget.get(key)]
    return " or ".join(parts) or "no budget"


def _constraint(name: str, bound: dict[str, Any], more_is_better: bool) -> str:
    to = bound.get("relative_to")
    if "max_drop" in bound:
        return f"{name} at most {bound['max_drop']:g} points {'below' if more_is_better else 'above'} {to or 'float'}"
    return f"{name} {bounds_text({k: v for k, v in bound.items() if k in ('min', 'max')})}" + (f" × {to}" if to else "")


def bounds_text(bounds: dict[str, float | None]) -> str:
    signs = {"min": "≥", "max": "≤"}
    return ", ".join(f"{signs[key]} {value:g}" for key, value in bounds.items() if value is not None)
