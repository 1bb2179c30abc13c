"""What is written of each layer on an accelerator explains its cycles and energy, and what no layer counts is counted beside it."""

from dataclasses import replace

import numpy as np
import pytest

from mico_runner import hardware
from mico_runner.accelerators import streaming
from mico_runner.kernel_table import kernel_table
from mico_runner.outputs.report import mapping
from mico_runner.steps import traces

BITS = {"act_bits": 8, "weight_bits": 4}
LAYERS = [
    {
        "layer": "a",
        "kind": "conv2d",
        "in_channels": 4,
        "out_channels": 8,
        "in_h": 8,
        "in_w": 6,
        "kernel_h": 3,
        "stride": 2,
    }
    | {"kernel_w": 3, **BITS},
    {"layer": "b", "kind": "linear", "in_channels": 40, "out_channels": 12, **BITS},
]
POOL = {"kind": "max_pool2d", "in_channels": 4, "out_channels": 4, "in_h": 6, "in_w": 6, "kernel_h": 2}
POOL |= {"kernel_w": 2, "stride": 2}
ADD = {"kind": "add", "in_channels": 4, "out_channels": 4, "in_h": 5, "in_w": 3}


@pytest.mark.parametrize("name", ["bitfusion", "gemmini-16x16", "nvdla-like"])
def test_a_trace_explains_itself(name):
    device = hardware.load(name)
    if device.architecture is not None:
        device = replace(device, architecture=replace(device.architecture, mappings=200))
    trace = traces.explained(device, kernel_table(LAYERS))
    assert list(trace["shape"]) == ["4 × 8 × 6 → 8 × 3 × 2, 3 × 3 / 2", "40 × 1 × 1 → 12 × 1 × 1, 1 × 1"]
    assert np.allclose(trace["macs"], trace["peak"] * trace["cycles"] * trace["utilisation"])
    assert (trace["cycles"] * trace["bandwidth"] >= trace["dram_bits"] * (1 - 1e-9)).all()
    if device.architecture is not None:
        assert (trace["cycles_bound"] <= trace["cycles"]).all() and (trace["energy_bound"] <= trace["energy_pj"]).all()
    shown = mapping.section(trace)
    assert all("<svg" in shown[figure] for figure in ("energy", "roofline"))
    assert len(shown["table"].rows) == 2 and len(shown["loops"]) == (2 if "mapping" in trace else 0)
    assert mapping.section(trace.drop(columns="shape")) is None


def test_a_mapping_as_loops_names_every_loop():
    nest = mapping.nest("dram: M4 C16; l2: -; spad: [P12] S3").splitlines()
    assert [line.strip() for line in nest] == [
        *("dram", "for m in 4", "for c in 16", "l2", "spad", "side by side: p in 12", "for s in 3")
    ]
    assert [len(line) - len(line.lstrip()) for line in nest] == list(range(0, 14, 2))


@pytest.mark.parametrize("name", ["bitfusion", "nvdla-like"])
def test_pooling_and_sums_cost_what_they_move(name):
    device = hardware.load(name)
    rows = [row | {"layer": row["kind"], "act_bits": 8} for row in (POOL, ADD)] + LAYERS
    found = streaming.streamed(device, kernel_table(rows))
    assert list(found["layer"]) == ["max_pool2d", "add"]
    assert list(found["dram_bits"]) == [8 * (4 * 36 + 4 * 9), 8 * 4 * 15 * 3]  # a sum reads two tensors
    if device.architecture is None:
        each = device.value("dram_pj_per_bit") + device.value("sram_pj_per_bit")
    else:
        each = device.architecture.stores[0].read_pj
    assert streaming.streamed(device, kernel_table(LAYERS))["energy_pj"].sum() == 0
    assert np.allclose(found["energy_pj"], found["dram_bits"] * each)


def test_an_accelerator_that_states_no_memory_has_no_energy_of_what_streams():
    device = hardware.load("bitfusion")
    silent = {name: figure for name, figure in device.parameters.items() if name != "dram_pj_per_bit"}
    found = streaming.streamed(replace(device, parameters=silent), kernel_table([ADD | {"layer": "x", "act_bits": 8}]))
    assert found["energy_pj"].isna().all() and found["dram_bits"].item() > 0
