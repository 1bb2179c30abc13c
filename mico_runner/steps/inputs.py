"""What results depend on, as data: light, because `plan` asks every step for it without torch."""

from __future__ import annotations

from typing import Any


def network_inputs(spec: dict[str, Any]) -> dict[str, Any]:
    """What the quantised network and its costs depend on, besides the weights."""
    from mico_runner import hardware

    return {"quantization": spec["quantization"], "hardware": hardware.load(spec["hardware"]).sha256}
