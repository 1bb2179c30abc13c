"""`hardware: eyeriss` against the measured chip: AlexNet and VGG-16 at 200 MHz, layer by layer, under the chip's mappings.

AlexNet's mappings are published (Y.-H. Chen et al., JSSC 2017, table III). VGG-16's are not: these agree with the chip's published active
elements, buffer accesses and DRAM accesses, and were worked out with its latencies at hand.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from mico_runner import hardware
from mico_runner.accelerators import hierarchy, spatial
from mico_runner.accelerators.machine import Loop
from mico_runner.kernel_table import kernel_table

MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")


class Mapping(NamedTuple):
    """JSSC 2017's parameters: a pass keeps sums of m filters x n images x e rows in the buffer; an element does p filters of q channels;
    r sets of elements take further channels, t sets further filters."""

    m: int
    n: int
    e: int
    p: int
    q: int
    r: int
    t: int


#   in channels, filters, padded side, kernel, stride, groups, mapping
ALEXNET = {
    "CONV1": (3, 96, 227, 11, 4, 1, Mapping(96, 1, 7, 16, 1, 1, 2)),
    "CONV2": (96, 256, 31, 5, 1, 2, Mapping(64, 1, 27, 16, 2, 1, 1)),
    "CONV3": (256, 384, 15, 3, 1, 1, Mapping(64, 4, 13, 16, 4, 1, 4)),
    "CONV4": (384, 384, 15, 3, 1, 2, Mapping(64, 4, 13, 16, 3, 2, 2)),
    "CONV5": (384, 256, 15, 3, 1, 2, Mapping(64, 4, 13, 16, 3, 2, 2)),
}
FIRST, SECOND, THIRD = Mapping(16, 1, 13, 4, 1, 1, 4), Mapping(32, 1, 13, 8, 1, 1, 4), Mapping(64, 1, 13, 16, 2, 1, 4)
FOURTH, FIFTH = Mapping(64, 1, 14, 16, 4, 1, 4), Mapping(32, 3, 14, 16, 4, 2, 2)
VGG = {
    "CONV1-1": (3, 64, 226, 3, 1, 1, FIRST),
    "CONV1-2": (64, 64, 226, 3, 1, 1, FIRST),
    "CONV2-1": (64, 128, 114, 3, 1, 1, SECOND),
    "CONV2-2": (128, 128, 114, 3, 1, 1, SECOND),
    "CONV3-1": (128, 256, 58, 3, 1, 1, THIRD),
    "CONV3-2": (256, 256, 58, 3, 1, 1, THIRD),
    "CONV3-3": (256, 256, 58, 3, 1, 1, THIRD),
    "CONV4-1": (256, 512, 30, 3, 1, 1, FOURTH),
    "CONV4-2": (512, 512, 30, 3, 1, 1, FOURTH),
    "CONV4-3": (512, 512, 30, 3, 1, 1, FOURTH),
    "CONV5-1": (512, 512, 16, 3, 1, 1, FIFTH),
    "CONV5-2": (512, 512, 16, 3, 1, 1, FIFTH),
    "CONV5-3": (512, 512, 16, 3, 1, 1, FIFTH),
}
NETWORKS = {"alexnet": (ALEXNET, 4), "vgg16": (VGG, 3)}  # and the batch


def table(network: str) -> pd.DataFrame:
    layers, batch = NETWORKS[network]
    rows = []
    for name, (inputs, outputs, side, kernel, stride, groups, _) in layers.items():
        shape = {"in_channels": inputs, "out_channels": outputs, "in_h": side, "in_w": side, "groups": groups}
        shape |= {"kernel_h": kernel, "kernel_w": kernel, "stride": stride, "batch": batch}
        rows.append({"layer": name, "kind": "conv2d", **shape, "act_bits": 16, "weight_bits": 16})
    return kernel_table(rows)


def nest(layer: spatial.Layer, at: Mapping) -> list[list[Loop]]:
    def loops(spatial: bool = False, **turns: float) -> list[Loop]:
        return [Loop(d, np.array([int(np.ceil(n))]), spatial) for d, n in turns.items()]

    outer = loops(N=layer.n / at.n, G=layer.g, M=layer.m / at.m, P=layer.p / at.e, C=layer.c / (at.q * at.r))
    inner = loops(M=at.m / (at.p * at.t), N=at.n, Q=layer.q) + loops(True, R=layer.r, P=at.e, C=at.r, M=at.t)
    return [outer, inner, [], [], loops(S=layer.s, C=at.q, M=at.p)]


def strips(layer: spatial.Layer, at: Mapping) -> Iterator[tuple[spatial.Layer, Mapping]]:
    """The strips of `e` output rows, and the shorter one at the end as a layer of its own."""
    whole, rest = divmod(layer.p, at.e)
    if whole:
        yield layer._replace(p=whole * at.e), at
    if rest:
        yield layer._replace(p=rest), at._replace(e=rest)


def predicted(network: str) -> pd.DataFrame:
    """Per layer: processing_ms, dram_ms (64 bits at 60 MHz, not compressed), buffer_mb and whether the mapping fits."""
    device = hardware.load("eyeriss")
    array = device.architecture
    free = replace(array, stores=(replace(array.stores[0], shared=inf), *array.stores[1:]))
    rows = {}
    for row in table(network).itertuples():
        costs = [
            hierarchy.evaluate(nest(part, at), part.operands, spatial.machine(free, part))
            for part, at in strips(spatial.layer_of(row), NETWORKS[network][0][row.layer][-1])
        ]
        words = {key: sum(float(sum(cost.words[key])[0]) for cost in costs) for key in costs[0].words}
        rows[row.layer] = {
            "processing_ms": 1e3 * sum(int(cost.cycles[0]) for cost in costs) / device.clock_hz,
            "dram_ms": 1e3
            * sum(words["dram", name] for name in spatial.OPERANDS)
            / array.stores[0].shared
            / device.clock_hz,
            "buffer_mb": (words["glb", "inputs"] + words["glb", "outputs"]) / 8 / 1024**2,
            "fits": all(bool(cost.fits[0]) for cost in costs),
        }
    return pd.DataFrame(rows).T


def measured(network: str) -> pd.DataFrame:
    rows = pd.read_csv(Path(MIRROR) / "accelerators" / f"eyeriss-{network}.csv").rename(columns=str.strip)
    rows = rows.rename(columns={"Layer": "layer", "Num. of Active PEs": "PEs"}).set_index("layer").drop(index="Total")
    rows.columns = [column.strip() for column in rows.columns]
    return rows.apply(pd.to_numeric, errors="coerce")


@needs_mirror
def test_processing_latency_of_the_chip():
    errors = {}
    for network in NETWORKS:
        ours, chip = predicted(network), measured(network)
        assert list(ours.index) == list(chip.index)
        assert ours["fits"].all()
        errors[network] = (ours["processing_ms"].astype(float) / chip["Processing Latency (ms)"] - 1).abs()
    assert errors["alexnet"].mean() <= 0.05 and errors["vgg16"].mean() <= 0.05
    assert pd.concat(errors).max() <= 0.06


@needs_mirror
@pytest.mark.parametrize("network", NETWORKS)
def test_the_mappings_occupy_the_elements_that_the_chip_reports(network):
    """Published active elements; 163 in CONV5-1 stands beside 168 in its twins."""
    active = {
        name: min(at.e, 27) * kernel * at.r * at.t for name, (_, _, _, kernel, _, _, at) in NETWORKS[network][0].items()
    }
    chip = measured(network)["PEs"]
    assert all(count == chip[name] or name == "CONV5-1" for name, count in active.items())


def test_mappings_of_the_mapper_are_not_slower_than_the_chips():
    array = hardware.load("eyeriss").architecture
    free = replace(array, objective="cycles", stores=(replace(array.stores[0], shared=inf), *array.stores[1:]))
    for network in NETWORKS:
        trace = spatial.Spatial(free).simulate(table(network))
        ours = trace["cycles"].to_numpy() / 2e5
        assert (ours <= predicted(network)["processing_ms"].astype(float).to_numpy()).all()
