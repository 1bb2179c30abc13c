"""Designs of high-level synthesis."""

from __future__ import annotations

from mico_runner.data import catalog
from mico_runner.spec.rules import Rules, choice, items, number

PREDICTORS = ["own", "pooled", "chosen"]


def dse() -> dict[str, Rules]:
    return {
        "table": choice("designs with their cycles", catalog.names("design_table"), default="codesign/hlsyn"),
        "file": {
            "type": "string",
            "minlength": 1,
            "nullable": True,
            "default": None,
            "meta": {"help": "designs of your own instead", "text": "a path to a .tar.gz file"},
        },
        "least": number("valid designs that a kernel must have to take part", "integer", min=2, default=60),
        "labels": items(
            "of the kernel left out", {"type": "integer", "min": 0}, minlength=1, distinct=True, default=[0, 10, 50]
        ),
        "predictors": items(
            "own: from these labels alone; pooled: from other kernels, too; chosen: as own, of designs it asks for",
            {"type": "string", "allowed": PREDICTORS},
            minlength=1,
            distinct=True,
            default=["own", "pooled"],
        ),
        "seeds": number("draws of the labels", "integer", min=1, max=1000, default=10),
    }
