"""`model.exits` of a spec: what else it needs, and what it does not go with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.tasks import DEFAULT

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys


def check_exits(draft: Draft, device: Hardware | None) -> None:
    """Add what is wrong with the section to the draft's problems."""
    data = draft.data
    if data["model"] is None or data["model"]["exits"] is None:
        return
    path: Keys = ("model", "exits")
    task, codegen = data["datasets"]["task"], data["codegen"]
    kind = task.get("kind", DEFAULT) if isinstance(task, dict) else DEFAULT
    if kind != DEFAULT:
        draft.fail(path, f"found with a task of {kind}; allowed: {DEFAULT}, whose answers can be sure", of_key=True)
    for other in ("search", "finetune"):
        if data[other] is not None:
            text = f"found beside {other}; allowed: without it, with the bits of codegen for all layers"
            draft.fail(path, text, of_key=True)
    if codegen is None:
        draft.fail(path, "needs the bits of the network's layers; add the section codegen", of_key=True)
    elif (codegen["target"], codegen["schedule"]) != ("c", "layers"):
        found = f"found with codegen.target {codegen['target']}, schedule {codegen['schedule']}"
        draft.fail(path, f"{found}; allowed: c, layers", of_key=True)
    if device is not None and (device.operating_points is None or device.latency_unit != "cycles"):
        text = f"needs a device whose latencies are cycles, with operating_points; {device.name} is none"
        draft.fail(path, text, of_key=True)
