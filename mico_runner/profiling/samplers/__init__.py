"""Which shapes a profile measures: one file per sampler.

An entry is a function `(kind, ranges, count, rng) -> list[dict]`: at most `count` distinct shapes of one kind of kernel, each with
the kernel table's shape columns that the kind has (no batch, no bits). `ranges` is the spec's `profile.kernels.<kind>`:
    in_channels, out_channels, in_h    [low, high], whole numbers, both ends included; in_h is the padded input (square)
    kernel, stride                     the values themselves
"""

from __future__ import annotations

from mico_runner.registry import Registry

SAMPLERS = Registry("sampler", __name__)
register = SAMPLERS.register

SPANS = ("in_channels", "out_channels", "in_h")
CHOICES = ("kernel", "stride")


def shape(kind: str, values: dict[str, int]) -> dict[str, int]:
    """Kernel-table columns of one draw. An input smaller than the kernel is enlarged to the kernel."""
    channels = values["in_channels"]
    row = {"in_channels": channels, "out_channels": values.get("out_channels", channels)}
    if kind == "depthwise":
        row["groups"] = channels
    if "in_h" in values:
        size = max(values["in_h"], values.get("kernel", 1))
        row |= {"in_h": size, "in_w": size}
    if "kernel" in values:
        row |= {"kernel_h": values["kernel"], "kernel_w": values["kernel"], "stride": values["stride"]}
    return row


def distinct(shapes: list[dict[str, int]]) -> list[dict[str, int]]:
    """Without repetitions, in the order of first appearance."""
    return list({tuple(s.items()): s for s in shapes}.values())
