"""Systolic arrays: exact on SCALE-Sim's stall-free runs, bounded from below, explained to the last cycle and bit."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import hardware
from mico_runner.accelerators import systolic
from mico_runner.errors import UsageError
from mico_runner.kernel_table import kernel_table

MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
SHORT = {"ws": "weight_stationary", "os": "output_stationary"}


def array(**changes) -> systolic.Array:
    return replace(systolic.Systolic(hardware.load("scalesim-32x32")).array, **changes)


def conv(size=9, channels=8, filters=12, kernel=3, stride=1, a=8, w=8, batch=1, groups=1):
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


def linear(n=1, k=100, m=32, a=8, w=8):
    return {"kind": "linear", "batch": n, "in_channels": k, "out_channels": m, "act_bits": a, "weight_bits": w}


bits = st.integers(1, 8)
kernels = st.builds(
    conv,
    size=st.integers(3, 40),
    channels=st.integers(1, 300),
    filters=st.integers(1, 300),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    a=bits,
    w=bits,
    batch=st.integers(1, 4),
) | st.builds(linear, n=st.integers(1, 16), k=st.integers(1, 3000), m=st.integers(1, 1500), a=bits, w=bits)
machines = st.builds(
    lambda rows, columns, mac, dataflow, bandwidth, shrink: array(
        rows=rows,
        columns=columns,
        **mac,
        dataflows=(dataflow,),
        bandwidth=bandwidth,
        sram={tensor: size / shrink for tensor, size in array().sram.items()},
        accumulator_bits=32,
    ),
    rows=st.sampled_from([4, 16, 32]),
    columns=st.sampled_from([4, 16, 32]),
    mac=st.sampled_from([{}, {"serial_bits": 1}, {"brick_bits": 2}]),
    dataflow=st.sampled_from(list(systolic.SCHEDULES)),
    bandwidth=st.floats(1, 500),
    shrink=st.sampled_from([1, 8, 64]),
)


@needs_mirror
def test_every_stall_free_reference_run_to_the_cycle():
    """SCALE-Sim 3.0.0 on ResNet-18 layers: cycles, and the words that the array reads from the two operand memories."""
    runs = pd.read_csv(Path(MIRROR) / "accelerators" / "peer_results.csv")
    runs = runs[(runs["tool"] == "scalesim") & runs["hw_config"].str.contains("CALC")]
    assert len(runs) == 31
    for run in runs.itertuples():
        side = int(run.hw_config.split("x")[0])
        machine = array(rows=side, columns=side, dataflows=(SHORT[run.dataflow_mapping],), bandwidth=np.inf)
        row = conv(channels=run.C_in, filters=run.K_out, kernel=run.FY, stride=run.stride)
        trace = systolic.Systolic(machine).simulate(kernel_table([row | {"in_h": run.IY, "in_w": run.IX}])).iloc[0]
        assert trace["cycles"] == run.cycles_total, run.layer
        assert trace["stall_cycles"] == 0
        read = run.sram_note.split()[3].split("/")
        assert [trace["act_sram_bits"] / 8, trace["weight_sram_bits"] / 8] == [int(words) for words in read], run.layer


def test_closed_forms_by_hand():
    """2 x 2 array, 3 pixels x 5 taps x 4 filters: folds times (streamed + skew) - 1."""
    table = kernel_table([linear(n=3, k=5, m=4)])

    def compute(dataflow):
        machine = array(rows=2, columns=2, dataflows=(dataflow,), bandwidth=np.inf)
        return systolic.Systolic(machine).cycles(table)[0]

    assert compute("weight_stationary") == 3 * 2 * (3 + 4) - 1
    assert compute("output_stationary") == 2 * 2 * (5 + 2) - 1
    assert compute("input_stationary") == 3 * 2 * (4 + 4) - 1
    assert (
        systolic.Systolic(array(rows=2, columns=2, bandwidth=np.inf)).cycles(table)[0] == 27
    )  # the fastest of the three


def test_input_stationary_is_weight_stationary_of_the_transposed_product():
    ours = systolic.Systolic(array(dataflows=("input_stationary",))).simulate(kernel_table([linear(n=70, k=200, m=90)]))
    other = systolic.Systolic(array(dataflows=("weight_stationary",))).simulate(
        kernel_table([linear(n=90, k=200, m=70)])
    )
    for column in ("cycles", "compute_cycles", "dram_bits", "sram_bits", "energy_pj"):
        assert ours[column][0] == other[column][0]


def test_kinds_of_units_scale_compute_and_energy():
    """32 taps on 2 rows: fused units take 4 x 4 bits four at a time, serial ones 4-bit activations in half the cycles."""
    wide, narrow = kernel_table([linear(n=1000, k=32, m=2)]), kernel_table([linear(n=1000, k=32, m=2, a=4, w=4)])
    small = {"rows": 2, "columns": 2, "dataflows": ("weight_stationary",), "bandwidth": np.inf}
    parallel, serial, fused = (array(**small, **mac) for mac in ({}, {"serial_bits": 1}, {"brick_bits": 2}))
    assert systolic.Systolic(parallel).cycles(wide)[0] == systolic.Systolic(parallel).cycles(narrow)[0] == 16 * 1004 - 1
    assert systolic.Systolic(serial).cycles(wide)[0] == 16 * 8004 - 1
    assert systolic.Systolic(serial).cycles(narrow)[0] == 16 * 4004 - 1
    assert systolic.Systolic(fused).cycles(wide)[0] == 16 * 1004 - 1
    assert systolic.Systolic(fused).cycles(narrow)[0] == 4 * 1004 - 1
    energy = [systolic.Systolic(machine).simulate(narrow)["mac_pj"][0] for machine in (parallel, serial, fused)]
    assert energy == pytest.approx([64000 * 0.3, 64000 * 0.3 / 2, 64000 * 0.3 / 4])
    for machine in (parallel, serial, fused):
        moved = [systolic.Systolic(machine).simulate(table)["weight_read_bits"][0] for table in (wide, narrow)]
        assert moved == [512, 256]


def test_weights_that_just_do_not_fit_cost_what_does_not_fit():
    """All but ten taps of the weights stay where they fit; those ten are read again for each of the four row tiles."""
    table = kernel_table([linear(n=16, k=100, m=4)])
    machine = array(rows=4, columns=4, dataflows=("output_stationary",))
    machine = replace(machine, sram=machine.sram | {"weight": 90 * 4 * 8.0})
    assert systolic.Systolic(machine).simulate(table)["weight_read_bits"][0] == (100 + 3 * 10) * 4 * 8


@given(rows=st.lists(kernels, min_size=1, max_size=3), machine=machines, weight=st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_one_bit_of_output_stationary_weights_saves_its_share_at_most(rows, machine, weight):
    """Nothing is a cliff: w + 1 bits hold a w-th less of the taps."""
    machine = replace(machine, dataflows=("output_stationary",))
    less, more = (kernel_table([row | {"weight_bits": w} for row in rows]) for w in (weight - 1, weight))
    products = [systolic._products(table, machine)[0] for table in (less, more)]
    schedules = [systolic.SCHEDULES["output_stationary"](p, machine) for p in products]
    down = np.ceil(products[0].pixels / machine.rows)
    for narrow, wide in zip(*schedules, strict=True):
        saved = wide["weight_read_bits"] - narrow["weight_read_bits"]
        taps = products[0].weights / products[0].taps  # bits of a tap: what stays is a whole number of taps
        assert (saved <= products[0].weights / (weight - 1) * (1 + down) * 2 + taps * down + down).all()


@given(
    rows=st.lists(kernels, min_size=1, max_size=3), machine=machines, objective=st.sampled_from(["cycles", "energy"])
)
@settings(max_examples=40, deadline=None)
def test_a_batch_never_costs_more_than_its_samples(rows, machine, objective):
    column = {"cycles": "cycles", "energy": "energy_pj"}[objective]
    model = systolic.Systolic(replace(machine, dataflows=tuple(systolic.SCHEDULES), objective=objective))
    together, alone = (model.simulate(kernel_table([row | {"batch": n} for row in rows]))[column] for n in (3, 1))
    assert (together <= 3 * alone * (1 + 1e-12)).all()


def test_the_schedule_of_least_energy():
    table = kernel_table(
        [conv(size=56, channels=64, filters=64), linear(n=64, k=4000, m=1000), conv(28, 128, 128, a=4)]
    )
    small = {tensor: size / 16 for tensor, size in array().sram.items()}
    by = {
        objective: systolic.Systolic(
            array(sram=small, dataflows=tuple(systolic.SCHEDULES), objective=objective)
        ).simulate(table)
        for objective in ("cycles", "energy", "edp")
    }
    product = {name: trace["cycles"] * trace["energy_pj"] for name, trace in by.items()}
    assert (by["energy"]["energy_pj"] <= by["cycles"]["energy_pj"]).all()
    assert (by["energy"]["energy_pj"] < by["cycles"]["energy_pj"]).any()
    assert (by["cycles"]["cycles"] <= by["energy"]["cycles"]).all()
    assert (product["edp"] <= product["cycles"]).all() and (product["edp"] <= product["energy"]).all()


def test_stalls_are_what_memory_takes_longer_than_the_array():
    table = kernel_table([linear(n=1, k=512, m=1000)])
    machine = array(dataflows=("output_stationary",), bandwidth=80.0)
    trace = systolic.Systolic(machine).simulate(table).iloc[0]
    assert trace["dram_bits"] == 8 * (512 + 512 * 1000 + 1000)
    assert trace["compute_cycles"] == 18367
    assert trace["cycles"] == int(np.ceil(trace["dram_bits"] / 80)) == 18367 + trace["stall_cycles"]


@given(rows=st.lists(kernels, min_size=1, max_size=5), machine=machines)
@settings(max_examples=60, deadline=None)
def test_trace_adds_up_and_respects_the_bounds(rows, machine):
    table = kernel_table(rows)
    trace = systolic.Systolic(machine).simulate(table)
    assert (trace["cycles"] == trace["compute_cycles"] + trace["stall_cycles"]).all()
    moved = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
    assert (trace["dram_bits"] == trace[moved].sum(axis=1)).all()
    inner = ["weight_sram_bits", "act_sram_bits", "output_sram_bits", "dram_bits"]
    assert (trace["sram_bits"] == trace[inner].sum(axis=1)).all()
    np.testing.assert_allclose(trace["energy_pj"], trace[["mac_pj", "sram_pj", "dram_pj"]].sum(axis=1), rtol=1e-12)
    assert (trace["cycles"] >= np.ceil(trace["dram_bits"] / machine.bandwidth)).all()
    lanes = machine.lanes(table["act_bits"], table["weight_bits"])
    units = machine.rows * machine.columns * lanes / machine.serial_cycles(table["act_bits"])
    assert (trace["compute_cycles"] >= np.floor(table["macs"] / units)).all()
    assert trace["utilisation"].between(0, 1, inclusive="right").all()
    weights = table["in_channels"] * table["kernel_h"] * table["kernel_w"] * table["out_channels"]
    assert (trace["weight_read_bits"] >= weights * table["weight_bits"]).all()
    outputs = table["batch"] * table["out_h"] * table["out_w"] * table["out_channels"]
    assert (trace["output_write_bits"] >= outputs * machine.output_bits).all()
    pd.testing.assert_frame_equal(trace, systolic.Systolic(machine).simulate(table))
    alone = pd.concat([systolic.Systolic(machine).simulate(table.iloc[[i]]) for i in range(len(table))])
    pd.testing.assert_frame_equal(trace, alone)  # layers do not influence each other: totals are sums over layers


@given(rows=st.lists(kernels, min_size=1, max_size=5), machine=machines, factor=st.floats(1, 50))
@settings(max_examples=40, deadline=None)
def test_more_bandwidth_or_memory_is_never_slower(rows, machine, factor):
    table = kernel_table(rows)
    before = systolic.Systolic(machine).cycles(table)
    assert (systolic.Systolic(replace(machine, bandwidth=machine.bandwidth * factor)).cycles(table) <= before).all()
    for tensor in systolic.TENSORS:
        sram = machine.sram | {tensor: machine.sram[tensor] * factor}
        assert (systolic.Systolic(replace(machine, sram=sram)).cycles(table) <= before).all(), tensor


@given(rows=st.lists(kernels, min_size=1, max_size=5), machine=machines, operand=st.sampled_from(["act", "weight"]))
@settings(max_examples=60, deadline=None)
def test_fewer_bits_never_cost_cycles(rows, machine, operand):
    table = kernel_table(rows)
    fewer = table.assign(**{f"{operand}_bits": np.maximum(table[f"{operand}_bits"] - 1, 1)})
    assert (systolic.Systolic(machine).cycles(fewer) <= systolic.Systolic(machine).cycles(table)).all()


@given(rows=st.lists(kernels, min_size=1, max_size=5), machine=machines, operand=st.sampled_from(["act", "weight"]))
@settings(max_examples=60, deadline=None)
def test_fewer_bits_never_move_more_under_any_schedule(rows, machine, operand):
    table = kernel_table(rows)
    fewer = table.assign(**{f"{operand}_bits": np.maximum(table[f"{operand}_bits"] - 1, 1)})
    schedules = systolic.SCHEDULES[machine.dataflows[0]]
    for wide, narrow in zip(
        *(schedules(systolic._products(t, machine)[0], machine) for t in (table, fewer)), strict=True
    ):
        for column in [name for name in wide if name.endswith("_bits")]:
            assert (narrow[column] <= wide[column]).all(), column


def test_groups_run_one_after_another():
    whole = kernel_table([conv(channels=32, filters=48, groups=4), conv(channels=16, filters=16, groups=16)])
    single = kernel_table([conv(channels=8, filters=12), conv(channels=1, filters=1)])
    a, b = (systolic.Systolic(array()).simulate(t) for t in (whole, single))
    np.testing.assert_array_equal(a["compute_cycles"], b["compute_cycles"] * [4, 16])
    np.testing.assert_array_equal(a["dram_bits"], b["dram_bits"] * [4, 16])
    np.testing.assert_allclose(a["energy_pj"], b["energy_pj"] * [4, 16])


def test_an_empty_table_costs_nothing():
    assert len(systolic.Systolic(array()).cycles(kernel_table([linear()]).iloc[:0])) == 0


def test_what_it_cannot_run_is_an_error():
    pool = {"kind": "max_pool2d", "in_h": 4, "in_w": 4, "kernel_h": 2, "kernel_w": 2, "layer": "pool1", "act_bits": 8}
    with pytest.raises(UsageError, match=r"layer 'pool1': kind is 'max_pool2d'; allowed: one of conv2d, linear"):
        systolic.Systolic(array()).cycles(kernel_table([pool]))
    with pytest.raises(UsageError, match="weight_bits is 16; allowed: 1 to 8"):
        systolic.Systolic(array()).cycles(kernel_table([linear(w=16)]))


def test_hardware_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="'host' is of kind 'cpu'"):
        systolic.Systolic(hardware.load("host"))
