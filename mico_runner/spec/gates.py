"""Gates that hold unless the spec says otherwise: below them a result is worth nothing, whatever it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft

Bounds = dict[str, float]

# Step -> metric, whose name may hold `*` -> bounds. A spec replaces one by its own under the same name; null removes it.
DEFAULT_GATES: dict[str, dict[str, Bounds]] = {
    "fit": {
        "proxy.*.explained": {"min": 0.0},  # else the mean of the profile predicts unseen shapes as well
        "proxy.*.learnable": {
            "min": 0.5
        },  # else neither the predictor nor a sum of costs finds an order in the profile
        "proxy.*.outliers": {"max": 0.02},  # else the profile was measured wrong
    },
}
UNSEEN = ("proxy.*.explained", "proxy.*.learnable")  # written where the validation leaves shapes out


def default_gates(draft: Draft) -> None:
    """Fill in the gates of the steps that take part, beside those that the spec has."""
    written = (draft.source.data or {}).get("gates", {})
    for step in draft.data["steps"]:
        for metric, bounds in DEFAULT_GATES.get(step, {}).items():
            removed = written is None or metric in written
            if not removed and _applies(draft, metric):
                draft.data["gates"].setdefault(metric, dict(bounds))


def _applies(draft: Draft, metric: str) -> bool:
    if metric not in UNSEEN:
        return True
    section = draft.data["proxy"]  # absent where another message says so
    return bool(section) and "group_kfold" in section["validation"]["protocols"]
