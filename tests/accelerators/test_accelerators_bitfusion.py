"""BitFusion: exact on the published rows, explained to the last cycle, and bounded from below."""

import os
from dataclasses import replace
from itertools import permutations, product
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import hardware
from mico_runner.accelerators import bitfusion
from mico_runner.accelerators import bitfusion_search as mapping
from mico_runner.errors import UsageError
from mico_runner.kernel_table import kernel_table

MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
PUBLISHED = {"matmul_zoo": 343, "matmul_samples": 1053, "conv2d_zoo": 2401, "conv2d_samples": 1125}
LINEAR = ["batch", "in_channels", "out_channels", "act_bits", "weight_bits", "latency"]
CONV = ["in_h", "in_w", "in_channels", "out_channels", "kernel_h", "stride", "act_bits", "weight_bits", "latency"]


@pytest.fixture(scope="module")
def device():
    return hardware.load("bitfusion")


def published(name: str) -> pd.DataFrame:
    """A published profile as a kernel table. Columns by position: one header lacks the stride."""
    columns = LINEAR if "matmul" in name else CONV
    path = Path(MIRROR) / "mico" / f"bitfusion_{name}.csv"
    rows = pd.read_csv(path, skiprows=1, header=None, names=columns, index_col=False)
    if "matmul" in name:
        return kernel_table(rows.assign(kind="linear"))
    return kernel_table(rows.assign(kind="conv2d", batch=16, kernel_w=rows["kernel_h"]))


def linear(n=16, k=10, m=32, a=2, w=2, **more):
    return {"kind": "linear", "batch": n, "in_channels": k, "out_channels": m, "act_bits": a, "weight_bits": w} | more


def conv(size=9, channels=8, filters=12, kernel=3, stride=1, a=8, w=8, batch=16, groups=1):
    return {
        "kind": "conv2d",
        "batch": batch,
        "in_channels": channels,
        "out_channels": filters,
        "in_h": size,
        "in_w": size,
        "kernel_h": kernel,
        "kernel_w": kernel,
        "stride": stride,
        "groups": groups,
        "act_bits": a,
        "weight_bits": w,
    }


bits = st.integers(1, 8)
kernels = st.builds(
    conv,
    size=st.integers(5, 20),
    channels=st.integers(1, 70),
    filters=st.integers(1, 70),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    a=bits,
    w=bits,
    batch=st.integers(1, 16),
) | st.builds(linear, n=st.integers(1, 40), k=st.integers(1, 600), m=st.integers(1, 300), a=bits, w=bits)


@needs_mirror
@pytest.mark.parametrize("name", PUBLISHED)
def test_all_published_rows_exactly(device, name):
    table = published(name)
    assert len(table) == PUBLISHED[name]
    np.testing.assert_array_equal(bitfusion.BitFusion(device).cycles(table), table["latency"])


def test_a_small_layer_by_hand(device):
    """10 -> 32 at batch 16, 2 x 2 bits: 16 products per unit, so that one pass takes 256 inputs, padded from 10."""
    trace = bitfusion.BitFusion(device).simulate(kernel_table([linear()])).iloc[0]
    weight, act, output = 256 * 32 * 2, 16 * 10 * 2, 16 * 32 * 32
    assert (trace["weight_read_bits"], trace["act_read_bits"]) == (weight, act)
    assert trace["output_read_bits"] == trace["output_write_bits"] == output
    assert trace["compute_cycles"] == 16
    assert trace["fill_cycles"] == ceil((weight + act + output) / 128) == 259
    assert trace["drain_cycles"] == ceil(output / 128) == 128
    assert trace["stall_cycles"] == 0
    assert trace["cycles"] == 403
    assert trace["utilisation"] == 16 * 10 * 32 / (403 * 16 * 32 * 16)


def test_more_bits_can_be_faster_and_are_listed(device):
    pairs = list(product([2, 3, 4], [2, 3]))
    table = kernel_table([linear(a=a, w=w) for a, w in pairs])
    table["latency"] = bitfusion.BitFusion(device).cycles(table)
    cases = bitfusion.non_monotone(table).set_index(["act_bits", "weight_bits"])
    assert cases.loc[(2, 2), "latency"] == 403
    assert (cases.loc[(2, 2), "faster_act_bits"], cases.loc[(2, 2), "faster_weight_bits"]) == (3, 3)
    assert cases.loc[(2, 2), "faster_latency"] == 324
    known = dict(zip(pairs, table["latency"], strict=True))
    for a, w in pairs:
        better = [t for (x, y), t in known.items() if x >= a and y >= w and t < known[a, w]]
        assert bool(better) == ((a, w) in cases.index)
        if better:
            assert cases.loc[(a, w), "faster_latency"] == min(better)


