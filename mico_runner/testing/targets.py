"""Targets: what a program gives there is what the integer reference gives, and its time can be told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from mico_runner import codegen, hardware
from mico_runner.graph import capture
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import kernel_table
from mico_runner.quant import PTQ, LayerBits, QGraph, quantize_input, reference
from mico_runner.targets import TARGETS, boards, program, unit
from mico_runner.targets.base import Target

BITS = ((8, 8), (2, 4), (4, 8))  # weight, activation: of a layer each
SAMPLES = 3
WIDTHS = (16, 128)  # input channels of the kernels that are timed


def check_target(name: str, device: str | Path, folder: Path) -> None:
    """Try a target on one of its devices, with a network of three layers and two kernels.

    - Its decorator says of the runtime and the unit what the class does.
    - The conditions of a profile are told, are plain data and do not change.
    - `run`: the outputs are the integer reference's, element for element; every node that runs code has a latency; of a program that is
      linked for a board the sizes are known. What is deterministic takes the same time again.
    - `measure`: a latency above zero of every row and how much it varies; where it is deterministic, more work takes longer.

    Args:
        device: a name of the package's, or a path.
        folder: for the programs.

    Raises:
        AssertionError: what does not hold.
        StepSkipped: a tool of the target is missing.
        UsageError: the target does not run programs of this device.
    """
    about, where = hardware.load(device), f"target {name!r}"
    target: Target = TARGETS.get(name)()
    runtime = "baremetal" if boards(name) else "host"
    assert target.runtime == runtime, f"{where}: its runtime is {target.runtime!r}, with its boards allowed: {runtime}"
    assert unit(name) in (None, target.unit), f"{where}: it counts {target.unit}, its decorator says {unit(name)}"
    table = _kernels(about)
    conditions = [target.conditions({"linear": table}, about) for _ in range(2)]
    assert conditions[0] and conditions[0] == conditions[1], f"{where}: its conditions are {conditions}"
    json.dumps(conditions[0])
    _check_run(where, target, about, folder / "run")
    _check_measure(where, target, about, table, folder / "measure")


def _check_run(where: str, target: Target, about: Hardware, folder: Path) -> None:
    deployed, samples = _network()
    core = about.core if target.runtime == "baremetal" else None
    codegen.generate(deployed, folder / "c", target.runtime, core, target.scratch)
    nodes = [call["node"] for call in program.describe(folder / "c")["networks"][0]["layers"]]
    works = [folder / str(number) for number in range(2)]
    for work in works:
        work.mkdir()
    ran = target.run(folder / "c", samples, about, works[0])
    expected = reference.run(deployed, samples)
    assert ran.outputs.shape == expected.shape, f"{where}: outputs of {ran.outputs.shape}, not {expected.shape}"
    assert np.array_equal(ran.outputs, expected), f"{where}: other outputs than the reference's"
    assert list(ran.layers) == list(dict.fromkeys(nodes)), f"{where}: latencies of {list(ran.layers)}, not of {nodes}"
    times = np.array(list(ran.layers.values()))
    assert (times >= 0).all() and times.sum() > 0, f"{where}: latencies {ran.layers}"
    if target.runtime == "baremetal":
        assert ran.flash_bytes and ran.stack_bytes, f"{where}: no sizes of the linked program"
    if target.deterministic:
        again = target.run(folder / "c", samples, about, works[1])
        assert again.layers == ran.layers, f"{where}: another latency the second time, but it is deterministic"


def _check_measure(where: str, target: Target, about: Hardware, table: pd.DataFrame, work: Path) -> None:
    work.mkdir()
    measured = target.measure(table, about, 3, work)
    latency = np.asarray(measured.latency)
    assert latency.shape == (len(table),) and (latency > 0).all(), f"{where}: latencies {latency} of {len(table)} rows"
    assert (measured.spread is None) == target.deterministic, f"{where}: its spread is {measured.spread}"
    if target.deterministic:
        assert latency[0] < latency[1], f"{where}: {WIDTHS[1] // WIDTHS[0]} times the work takes {latency[1]}, not more"


def _kernels(about: Hardware) -> pd.DataFrame:
    """Two linear layers, one with more to do."""
    row: dict[str, object] = {
        "kind": "linear",
        "batch": about.batch,
        "out_channels": 8,
        "act_bits": 8,
        "weight_bits": 8,
    }
    return kernel_table([{**row, "in_channels": width} for width in WIDTHS])


def _network() -> tuple[QGraph, np.ndarray]:
    """A network of several kinds of kernels, and quantised samples of it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten()]
    graph = capture(nn.Sequential(*layers, nn.Linear(24, 5)).eval(), (1, 8, 8), "small")
    images = np.random.default_rng(0).random((20, 1, 8, 8), dtype=np.float32)
    bits = {node.name: LayerBits(*pair) for node, pair in zip(graph.weighted, BITS, strict=True)}
    deployed = PTQ(graph, images).quantize(bits)
    return deployed, quantize_input(deployed, images[:SAMPLES])
