"""The simulators: BitFusion on as many layers as the published zoo has, ResNet-18 mapped on arrays behind memories."""

from __future__ import annotations

import pandas as pd

from mico_runner import data, hardware
from mico_runner.hardware import load
from mico_runner.kernel_table import kernel_table
from mico_runner.simulate import bitfusion, spatial
from tests.bench.timing import medians

ZOO_ROWS = 2_744
PROMISED_SECONDS = 20
PROMISED_MAPPINGS = 1e5  # per second
PROMISED_RESNET_SECONDS = 10


def bench() -> list[list[object]]:
    return [_bitfusion(), *_arrays()]


def _bitfusion() -> list[object]:
    profile = data.load_profile(["bitfusion/conv2d", "bitfusion/linear"])
    table = profile.sample(ZOO_ROWS, random_state=0).reset_index(drop=True)
    (seconds,) = medians([lambda: bitfusion.cycles(table, load("bitfusion"))], repeats=2)
    label = f"BitFusion, {ZOO_ROWS:,} layers"
    return [label, seconds, "s", "promised for the published zoo", PROMISED_SECONDS, seconds / PROMISED_SECONDS]


def _arrays() -> list[list[object]]:
    """ResNet-18 whole, one line per shipped array: time and mappings per second; its cycles beside what no mapping can beat."""
    network = resnet18()
    rows: list[list[object]] = []
    for name in hardware.names():
        device = load(name)
        if device.kind != "spatial":
            continue
        traces: list[pd.DataFrame] = []

        def run(device=device, traces=traces) -> None:
            spatial.best.cache_clear()
            traces[:] = [spatial.simulate(network, device)]

        (seconds,) = medians([run], repeats=2)
        (trace,) = traces
        distinct = ~network[["kind", "in_channels", "out_channels", "in_h", "kernel_h", "stride"]].duplicated()
        rate = trace["mappings_seen"][distinct].sum() / seconds
        label = f"ResNet-18 on {name}"
        rows.append([label, seconds, "s", "promised", PROMISED_RESNET_SECONDS, seconds / PROMISED_RESNET_SECONDS])
        rows.append([label, rate, "mappings/s", "promised", PROMISED_MAPPINGS, rate / PROMISED_MAPPINGS])
        bound = int(lower_bound(network, device.architecture).sum())
        rows.append([label, int(trace["cycles"].sum()), "cycles", "lower bound", bound, trace["cycles"].sum() / bound])
    return rows


def lower_bound(network: pd.DataFrame, array: hardware.Architecture) -> pd.Series:
    """Cycles of each layer that no mapping beats: all multipliers busy, or everything through the outermost memory once.

    8-bit layers; windows of one tap read the pixels that they use.
    """
    lanes = array.mac_bits**2 // 64 if array.mac_kind == "fused" else 1
    compute = network["macs"] / (array.rows * array.columns * lanes)
    sides = [
        network[f"out_{axis}"].where(
            network[f"kernel_{axis}"] == 1, (network[f"out_{axis}"] - 1) * network["stride"] + network[f"kernel_{axis}"]
        )
        for axis in "hw"
    ]
    weights = network["macs"] // (network["batch"] * network["out_h"] * network["out_w"])
    outputs = network["batch"] * network["out_h"] * network["out_w"] * network["out_channels"]
    outer = array.stores[0]
    operands = (weights + network["batch"] * network["in_channels"] * sides[0] * sides[1]) * outer.element_bits(8)
    moved = (operands + outputs * outer.element_bits(array.output_bits)) / outer.shared
    return pd.concat([compute, moved], axis=1).max(axis=1)


def resnet18() -> pd.DataFrame:
    """The weighted layers of ResNet-18 on 224 x 224 images, 8 bits, as a kernel table."""

    def conv(inputs: int, outputs: int, side: int, kernel: int, stride: int = 1) -> dict[str, object]:
        padded = side + 2 * (kernel // 2)
        sizes = {"in_h": padded, "in_w": padded, "kernel_h": kernel, "kernel_w": kernel, "stride": stride}
        return {"kind": "conv2d", "in_channels": inputs, "out_channels": outputs, **sizes}

    layers = [conv(3, 64, 224, 7, 2), *[conv(64, 64, 56, 3)] * 4]
    for outputs, side in ((128, 56), (256, 28), (512, 14)):
        layers += [conv(outputs // 2, outputs, side, 3, 2), conv(outputs // 2, outputs, side, 1, 2)]
        layers += [conv(outputs, outputs, side // 2, 3)] * 3
    layers.append({"kind": "linear", "in_channels": 512, "out_channels": 1000})
    return kernel_table([layer | {"act_bits": 8, "weight_bits": 8} for layer in layers])