@needs_mirror
@pytest.mark.parametrize(("name", "cases", "saved"), [("matmul_zoo", 154, 0.281), ("conv2d_zoo", 159, 0.100)])
def test_non_monotone_cases_of_the_published_profiles(name, cases, saved):
    listed = bitfusion.non_monotone(published(name))
    assert len(listed) == cases
    savings = 1 - listed["faster_latency"] / listed["latency"]
    assert savings.is_monotonic_decreasing and savings.iloc[0] == pytest.approx(saved, abs=0.001)


@given(rows=st.lists(kernels, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_trace_adds_up_and_respects_the_bounds(rows):
    device = hardware.load("bitfusion")
    machine = bitfusion.BitFusion(device).array
    table = kernel_table(rows)
    trace = bitfusion.BitFusion(device).simulate(table)
    parts = trace[["compute_cycles", "stall_cycles", "fill_cycles", "drain_cycles"]].sum(axis=1)
    assert (trace["cycles"] == parts).all()
    tensors = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
    assert (trace["dram_bits"] == trace[tensors].sum(axis=1)).all()
    assert (trace["cycles"] >= np.ceil(trace["dram_bits"] / machine.bandwidth)).all()
    lanes = machine.rows * machine.columns * machine.products(table["act_bits"], table["weight_bits"])
    assert (trace["cycles"] >= np.ceil(table["macs"] / lanes)).all()
    assert trace["utilisation"].between(0, 1, inclusive="right").all()
    weights = table["in_channels"] * table["kernel_h"] * table["kernel_w"] * table["out_channels"]
    assert (trace["weight_read_bits"] >= weights * table["weight_bits"]).all()
    outputs = table["batch"] * table["out_h"] * table["out_w"] * table["out_channels"]
    assert (trace["output_write_bits"] >= outputs * machine.output_bits).all()
    for loop in mapping.LOOPS:
        assert trace[f"tile_{loop}"].between(1, table[loop]).all()
    pd.testing.assert_frame_equal(trace, bitfusion.BitFusion(device).simulate(table))


@given(rows=st.lists(kernels, min_size=1, max_size=4), seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_rows_do_not_influence_each_other(rows, seed):
    device = hardware.load("bitfusion")
    table = kernel_table(rows)
    shuffled = table.sample(frac=1, random_state=seed)
    np.testing.assert_array_equal(
        bitfusion.BitFusion(device).cycles(shuffled),
        bitfusion.BitFusion(device).cycles(table)[shuffled.index.to_numpy()],
    )


def plain_search(row: pd.Series, machine: mapping.Array) -> int:
    """The definition, one mapping at a time: every tile, every loop order, traffic grown loop by loop."""

    def halvings(extent, step=1):
        sizes = [step]
        while sizes[-1] < extent:
            sizes.append(2 * sizes[-1])
        return sorted({min(s, extent) for s in sizes})

    products = machine.rows * (8 // max(row.act_bits, 2)) * (8 // max(row.weight_bits, 2))
    taps = row.kernel_h * row.kernel_w
    best = None
    step = machine.columns if row.kind == "linear" else 1
    sizes = (halvings(row.batch), halvings(row.out_h), halvings(row.in_channels), halvings(row.out_channels, step))
    for b, o, ic, oc in product(*sizes):
        depth, columns = ceil(taps * ic / products), ceil(oc / machine.columns)
        tile = {"weight": depth * products * oc * row.weight_bits, "act": o * o * taps * ic * b * row.act_bits}
        tile["output"] = o * o * machine.columns * columns * b * machine.output_bits
        if any(tile[t] > machine.sram[t] for t in tile):
            continue
        trips = {"batch": ceil(row.batch / b), "out_h": ceil(row.out_h / o), "out_w": ceil(row.out_w / o)}
        trips |= {"in_channels": ceil(row.in_channels / ic), "out_channels": ceil(row.out_channels / oc)}
        compute = b * o * o * columns * depth * np.prod(list(trips.values()))
        for order in permutations(mapping.LOOPS):
            moved, resident = dict(tile), dict(tile)
            for tensor in tile:
                for loop in order:
                    if loop in mapping.INDEXED_BY[tensor] or moved[tensor] > machine.sram[tensor]:
                        moved[tensor] *= trips[loop]
                    if moved[tensor] <= machine.sram[tensor]:
                        resident[tensor] = moved[tensor]
            total = moved["weight"] + moved["act"] + 2 * moved["output"]
            fill, drain = sum(resident.values()), resident["output"]
            time = max(compute, ceil((total - fill - drain) / machine.bandwidth))
            time += ceil(fill / machine.bandwidth) + ceil(drain / machine.bandwidth)
            best = time if best is None else min(best, time)
    return int(best)


@given(
    row=st.builds(
        conv,
        size=st.integers(3, 9),
        channels=st.integers(1, 40),
        filters=st.integers(1, 40),
        kernel=st.sampled_from([1, 3]),
        a=bits,
        w=bits,
        batch=st.integers(1, 4),
    )
    | st.builds(linear, n=st.integers(1, 9), k=st.integers(1, 200), m=st.integers(1, 100), a=bits, w=bits),
    shrink=st.sampled_from([1, 2, 8]),
)
@settings(max_examples=15, deadline=None)
def test_vectorised_and_pruned_search_finds_what_the_plain_one_finds(row, shrink):
    machine = bitfusion.BitFusion(hardware.load("bitfusion")).array
    machine = replace(machine, sram={tensor: bits // shrink for tensor, bits in machine.sram.items()})
    table = kernel_table([row])
    layers, _ = bitfusion._layers(table, machine)
    tiling, order = mapping.search(layers, machine)
    found = mapping.cycles(tiling, mapping.traffic(tiling, mapping.ORDERS[order[0]], machine), machine).total
    assert found[0] == plain_search(table.iloc[0], machine)


@given(rows=st.lists(kernels, min_size=1, max_size=4), factor=st.floats(1.0, 40.0))
@settings(max_examples=30, deadline=None)
def test_more_bandwidth_is_never_slower(rows, factor):
    machine = bitfusion.BitFusion(hardware.load("bitfusion")).array
    faster = replace(machine, bandwidth=machine.bandwidth * factor)
    table = kernel_table(rows)
    assert (bitfusion.BitFusion(faster).cycles(table) <= bitfusion.BitFusion(machine).cycles(table)).all()


@given(row=kernels, tensor=st.sampled_from(list(mapping.INDEXED_BY)), factor=st.integers(2, 16))
@settings(max_examples=20, deadline=None)
def test_more_sram_never_moves_more_nor_stalls_more(row, tensor, factor):
    """For every mapping. The fill before the first product can grow with it, see the next test."""
    machine = bitfusion.BitFusion(hardware.load("bitfusion")).array
    larger = replace(machine, sram=machine.sram | {tensor: machine.sram[tensor] * factor})
    layers, _ = bitfusion._layers(kernel_table([row]), machine)
    tilings, _ = mapping.tilings(layers, machine)
    before, after = tilings.fits(machine), tilings.fits(larger)
    assert (after >= before).all()
    tilings = tilings.take(np.flatnonzero(before))
    for order in mapping.ORDERS[::7]:
        small, large = (mapping.traffic(tilings, order, m) for m in (machine, larger))
        assert (mapping.dram_bits(large) <= mapping.dram_bits(small)).all()
        stalls = [mapping.cycles(tilings, t, machine).stall for t in (large, small)]
        assert (stalls[0] <= stalls[1]).all()


def test_more_sram_can_be_slower_because_all_that_is_resident_is_filled_first(device):
    """The published rule, documented in docs/design/bitfusion.md: a lasting surprise of the model, not of this implementation."""
    machine = bitfusion.BitFusion(device).array
    table = kernel_table([conv(size=5, channels=56, filters=46, kernel=5, a=5, w=8)])
    doubled = replace(machine, sram={tensor: 2 * bits for tensor, bits in machine.sram.items()})
    quadrupled = replace(machine, sram={tensor: 4 * bits for tensor, bits in machine.sram.items()})
    assert bitfusion.BitFusion(quadrupled).cycles(table)[0] > bitfusion.BitFusion(doubled).cycles(table)[0]


def test_one_group_less_is_no_cliff(device):
    """Bundles that had to divide the number of groups took 14 times the cycles for 63 groups that they took for 64."""
    sizes = [conv(channels=n, filters=n, groups=n) for n in (60, 61, 62, 63, 64, 65)]
    cycles = bitfusion.BitFusion(device).cycles(kernel_table(sizes))
    assert (np.diff(cycles) >= 0).all() and cycles[-1] <= 1.6 * cycles[0]


@pytest.mark.parametrize(("channels", "filters", "groups"), [(32, 48, 4), (16, 16, 16), (10, 20, 5), (24, 24, 24)])
def test_as_many_groups_run_together_as_is_fastest(device, channels, filters, groups):
    whole = (
        bitfusion.BitFusion(device)
        .simulate(kernel_table([conv(channels=channels, filters=filters, groups=groups)]))
        .iloc[0]
    )
    ways = {}
    for together in [2**k for k in range(6) if 2**k < 2 * groups]:
        part = conv(channels=channels // groups * together, filters=filters // groups * together)
        trace = bitfusion.BitFusion(device).simulate(kernel_table([part])).iloc[0]
        bundles = -(-groups // together)
        ways[together] = (trace["cycles"] * bundles, trace["dram_bits"] * bundles)
    assert (whole["cycles"], whole["dram_bits"]) == min(ways.values())
    assert ways[whole["groups_together"]] == min(ways.values())


def test_energy_is_that_of_products_memories_and_dram(device):
    rows = [conv(a=a, w=w, groups=g) for a in (2, 4, 8) for w in (2, 3, 8) for g in (1, 2)]
    table = kernel_table([*rows, linear(), linear(a=2, w=2)])
    trace = bitfusion.BitFusion(device).simulate(table)
    lanes = bitfusion.BitFusion(device).array.products(table["act_bits"].to_numpy(), table["weight_bits"].to_numpy())
    np.testing.assert_allclose(trace["energy_pj"], trace[["mac_pj", "sram_pj", "dram_pj"]].sum(axis=1))
    np.testing.assert_allclose(trace["mac_pj"], table["macs"] * device.value("mac_pj") / lanes)
    np.testing.assert_allclose(trace["dram_pj"], trace["dram_bits"] * device.value("dram_pj_per_bit"))
    inner = trace[["weight_sram_bits", "act_sram_bits", "output_sram_bits"]].sum(axis=1)
    assert (trace["sram_bits"] == inner + trace["dram_bits"]).all()
    # Every product needs its weight and, once per row of columns, its activation; every output is read and written.
    outputs = table["batch"] * table["out_h"] * table["out_w"] * table["out_channels"]
    assert (trace["weight_sram_bits"] >= table["macs"] * table["weight_bits"]).all()
    assert (trace["output_sram_bits"] >= 2 * 32 * outputs).all()


def test_a_map_that_is_not_square(device):
    """A convolution over time: height 1."""
    row = conv(size=40, kernel=3) | {"in_h": 1, "kernel_h": 1}
    trace = bitfusion.BitFusion(device).simulate(kernel_table([row])).iloc[0]
    assert trace["tile_out_h"] == 1
    assert trace["compute_cycles"] >= 16 * 38


def test_what_it_cannot_run_is_an_error(device):
    pool = {"kind": "max_pool2d", "in_h": 4, "in_w": 4, "kernel_h": 2, "kernel_w": 2, "layer": "pool1", "act_bits": 8}
    with pytest.raises(UsageError, match=r"layer 'pool1': kind is 'max_pool2d'; allowed: one of conv2d, linear"):
        bitfusion.BitFusion(device).cycles(kernel_table([pool]))
    with pytest.raises(UsageError, match="weight_bits is 16; allowed: 1 to 8"):
        bitfusion.BitFusion(device).cycles(kernel_table([linear(w=16)]))
    machine = bitfusion.BitFusion(device).array
    tiny = replace(machine, sram=machine.sram | {"weight": 100})
    with pytest.raises(UsageError, match=r"row 1: no mapping: the smallest weight tile needs .* of 12\.5 usable bytes"):
        bitfusion.BitFusion(tiny).cycles(
            kernel_table([linear(a=8, w=8, k=1, m=1) | {"weight_bits": 1}, linear(a=8, w=8)])
        )


def changed(**figures):
    """BitFusion's device profile with other values of some parameters."""
    device = hardware.load("bitfusion")
    return replace(
        device,
        parameters={n: replace(p, value=figures.get(n, p.value)) for n, p in device.parameters.items()},
    )


def test_hardware_without_bitfusion_is_refused(device):
    with pytest.raises(UsageError, match="'host' is of kind 'cpu'"):
        bitfusion.BitFusion(hardware.load("host"))


def test_parameters_come_from_the_device(device):
    assert bitfusion.BitFusion(changed(dram_bits_per_cycle=256)).cycles(kernel_table([linear()]))[0] == 16 + 130 + 64
    assert bitfusion.BitFusion(device).array.sram == {"weight": 262144, "act": 131072, "output": 65536}


def test_an_empty_table_costs_nothing(device):
    assert len(bitfusion.BitFusion(device).cycles(kernel_table([linear()]).iloc[:0])) == 0
