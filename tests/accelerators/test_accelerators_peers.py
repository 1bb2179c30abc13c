"""The mapper against ZigZag and MAESTRO on ResNet-18: never more cycles on the machines that they state, or the page says why not."""

import os
from math import ceil, inf, prod
from pathlib import Path

import pandas as pd
import pytest

from mico_runner.accelerators import dataflow, mapper, timeloop
from mico_runner.accelerators.machine import Machine, Memory, Network
from mico_runner.accelerators.mapper import Budget, Space, Workload

MIRROR = os.environ.get("MICO_DATA_MIRROR")
pytestmark = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
NAMES = ("Weights", "Inputs", "Outputs")
PJ = {"DRAM": dict.fromkeys(NAMES, 64.0), "SRAM": dict.fromkeys(NAMES, 2.0), "RF": dict.fromkeys(NAMES, 0.1)}
RF = PJ["RF"]
# Rows where ZigZag prints fewer cycles than its DRAM port takes to move everything once, and how it comes to them: steps of the
# array, tiles of weights, cycles that the port takes for one, cycles of loading and of unloading that steps do not hide.
SHARED_PORT = {
    "l2_1x1": (6272, 1, 1024, 6272, 6273),  # all weights and inputs before the first step, all outputs after the last
    "l3_1x1": (6272, 1, 4096, 4095, 2),  # 6,271 cycles of outputs and one of weights during the steps
    "l4_1x1": (6272, 1, 16384, 10112, 3137),  # 6,272 cycles of weights during the steps
    "l4_ds3x3": (56448, 24, 6144, 7200, 3137),
    "l4_3x3": (112896, 48, 6144, 6144, 3137),
    "fc": (512, 8, 7936, 7936, 125),  # 31 columns of weights where 31.25 are in use
}
DRAIN = 62  # cycles that a systolic array of 32 x 32 takes to empty


def rows(tool, hardware, mapping="", bits=8):
    """Rows of the peers' results by layer."""
    found = pd.read_csv(Path(MIRROR) / "accelerators" / "peer_results.csv")
    found = found[(found["tool"] == tool) & (found["bits_W"] == bits) & ~found["layer"].str.contains("AlexNet")]
    found = found[found["hw_config"].str.contains(hardware) & found["dataflow_mapping"].str.contains(mapping)]
    return {row.layer: row for row in found.itertuples()}


def sizes(row):
    return {"K": row.K_out, "C": row.C_in, "P": row.OY, "Q": row.OX, "R": row.FY, "S": row.FX}


def least_cycles(layer, machine, ways, at=1, stride=1, budget=20_000):
    # Of a strided 1x1 window only the inputs that it uses are there, as ZigZag counts.
    step = stride if layer["R"] > 1 else 1
    operands = timeloop.operands(layer | {"Wstride": step, "Hstride": step}, NAMES)
    workload = Workload(layer, operands, products=prod(layer.values()))
    return mapper.search(workload, machine, Space(ways, at), "cycles", Budget(budget)).cycles


def side_by_side(row, filters, channels):
    """Filters and channels across the array, each by its largest divisor and by whole turns with padding."""
    limits = {"K": filters, "C": channels}
    layer = sizes(row)
    divisors = {d: max(n for n in range(1, limit + 1) if layer[d] % n == 0) for d, limit in limits.items()}
    return [divisors, {d: ceil(layer[d] / ceil(layer[d] / limit)) for d, limit in limits.items()}]


def tpu_like(bits=8, port_each=False):
    """ZigZag's tpu_like.yaml: 64 bits of DRAM per cycle, 2 MB for inputs and outputs; a word is 8 bits.

    port_each: whether each operand has 64 bits of its own.
    """
    element = {"Weights": bits / 8, "Inputs": bits / 8}

    def port(*names):
        return {name: Network(words=8) for name in names} if port_each else {}

    memories = (
        Memory("DRAM", NAMES, PJ["DRAM"], shared_words=inf if port_each else 8, element_words=element),
        Memory(
            "SRAM", NAMES[1:], PJ["SRAM"], size_words=2 << 20, element_words=element, networks=port("Inputs", "Outputs")
        ),
        Memory("RF", ("Weights", "Outputs"), RF, size_words=130, element_words=element, networks=port("Weights")),
    )
    return Machine(memories, macs=1024, mac_pj=0.3)


def eyeriss_like():
    """ZigZag's eyeriss_like.yaml, in words of 8 bits; partial sums have 16."""
    sums = {"Outputs": 2}
    memories = (
        Memory("DRAM", NAMES, PJ["DRAM"], shared_words=8, element_words=sums, final_words=1),
        Memory("SRAM", NAMES[1:], PJ["SRAM"], size_words=1 << 20, shared_words=48, element_words=sums),
        Memory("weights", NAMES[:1], PJ["SRAM"], size_words=64 << 10, read_words=16, write_words=16, beside=True),
        Memory("sums", NAMES[2:], PJ["SRAM"], size_words=8 << 10, shared_words=16, element_words=sums, beside=True),
        Memory("RF_W", NAMES[:1], RF, size_words=64),
        Memory("RF_I", NAMES[1:2], RF, size_words=64, beside=True),
        Memory("RF_O", NAMES[2:], RF, size_words=16, element_words=sums, beside=True),
    )
    return Machine(memories, macs=168, mac_pj=0.5)


