"""The simulators: BitFusion on as many layers as the published zoo has, ResNet-18 mapped on arrays behind memories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from mico_runner import data, graph, hardware
from mico_runner.accelerators import bitfusion, spatial
from mico_runner.codesign.bounds import least_cycles, least_energy
from mico_runner.hardware import Architecture, load
from mico_runner.kernel_table import DENSE, kernel_table
from mico_runner.models import MODELS
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
    (seconds,) = medians([lambda: bitfusion.BitFusion(load("bitfusion")).cycles(table)], repeats=2)
    label = f"BitFusion, {ZOO_ROWS:,} layers"
    return [label, seconds, "s", "promised for the published zoo", PROMISED_SECONDS, seconds / PROMISED_SECONDS]


def _arrays() -> list[list[object]]:
    """ResNet-18 whole, one line per shipped array: time and mappings per second; its cost beside what no mapping can beat."""
    network = resnet18()
    rows: list[list[object]] = []
    for name in hardware.names():
        device = load(name)
        if device.kind != "spatial":
            continue
        traces: list[pd.DataFrame] = []

        def run(device=device, traces=traces) -> None:
            spatial.best.cache_clear()
            traces[:] = [spatial.Spatial(device).simulate(network)]

        (seconds,) = medians([run], repeats=2)
        (trace,) = traces
        distinct = ~network[["kind", "in_channels", "out_channels", "in_h", "kernel_h", "stride"]].duplicated()
        rate = trace["mappings_seen"][distinct].sum() / seconds
        label = f"ResNet-18 on {name}"
        rows.append([label, seconds, "s", "promised", PROMISED_RESNET_SECONDS, seconds / PROMISED_RESNET_SECONDS])
        rows.append([label, rate, "mappings/s", "promised", PROMISED_MAPPINGS, rate / PROMISED_MAPPINGS])
        for other, layers in {"ResNet-18": network, "MobileNet-V2": mobilenet_v2()}.items():
            rows += _beside_bounds(f"{other} on {name}", layers, device.architecture)
    return rows


def _beside_bounds(label: str, network: pd.DataFrame, array: Architecture) -> list[list[object]]:
    """Cycles, and energy where that is minimised, of a network, beside what no mapping can beat."""
    rows: list[list[object]] = []
    for objective, unit, least in (("cycles", "cycles", least_cycles), ("energy", "uJ", least_energy)):
        one = replace(array, objective=objective)
        layers = [spatial.layer_of(row) for row in network.itertuples()]
        found = [spatial.best(layer, one) for layer in layers]
        total = sum(each.cycles if objective == "cycles" else each.energy_pj for each in found)
        size = np.array([one.rows]), np.array([one.columns])
        bound = sum(float(least(layer, one, *size)[0]) for layer in layers)
        scale = 1 if objective == "cycles" else 1e-6
        rows.append([label, total * scale, unit, "lower bound", bound * scale, total / bound])
    return rows


def mobilenet_v2() -> pd.DataFrame:
    """The weighted layers of MobileNet-V2 on 224 x 224 images, 8 bits, as a kernel table."""
    shape = (3, 224, 224)
    network = graph.capture(MODELS.get("mobilenet-v2")(shape, 1000), shape, "mobilenet-v2")
    rows = [row for row in graph.kernel_rows(network, 1) if row["kind"] in DENSE]
    return kernel_table([row | {"act_bits": 8, "weight_bits": 8} for row in rows])


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
