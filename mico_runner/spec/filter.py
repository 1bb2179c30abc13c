"""`filter:` of a spec: what else it needs, and what it does not go with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft


def check_filter(draft: Draft) -> None:
    """Add what is wrong with the section to the draft's problems."""
    data = draft.data
    if data["filter"] is None:
        return
    codegen, model = data["codegen"], data["model"]
    if codegen is None:
        draft.fail(("filter",), "needs the bits of the network's layers; add the section codegen", of_key=True)
    elif codegen["target"] != "c":
        text = f"found with codegen.target {codegen['target']}; allowed: c, whose programs alone filter"
        draft.fail(("filter",), text, of_key=True)
    others = [name for name in ("search", "finetune") if data[name] is not None]
    others += ["model.exits"] if model is not None and model["exits"] is not None else []
    for other in others:
        text = f"found beside {other}; allowed: without it, with the bits of codegen for all layers"
        draft.fail(("filter",), text, of_key=True)
