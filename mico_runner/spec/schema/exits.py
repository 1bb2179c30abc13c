"""Exits of a network at which it may end early."""

from __future__ import annotations

from mico_runner.spec.rules import Rules, choice, items, number, section, text, width
from mico_runner.spec.schema.recipe import recipe
from mico_runner.spec.schema.values import WEIGHT_BITS


def exits() -> dict[str, Rules]:
    share = "of the loss that is the distance from the network's own outputs; the rest is the task's"
    train = recipe(8, 5e-3, "last") | {"distillation": number(share, min=0, max=1, default=0.5)}
    return {
        "at": items(
            "tensors after which the network may end; default: some of those through which all of it passes",
            text("", minlength=1),
            minlength=1,
            maxlength=4,
            distinct=True,
            nullable=True,
            default=None,
        ),
        "most": number("exits that are tried where at names none", "integer", min=1, max=4, default=3),
        "channels": number("of a head's first convolution; 0: no convolutions", "integer", min=0, max=4096, default=24),
        "train": section("of the heads; the network stays as it is", train, default={}),
        "bits": items(
            "[weight bits, activation bits] of the heads", width(WEIGHT_BITS), minlength=2, maxlength=2, default=[8, 8]
        ),
        "drop": number("points of accuracy on the validation part at most", min=0, max=100, default=0.2),
        "seconds": number(
            "of the longest way at most, in multiples of the network without exits at the fastest clock",
            min=1,
            max=1000,
            default=1.2,
        ),
        "margins": number("that are tried for each exit", "integer", min=2, max=100, default=24),
        "compare": items("beside the exact choice", choice("", ["nsga2"]), distinct=True, default=[]),
    }