def maestro(noc_words):
    """MAESTRO's run: no DRAM term, 1 MiB of L2 behind a network of `noc_words` per cycle, 5 KiB in each element."""
    memories = (
        Memory("DRAM", NAMES, PJ["DRAM"]),
        Memory("L2", NAMES, PJ["SRAM"], size_words=1 << 20, read_words=noc_words, write_words=noc_words),
        Memory("L1", NAMES, RF, size_words=5120),
    )
    return Machine(memories, macs=1024, mac_pj=0.3)


def port_cycles(row, bits=8):
    """Cycles that 64 bits take for every weight, every input that is used and every output of 8 bits, once each."""
    heights, widths = (
        out * tap if row.stride >= tap else (out - 1) * row.stride + tap
        for out, tap in ((row.OY, row.FY), (row.OX, row.FX))
    )
    operands = row.K_out * row.C_in * row.FY * row.FX + row.C_in * heights * widths
    return ceil((operands * bits / 8 + row.K_out * row.OY * row.OX) / 8)


@pytest.mark.parametrize("bits", [8, 4])
def test_zigzag_tpu_like(bits):
    printed = rows("zigzag-dse", "32x32 MAC", bits=bits)
    assert len(printed) == 12
    for name, row in printed.items():
        ways = side_by_side(row, 32, 32)
        ours = least_cycles(sizes(row), tpu_like(bits), ways, stride=row.stride)
        if name not in SHARED_PORT:
            assert ours <= row.cycles_total, name
            continue
        # No mapping of one port reaches the printed figure; ours is the least that the port allows.
        assert row.cycles_total < port_cycles(row, bits) == ours, name
        if name != "fc":
            assert least_cycles(sizes(row), tpu_like(bits, True), ways, stride=row.stride) < row.cycles_total, name


def test_zigzag_where_one_port_would_take_longer():
    """Each printed figure is the sum that ZigZag's rules make of its own mapping: what loads before the first step counts as the
    longest of the operands, each at the whole width of the port."""
    printed = rows("zigzag-dse", "32x32 MAC")
    for name, (steps, tiles, tile, load, unload) in SHARED_PORT.items():
        stall = (tiles - 1) * max(0, tile - steps // tiles)
        assert steps + stall + load + unload + DRAIN == printed[name].cycles_total, name
        weights = prod((printed[name].K_out, printed[name].C_in, printed[name].FY, printed[name].FX))
        assert tiles * tile == (992 * 512 if name == "fc" else weights) / 8, name


def test_zigzag_moves_part_of_the_last_layers_weights():
    """It takes whole units of a fractional share: 31 of 31.25 columns, or 13 of 13.9 and 11 of 11.9. As small a layer is faster here."""
    for hardware, machine, (filters, channels), (k, c), at in (
        ("32x32 MAC", tpu_like(), (32, 32), (992, 512), 1),
        ("eyeriss_like", eyeriss_like(), (13, 11), (936, 473), 3),
    ):
        row = rows("zigzag-dse", hardware, "default|tpu_like")["fc"]
        assert row.cycles_total < row.K_out * row.C_in / 8, "less than its weights take"
        part = sizes(row) | {"K": k, "C": c}
        assert least_cycles(part, machine, {"K": filters, "C": channels}, at) < row.cycles_total


def test_zigzag_eyeriss_like():
    fixed = rows("zigzag-dse", "eyeriss_like", "default")
    chosen = rows("zigzag-dse", "eyeriss_like", "auto")
    assert (len(fixed), len(chosen)) == (12, 5)
    for name, row in fixed.items():
        if name != "fc":
            ways = side_by_side(row, 14, 12)
            assert least_cycles(sizes(row), eyeriss_like(), ways, 3, row.stride) <= row.cycles_total, name
    for name, row in chosen.items():
        ways = dataflow.unrollings(sizes(row), dataflow.Dataflow((*sizes(row),), (*sizes(row),)), 14, 12).best
        assert least_cycles(sizes(row), eyeriss_like(), ways, 3, row.stride, 50_000) <= row.cycles_total, name


@pytest.mark.parametrize("words", [64, 1000])
def test_maestro(words):
    printed = rows("maestro", f"NoC bw {words} ")
    assert len(printed) == 12
    for name, row in printed.items():
        ways = side_by_side(row, 32, 32)
        assert least_cycles(sizes(row), maestro(float(words)), ways, stride=row.stride) <= row.cycles_total, name
