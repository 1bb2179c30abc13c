"""Gates that hold unless a spec says otherwise: a step that takes part implies those of results which make all later ones meaningless."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft

DEFAULT_GATES: dict[str, dict[str, dict[str, float]]] = {  # step -> metric -> bounds
    "train": {"train.above_chance": {"min": 0}},
}


def add_default_gates(draft: Draft) -> None:
    """Fill in the gates of the steps that take part, except on metrics that the spec has a gate for.

    A gate that the spec removes by null stays in the resolved spec as null: it would else be back when that spec runs again.
    """
    written = draft.source.data.get("gates", {})
    for step in draft.data["steps"]:
        for metric, bounds in DEFAULT_GATES.get(step, {}).items():
            removed = written is None or (metric in written and written[metric] is None)
            draft.data["gates"].setdefault(metric, None if removed else dict(bounds))
