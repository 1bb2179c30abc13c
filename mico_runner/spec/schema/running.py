"""`mico-run diff`, processes."""

from __future__ import annotations

from mico_runner.spec.rules import Rules, choice, items, number, text
from mico_runner.spec.schema.values import BACKENDS, RULE_TEXT


def diff() -> dict[str, Rules]:
    return {
        "fail_on": items(
            "limits of metrics instead of their tolerances",
            {"type": "string", "minlength": 1, "meta": {"text": RULE_TEXT}},
            distinct=True,
            default=[],
        ),
        "runs": number("newest runs of one state that stand for each side", "integer", min=1, max=1000, default=1),
        "confidence": number("of the interval of the difference of their means", min=0.5, max=0.999, default=0.95),
    }


def executor() -> dict[str, Rules]:
    return {
        "backend": choice(
            "processes, or workers of a dask cluster; local, of earlier specs: threads in one",
            BACKENDS,
            default="processes",
        ),
        "jobs": number("processes that work at once", "integer", min=1, max=1024, default=1),
        "threads": number("of torch in each, where networks are trained", "integer", min=1, max=1024, default=1),
        "address": text(
            "of a dask scheduler; null: a cluster of this machine", nullable=True, default=None, minlength=1
        ),
    }
