"""Instructions of layers on Cortex-M under QEMU, everything counted, outputs compared with the integer reference, beside CMSIS-NN's."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import numpy as np

from mico_runner import codegen
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant import reference
from mico_runner.targets import qemu
from mico_runner.targets.board_kernels import followed
from mico_runner.targets.one_kernel import single_layer

MACHINES = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
_WEIGHTED = ("conv2d", "linear")
PAIRS = ((8, 8), (4, 4), (2, 2), (1, 1))  # bits of activations and of weights
_SAME = {"in_h": 18, "in_w": 18, "kernel_h": 3, "kernel_w": 3}  # sizes with the padding in them
_DEPTHWISE = {"in_channels": 64, "out_channels": 64, "groups": 64, "kernel_h": 3, "kernel_w": 3}
_POINTWISE = {"in_channels": 64, "out_channels": 64}
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "3x3 16->32": ("conv2d", {"in_channels": 16, "out_channels": 32, **_SAME}),
    "3x3 32->32": ("conv2d", {"in_channels": 32, "out_channels": 32, **_SAME}),
    "pointwise 12x12": ("conv2d", {**_POINTWISE, "in_h": 12, "in_w": 12}),
    "pointwise 25x5": ("conv2d", {**_POINTWISE, "in_h": 25, "in_w": 5}),
    "depthwise 12x12": ("conv2d", {**_DEPTHWISE, "in_h": 14, "in_w": 14}),
    "depthwise 25x5": ("conv2d", {**_DEPTHWISE, "in_h": 27, "in_w": 7}),
    "linear 400->64": ("linear", {"in_channels": 400, "out_channels": 64}),
    "stem 3->16": ("conv2d", {"in_channels": 3, "out_channels": 16, **_SAME, "in_h": 34, "in_w": 34}),
    "add": ("add", {"in_channels": 32, "in_h": 16, "in_w": 16}),
    "max-pool": ("max_pool2d", {"in_channels": 32, "in_h": 16, "in_w": 16, "kernel_h": 2, "kernel_w": 2, "stride": 2}),
}
# CMSIS-NN 99f736a, s8, -O3, in the order of SHAPES, counted on the same boards; M7 and M33 are within 3 % of M4
_M4 = (2518446, 4541358, 1226658, 1068930, 706531, 599614, 51301, 2134334, 662702, 79582)
CMSIS = {
    "cortex-m3": (3609749, 6770837, 1826652, 1591998, 794372, 674329, 88935, 2408725, 688218, 69437),
    **dict.fromkeys(("cortex-m4", "cortex-m7", "cortex-m33"), _M4),
    "cortex-m55": (388252, 597916, 232080, 202880, 190729, 166870, 12963, 601008, 112732, 15979),
}


def bench() -> list[list[Any]]:
    return [row for machine in MACHINES for row in on(machine)]


def on(machine: str) -> list[list[Any]]:
    rng = np.random.default_rng(0)
    cases = [(name, pair) for name in SHAPES for pair in PAIRS if pair == PAIRS[0] or SHAPES[name][0] in _WEIGHTED]
    graphs = []
    for name, (act_bits, weight_bits) in cases:
        kind, shape = SHAPES[name]
        layer = single_layer(kind, **shape, act_bits=act_bits, weight_bits=weight_bits, rng=rng)
        graphs.append(replace(followed(layer), name=f"layer{len(graphs)}"))
    kinds = [graph.tensors[graph.input] for graph in graphs]
    images = [rng.integers(k.type.qmin, k.type.qmax + 1, (1, *k.shape)) for k in kinds]
    with tempfile.TemporaryDirectory() as folder:
        codegen.generate_networks(graphs, folder, KernelPolicy.of("baremetal", machine), machine)
        runs = qemu.run(qemu.build(folder, machine), images, machine).networks
    beside = dict(zip(SHAPES, CMSIS[machine], strict=True))
    rows = []
    for (name, (act_bits, weight_bits)), graph, x, run in zip(cases, graphs, images, runs, strict=True):
        assert np.array_equal(run.outputs, reference.run(graph, x)), f"{machine}: {name}"
        count = int(run.instructions[0, :-1].sum())
        what = f"{machine} {name} {act_bits}x{weight_bits}"
        rows.append([what, count, "instructions", "CMSIS-NN s8", beside[name], count / beside[name]])
    return rows
