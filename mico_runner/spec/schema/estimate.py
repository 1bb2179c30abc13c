"""Latency of networks on devices that are known by their curves."""

from __future__ import annotations

from mico_runner.calibration.cases import BYTES, NETWORK_NAMES, OWN_NETWORK
from mico_runner.spec.rules import Rules, items, section, text


def estimate() -> dict[str, Rules]:
    device = {
        "curves": {
            **text("", minlength=1, required=True),
            "meta": {"help": "of a device", "text": "a name (see hardware/curves), a path to a YAML file"},
        },
        "precision": {
            "type": "string",
            "allowed": list(BYTES),
            "nullable": True,
            "default": None,
            "meta": {"help": "null: every one that the device has"},
        },
    }
    return {
        "devices": items("one beside the other", section("", device), minlength=1, distinct=True, required=True),
        "networks": items(
            "predicted; model is that of the spec",
            {"type": "string", "allowed": [*NETWORK_NAMES, OWN_NETWORK]},
            minlength=1,
            distinct=True,
            required=True,
        ),
        "measured": {
            **text("", regex=r".+\.csv", nullable=True, default=None),
            "meta": {
                "help": "latencies to compare with",
                "text": "a path to a .csv file of network,device,precision,seconds",
            },
        },
    }
