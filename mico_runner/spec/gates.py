"""Gates that hold unless a spec says otherwise: a step that takes part implies those of results which make all later ones meaningless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.spec.network_profile import of_networks
from mico_runner.targets import linked

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft

DEFAULT_GATES: dict[str, dict[str, dict[str, float]]] = {  # step -> metric -> bounds
    "train": {"train.above_chance": {"min": 0}},
    "fit": {
        "proxy.*.explained": {"min": 0},  # below, the mean of the profile predicts unseen shapes as well
        "proxy.*.learnable": {"min": 0.5},  # below, no sum of costs that grow with the work finds an order in it
        "proxy.*.shapes": {"min": 3},  # below, what is said of unseen shapes was learned from one
        "proxy.*.outliers": {"max": 0.02},  # above, the profile was measured or written wrong
    },
}
UNSEEN = ("proxy.*.explained", "proxy.*.learnable")  # of shapes that `group_kfold` leaves out


def add_default_gates(draft: Draft) -> None:
    """Fill in the gates of the steps that take part, except on metrics that the spec has a gate for.

    A gate that the spec removes by null stays in the resolved spec as null: it would else be back when that spec runs again.
    """
    written = draft.source.data.get("gates", {})
    default = {metric: bounds for step in draft.data["steps"] for metric, bounds in DEFAULT_GATES.get(step, {}).items()}
    for metric, bounds in {**default, **_of_memory(draft)}.items():
        removed = written is None or (metric in written and written[metric] is None)
        if _is_written(draft, metric):
            draft.data["gates"].setdefault(metric, None if removed else dict(bounds))


def _of_memory(draft: Draft) -> dict[str, dict[str, float]]:
    """A limit of the search on memory is one on the program, too: as it is linked for a board, else as it is estimated."""
    data = draft.data
    if data["search"] is None or "codegen" not in data["steps"] or data["codegen"]["target"] != "c":
        return {}
    targets = data["simulate"]["target"] if "simulate" in data["steps"] else []
    step = "simulate" if linked([targets] if isinstance(targets, str) else targets) else "codegen"
    limited = [cost for cost in ("flash", "ram") if f"{cost}_bytes" in data["search"]["constraints"]]
    return {f"{step}.{cost}_over_limit": {"max": 0} for cost in limited}


def _is_written(draft: Draft, metric: str) -> bool:
    """Whether the step will write the metric: without a shape left out nothing is known of unseen ones."""
    section = draft.data["proxy"]
    if metric in DEFAULT_GATES["fit"] and of_networks(draft):
        return False  # of kernels
    return metric not in UNSEEN or bool(section and "group_kfold" in section["validation"]["protocols"])
