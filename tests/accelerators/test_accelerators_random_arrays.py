"""Arrays drawn at random: a trace that adds up, or an error of ours; never a crash, a nan or a negative figure."""

import random

import numpy as np
import pytest

from mico_runner import hardware
from mico_runner.accelerators import spatial
from mico_runner.errors import UsageError
from mico_runner.hardware.architecture_schema import DATAFLOW_NAMES, MAC_KINDS, OBJECTIVES, OPERANDS, SPEEDS, WAYS
from mico_runner.kernel_table import kernel_table

pytestmark = pytest.mark.filterwarnings("error")
SEEDS, AT_ONCE = 80, 20


def figure(value, unit):
    return {"value": value, "unit": unit, "source": "drawn"}


def draw_network(draw):
    feed = {"overlapped": draw.random() < 0.6, "shared": draw.random() < 0.5}
    if draw.random() < 0.7:
        feed["bandwidth"] = figure(draw.choice([1, 16, 64]), "bits per cycle")
    return feed | ({"energy": figure(0.1, "pJ per bit")} if draw.random() < 0.5 else {})


def draw_memory(draw, number, per, keeps):
    memory = {"name": f"m{number}", "per": per, "keeps": keeps, "energy": figure(draw.choice([0, 0.1]), "pJ per bit")}
    if draw.random() < 0.4:
        memory["width"] = figure(draw.choice([8, 16, 64, 3]), "bits")
    if draw.random() < 0.5:
        speeds = {way: figure(draw.choice([0.5, 64, 1e6]), draw.choice([*SPEEDS])) for way in WAYS}
        memory["bandwidth"] = {way: speed for way, speed in speeds.items() if draw.random() < 0.5}
    if number:
        memory["size"] = figure(draw.choice([64, 256, 1024, 65536]), "bytes")
        memory["double_buffered"] = draw.random() < 0.3
        if draw.random() < 0.3:
            memory["network"] = {name: draw_network(draw) for name in keeps if draw.random() < 0.6}
    return memory


def draw_device(draw):
    memories = [draw_memory(draw, 0, "chip", list(OPERANDS))]
    for per in ["chip"] * draw.randint(0, 2) + ["element"] * draw.randint(1, 3):
        keeps = draw.sample(OPERANDS, draw.randint(1, 3))
        memory = draw_memory(draw, len(memories), per, keeps)
        memory["beside"] = len(memories) > 1 and memories[-1]["per"] == per and draw.random() < 0.4
        memories.append(memory)
    bits = draw.choice([2, 8, 16])
    array = {
        "rows": figure(draw.choice([1, 3, 8, 13]), "elements"),
        "columns": figure(draw.choice([1, 4, 7, 32]), "elements"),
        "dataflow": draw.choice(DATAFLOW_NAMES),
        "objective": draw.choice(OBJECTIVES),
        "mappings": draw.choice([1, 50, 300]),
        "mac": {"kind": draw.choice(MAC_KINDS), "bits": figure(bits, "bits"), "energy": figure(0.3, "pJ")},
        "accumulator_bits": figure(draw.choice([16, 32]), "bits"),
        "output_bits": figure(8, "bits"),
        "memories": memories,
    }
    if draw.random() < 0.4:
        array["sparsity"] = draw_sparsity(draw, memories)
    widths = [min(bits, 8)]
    form = {"name": "drawn", "kind": "spatial", "latency_unit": "cycles"}
    return form | {"weight_bits": widths, "activation_bits": widths, "architecture": array}


def draw_sparsity(draw, memories):
    density = {
        name: figure(draw.choice([0.01, 0.3, 1]), "ratio") for name in ("weights", "inputs") if draw.random() < 0.7
    }
    density = density or {"weights": figure(0.5, "ratio")}
    compressed = {memory["name"]: [name for name in memory["keeps"] if name in density] for memory in memories}
    return {"density": density, "compressed": compressed, "skips": [*density][:1], "gates": [*density][1:]}


def draw_layers(draw, widest):
    groups, kernel = draw.choice([1, 1, 2, 4]), draw.choice([1, 2, 3, 5])
    conv = {
        "kind": "conv2d",
        "batch": draw.randint(1, 3),
        "in_channels": groups * draw.randint(1, 9),
        "out_channels": groups * draw.randint(1, 11),
        "groups": groups,
        "in_h": draw.randint(kernel, 12),
        "in_w": draw.randint(kernel, 12),
        "kernel_h": kernel,
        "kernel_w": kernel,
        "stride": draw.choice([1, 2, 3]),
    }
    linear = {"kind": "linear", "in_channels": draw.randint(1, 40), "out_channels": draw.randint(1, 40)}
    bits = {"act_bits": draw.randint(1, widest), "weight_bits": draw.randint(1, widest)}
    return kernel_table([layer | bits for layer in (conv, linear)])


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.nightly) for first in range(AT_ONCE, SEEDS, AT_ONCE))]
)
def test_the_trace_adds_up_or_the_error_is_ours(first):
    ran = 0
    for seed in range(first, first + AT_ONCE):
        draw = random.Random(seed)
        described = draw_device(draw)
        layers = draw_layers(draw, described["weight_bits"][0])
        try:
            trace = spatial.Spatial(hardware.load(described)).simulate(layers)
        except UsageError:
            continue
        ran += 1
        assert (trace["cycles"] > 0).all() and (trace["stall_cycles"] >= 0).all(), seed
        assert (trace["cycles"] == trace["compute_cycles"] + trace["load_cycles"] + trace["stall_cycles"]).all(), seed
        parts = trace[[name for name in trace if name.endswith("_pj") and name != "energy_pj"]]
        assert (parts >= 0).all(axis=None), seed
        np.testing.assert_allclose(trace["energy_pj"], parts.sum(axis=1), rtol=1e-9)
        assert trace["utilisation"].between(0, 1, inclusive="right").all(), seed
        assert np.isfinite(trace.select_dtypes("number")).all(axis=None), seed
    assert ran >= AT_ONCE / 4  # most draws are valid
