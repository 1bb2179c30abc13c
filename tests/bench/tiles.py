"""Fits `micro.Cycles`: cycles of layers of random sizes by each micro-kernel, on the RTL of VexRiscv Full."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy.optimize import lsq_linear

from mico_runner import codegen
from mico_runner.codegen import micro
from mico_runner.codegen.micro.base import VALUES, MicroKernel
from mico_runner.codegen.packing import WORD
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant.qgraph import QType
from mico_runner.targets import rtl
from mico_runner.targets.one_kernel import single_layer

CONVOLUTIONS, PRODUCTS, VECTORS = 24, 16, 32  # layers of many positions, of eight, of one


def bench() -> list[list[object]]:
    lines: list[list[object]] = []
    for part, shapes in (("wide", wide_shapes()), ("narrow", narrow_shapes())):
        names, rows, cycles = [], [], []
        for kernel in micro.MICRO_KERNELS:
            if not kernel.takes(QType(kernel.act_bits, False, 1.0), padded=False):
                continue  # signs, which take as long as bits
            enough = [s for s in shapes if part == "narrow" or positions(s) >= kernel.positions]
            enough = [held(s, kernel) for s in enough]
            for shape, took in zip(enough, measure(kernel, enough), strict=True):
                names.append(kernel.name)
                rows.append(features(shape, kernel))
                cycles.append(took)
        found, error = fit(names, np.array(rows), np.array(cycles))
        lines.append([f"{part}: error of the fit", 100 * error, "%", "", None, None])
        for name, values in found.items():
            lines.append([f"{part}: {name}", ", ".join(f"{v:.1f}" for v in values), "cycles", "", None, None])
    return lines


def wide_shapes() -> list[dict]:
    rng = np.random.default_rng(7)
    shapes = []
    for _ in range(CONVOLUTIONS):
        kernel, size = int(rng.choice([1, 3, 3, 5])), int(rng.integers(5, 9))
        shape = {
            "in_channels": int(2 ** rng.uniform(0, 5 if kernel == 1 else 4)),
            "out_channels": int(rng.integers(4, 40)),
        }
        shapes.append({"kind": "conv2d", **shape, "in_h": size, "in_w": size, "kernel_h": kernel, "kernel_w": kernel})
    for i in range(PRODUCTS):
        shape = {"in_channels": aligned(i, 2 ** rng.uniform(3, 8)), "out_channels": int(rng.integers(4, 64))}
        shapes.append({"kind": "linear", **shape, "batch": 8})
    return shapes


def narrow_shapes() -> list[dict]:
    rng = np.random.default_rng(7)
    sizes = 2 ** rng.uniform([2, 2], [10, 8], (VECTORS, 2))
    return [{"kind": "linear", "in_channels": aligned(i, k), "out_channels": int(n)} for i, (k, n) in enumerate(sizes)]


def aligned(i: int, size: float) -> int:
    """Every other size is a multiple of four, so that patches need no gathering."""
    return int(size) if i % 2 else VALUES * round(size / VALUES)


def measure(kernel: MicroKernel, shapes: list[dict]) -> list[int]:
    """Cycles of each layer by one micro-kernel, caches cold."""
    rng, act_bits = np.random.default_rng(0), kernel.act_bits
    graphs = [single_layer(**shape, weight_bits=kernel.bits, act_bits=act_bits, rng=rng) for shape in shapes]
    graphs = [replace(graph, name=f"layer{i}") for i, graph in enumerate(graphs)]
    images = [rng.integers(0, 1 << act_bits, (1, *graph.tensors[graph.input].shape)) for graph in graphs]

    def first(candidate: MicroKernel, *size: int) -> float:
        return candidate is not kernel

    with tempfile.TemporaryDirectory() as folder:
        with patch.object(MicroKernel, "cycles", first):
            codegen.generate_networks(graphs, Path(folder), KernelPolicy.of("baremetal", scratch="tables"))
        return [int(run.cycles.sum()) for run in rtl.run(rtl.build(folder), images)]


def positions(shape: dict) -> int:
    return shape.get("batch", 1) if shape["kind"] == "linear" else (shape["in_h"] - shape["kernel_h"] + 1) ** 2


def taps(shape: dict) -> int:
    return shape.get("kernel_h", 1) ** 2 * shape["in_channels"]


def held(shape: dict, kernel: MicroKernel) -> dict:
    """The shape with the nearest number of channels at which the micro-kernel holds its rows."""
    wanted = shape["in_channels"]
    near = sorted(range(1, 2 * wanted + WORD), key=lambda n: abs(n - wanted))
    return next(s for s in ({**shape, "in_channels": n} for n in near) if kernel.holds(taps(s)))


def features(shape: dict, kernel: MicroKernel) -> list[int]:
    """Positions; 1; positions x quads of taps, of all layers and of those that gather; tiles x outputs; with quads; with blocks: as
    `MicroKernel.parts` counts them.
    """
    tile, tiles, quads, outputs = kernel.counts(taps(shape), shape["out_channels"], positions(shape))
    work, packed = tiles * outputs, tiles * tile * quads
    gathered = packed if shape.get("kernel_h", 1) > 1 or shape["in_channels"] % VALUES else 0
    return [tiles * tile, 1, packed, gathered, work, work * quads, work * kernel.blocks(quads)]


def fit(names: list[str], rows: np.ndarray, cycles: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """Coefficients that are not negative, by micro-kernel, and what a position costs in all; mean relative error."""
    kinds, each = list(dict.fromkeys(names)), rows.shape[1] - 1
    table = np.zeros((len(rows), 1 + each * len(kinds)))
    table[:, 0] = rows[:, 0]
    for row, name, values in zip(table, names, rows, strict=True):
        start = 1 + each * kinds.index(name)
        row[start : start + each] = values[1:]
    if (rows[:, 0] == 1).all():  # then a position costs what a layer does
        table[:, 1::each] = 0
    table /= cycles[:, None]
    size = table.mean(0)
    table[:, size > 0] /= size[size > 0]
    found = np.where(size > 0, lsq_linear(table, np.ones(len(table)), bounds=(0, np.inf)).x, 0)
    error = float(np.abs(table @ found - 1).mean())
    found[size > 0] /= size[size > 0]
    by_name = {name: found[1 + each * i : 1 + each * (i + 1)] for i, name in enumerate(kinds)}
    return {"patch": found[:1], **by_name}, error
