"""Rules of the section `verilog`."""

from __future__ import annotations

from mico_runner.models import MODELS
from mico_runner.spec.rules import Rules, choice, free, items, number
from mico_runner.spec.schema.values import ACTIVATION_BITS


def verilog() -> dict[str, Rules]:
    size = {"type": "integer", "min": 1, "max": 10**5}
    side = {"type": "integer", "min": 1, "max": 256}
    bits = {"type": "integer", "allowed": ACTIVATION_BITS}
    return {
        "network": choice("network", MODELS.names(), required=True),
        "params": free("of the network"),
        "input": items("[channels, height, width]", size, minlength=3, maxlength=3, required=True),
        "classes": number("", "integer", min=1, max=10**6, default=1000),
        "layers": items(
            "layers that are simulated", {"type": "string", "minlength": 1}, minlength=1, distinct=True, required=True
        ),
        "bits": items(
            "[weight bits, activation bits] of the layers, unless codesign chooses them",
            bits,
            minlength=2,
            maxlength=2,
            default=[8, 8],
        ),
        "sizes": items(
            "[rows, columns] of arrays that are synthesised beside this one; none: nor is this one",
            items("", side, minlength=2, maxlength=2),
            distinct=True,
            default=[],
        ),
    }
