"""Arrays behind a hierarchy of memories: every figure adds up, bounds hold, better hardware and fewer bits never cost more."""

from dataclasses import replace
from math import ceil, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import hardware
from mico_runner.accelerators import hierarchy, spatial
from mico_runner.accelerators.dataflow import DATAFLOWS, unrollings
from mico_runner.codesign.bounds import least_cycles, least_energy
from mico_runner.errors import UsageError
from mico_runner.hardware.architecture_schema import MAC_KINDS, OBJECTIVES, OPERANDS
from mico_runner.kernel_table import kernel_table

NAMES = [name for name in hardware.names() if hardware.load(name).kind == "spatial"]
CONV = {"kind": "conv2d", "in_channels": 12, "out_channels": 20, "in_h": 16, "in_w": 16, "kernel_h": 3, "kernel_w": 3}
LAYERS = {
    "convolution": CONV,
    "strided": CONV | {"in_h": 17, "in_w": 17, "stride": 2, "batch": 2},
    "pointwise": CONV | {"kernel_h": 1, "kernel_w": 1},
    "depthwise": CONV | {"out_channels": 12, "groups": 12},
    "grouped": CONV | {"groups": 4},
    "linear": {"kind": "linear", "in_channels": 100, "out_channels": 30},
    "attention": {"kind": "linear", "batch": 17, "in_channels": 4 * 16, "out_channels": 4 * 17, "groups": 4},
}


def table(*names, act_bits=8, weight_bits=8):
    chosen = [LAYERS[name] | {"layer": name} for name in names or LAYERS]
    return kernel_table([layer | {"act_bits": act_bits, "weight_bits": weight_bits} for layer in chosen])


def array(name="tpu-like", mappings=600, **changes):
    return replace(hardware.load(name).architecture, mappings=mappings, **changes)


def cost(found, objective):
    return {"cycles": found.cycles, "energy": found.energy_pj, "edp": found.cycles * found.energy_pj}[objective]


def score(kind, one, objective=None):
    """What the best mapping of a layer costs, by what the array minimises or by another measure."""
    return cost(spatial.best(spatial.layer_of(next(table(kind).itertuples())), one), objective or one.objective)


def outer(one, **changes):
    return replace(one, stores=(replace(one.stores[0], **changes), *one.stores[1:]))


@pytest.mark.parametrize("name", NAMES)
def test_the_trace_adds_up_and_nothing_beats_a_bound(name):
    one = array(name, mappings=5000)
    rows, trace = table(), spatial.Spatial(one).simulate(table())
    assert (trace["cycles"] == trace["compute_cycles"] + trace["load_cycles"] + trace["stall_cycles"]).all()
    busy = trace[[column for column in trace if column.endswith("_busy")]].max(axis=1)
    longest = np.maximum(trace["compute_cycles"], np.ceil(busy - 1e-9))
    assert (trace["stall_cycles"] == longest - trace["compute_cycles"]).all()
    assert ((trace["limit"] == "mac") == (trace["stall_cycles"] == 0)).all()
    parts = [f"{store.name}_pj" for store in one.stores] + ["mac_pj"]
    parts += ["network_pj"] if "network_pj" in trace else []
    np.testing.assert_allclose(trace["energy_pj"], trace[parts].sum(axis=1), rtol=1e-12)
    assert set(parts) | {"energy_pj"} == {column for column in trace if column.endswith("_pj")}
    traffic = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
    assert (trace["dram_bits"] == trace[traffic].sum(axis=1)).all()
    lanes = [spatial.machine(one, spatial.layer_of(row)).lanes for row in rows.itertuples()]
    assert (trace["compute_cycles"] >= rows["macs"] / (one.rows * one.columns * np.array(lanes))).all()
    assert (trace["cycles"] >= trace["dram_bits"] / one.stores[0].shared - 1).all()
    for store in one.stores[1:]:
        if store.per_element:
            continue
        for way, speed in (("read", store.read), ("write", store.write)):
            moved = trace[[f"{store.name}_{kept}_{way}_bits" for kept in store.keeps]].sum(axis=1)
            assert (trace["cycles"] >= moved / speed - 1).all()
    # Whatever the mapping, each weight and each used input comes in once at least, each output leaves once.
    assert (trace["weight_read_bits"] >= 8 * rows["macs"] / (rows["batch"] * rows["out_h"] * rows["out_w"])).all()
    outputs = rows["batch"] * rows["out_h"] * rows["out_w"] * rows["out_channels"]
    assert (trace["output_write_bits"] >= one.output_bits * outputs).all()
    assert (trace["utilisation"] <= 1).all() and (trace["mappings_seen"] <= trace["mappings"]).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_energy_of_a_memory_is_its_traffic_times_its_price(kind):
    one = array()
    row = spatial.Spatial(one).simulate(table(kind)).iloc[0]
    for store in one.stores[1:]:
        read, write = (sum(row[f"{store.name}_{kept}_{way}_bits"] for kept in store.keeps) for way in ("read", "write"))
        assert row[f"{store.name}_pj"] == pytest.approx(read * store.read_pj + write * store.write_pj, rel=1e-3)
    read = row["weight_read_bits"] + row["act_read_bits"] + row["output_read_bits"]
    dram = one.stores[0]
    assert row["dram_pj"] == pytest.approx(read * dram.read_pj + row["output_write_bits"] * dram.write_pj, rel=1e-3)
    assert row["mac_pj"] == pytest.approx(table(kind)["macs"][0] * one.mac_pj)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(sorted(LAYERS)),
    st.floats(0.5, 64),
    st.floats(1, 8),
    st.integers(0, 4),
    st.sampled_from(["size", "read", "write", "shared"]),
    st.sampled_from(OBJECTIVES),
)
def test_more_bandwidth_or_memory_never_costs_more(name, kind, dram, factor, at, what, objective):
    """Of what is minimised; the access energies stay the same."""
    small = outer(array(name, objective=objective), shared=dram)
    at %= len(small.stores)
    better = replace(small.stores[at], **{what: factor * getattr(small.stores[at], what)})
    large = replace(small, stores=(*small.stores[:at], better, *small.stores[at + 1 :]))
    assert score(kind, large) <= score(kind, small) * (1 + 1e-12)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", NAMES)
def test_each_objective_finds_the_least_of_its_own(name, kind):
    """All three see the same mappings."""
    arrays = {objective: array(name, objective=objective) for objective in OBJECTIVES}
    for objective, one in arrays.items():
        least = score(kind, one)
        assert least <= min(score(kind, other, objective) for other in arrays.values()) * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(MAC_KINDS),
    st.sampled_from(sorted(DATAFLOWS)),
    st.sampled_from(sorted(LAYERS)),
    st.tuples(*[st.integers(1, 8)] * 2),
    st.sampled_from(OBJECTIVES),
)
def test_no_mapping_beats_the_bounds(name, mac_kind, flow, layer, bits, objective):
    one = array(name, mac_kind=mac_kind, dataflow=flow, objective=objective)
    shape = spatial.layer_of(next(table(layer, act_bits=bits[0], weight_bits=bits[1]).itertuples()))
    best = spatial.best(shape, one)
    size = np.array([one.rows]), np.array([one.columns])
    assert best.cycles >= least_cycles(shape, one, *size)[0]
    assert best.energy_pj >= least_energy(shape, one, *size)[0] * (1 - 1e-12)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(MAC_KINDS),
    st.sampled_from(sorted(LAYERS)),
    st.sampled_from(OBJECTIVES),
    st.tuples(*[st.integers(1, 8)] * 2),
    st.tuples(*[st.integers(0, 7)] * 2),
)
def test_fewer_bits_never_move_more_nor_cost_more(name, kind, layer, objective, wide, less):
    """Under one mapping every memory moves less; of the mappings seen the best one costs less, though it may be another one."""
    narrow = tuple(max(1, bits - fewer) for bits, fewer in zip(wide, less, strict=True))
    one = array(name, mac_kind=kind, objective=objective)
    wide_row, narrow_row = (next(table(layer, act_bits=a, weight_bits=w).itertuples()) for a, w in (wide, narrow))
    best = spatial.best(spatial.layer_of(wide_row), one)
    costs = []
    for row in (wide_row, narrow_row):
        shape = spatial.layer_of(row)
        costs.append(hierarchy.evaluate(best.nest, shape.operands, spatial.machine(one, shape), row.macs))
    for place, (read, write) in costs[0].words.items():
        assert costs[1].words[place][0] <= read and costs[1].words[place][1] <= write
    assert costs[1].fits[0] and costs[1].cycles[0] <= costs[0].cycles[0]
    narrow_best = spatial.best(spatial.layer_of(narrow_row), one)
    assert cost(narrow_best, objective) <= cost(best, objective) * (1 + 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_independent_and_results_repeat(name):
    one = array(name)
    together = spatial.Spatial(one).simulate(table())
    spatial.best.cache_clear()
    alone = [spatial.Spatial(one).simulate(table(kind)) for kind in LAYERS]
    assert together["energy_pj"].tolist() == [trace["energy_pj"].iloc[0] for trace in alone]
    assert together["mapping"].tolist() == [trace["mapping"].iloc[0] for trace in alone]
    assert together["energy_pj"].sum() == pytest.approx(sum(trace["energy_pj"].sum() for trace in alone), rel=1e-12)


def test_multipliers_scale_with_bits():
    wide, narrow = (table("convolution", act_bits=bits, weight_bits=bits) for bits in (8, 2))
    free = outer(array("nvdla-like", objective="cycles", mappings=20_000), shared=inf)
    compute = {}
    for kind in MAC_KINDS:
        compute[kind] = [spatial.Spatial(replace(free, mac_kind=kind)).simulate(t).iloc[0] for t in (wide, narrow)]
    assert compute["bit_parallel"][0].compute_cycles == compute["bit_parallel"][1].compute_cycles
    assert compute["bit_parallel"][0].mac_pj == compute["bit_parallel"][1].mac_pj
    assert compute["bit_serial"][0].mac_pj == 4 * compute["bit_serial"][1].mac_pj
    assert compute["bit_serial"][1].compute_cycles % 2 == 0
    assert compute["fused"][0].mac_pj == 16 * compute["fused"][1].mac_pj
    assert compute["fused"][1].cycles < compute["fused"][0].cycles


@pytest.mark.parametrize("flow", DATAFLOWS)
def test_dataflows_keep_what_they_promise(flow):
    one = array("nvdla-like", mappings=2000, dataflow=flow)
    for row in table().itertuples():
        nest = spatial.best(spatial.layer_of(row), one).nest
        around, inside = nest[1], nest[2]
        turning = [loop.dimension for loop in around if not loop.spatial]
        if DATAFLOWS[flow].stationary:  # what does not index it turns innermost
            stays = next(o for o in spatial.layer_of(row).operands if o.name == DATAFLOWS[flow].stationary)
            indexed = [stays.indexed_by(d) for d in turning]
            assert indexed == sorted(indexed, reverse=True)
        if flow == "output_stationary":
            assert not {"C", "R", "S"} & {loop.dimension for loop in nest[0]}
        if flow == "row_stationary":
            assert "S" not in turning and "Q" not in [loop.dimension for loop in nest[0] + inside]


def test_an_empty_table_has_the_columns():
    full = spatial.Spatial(array()).simulate(table("linear"))
    empty = spatial.Spatial(array()).simulate(table("linear").iloc[:0])
    assert list(empty) == list(full) and len(empty) == 0


def test_what_cannot_run_is_named():
    one = array("eyeriss")
    tall = kernel_table([CONV | {"layer": "tall", "kernel_h": 13, "act_bits": 8, "weight_bits": 8}])
    with pytest.raises(
        UsageError,
        match=r"layer 'tall': row_stationary: .* R lies along the array.s rows whole; found 13, allowed: at most 12",
    ):
        spatial.Spatial(one).simulate(tall)
    wide = kernel_table([CONV | {"layer": "wide", "kernel_w": 13, "act_bits": 16, "weight_bits": 16}])
    with pytest.raises(
        UsageError,
        match=r"layer 'wide': row_stationary: no valid mapping among .*: input_spad has 192 bits, the smallest tiles take 208",
    ):
        spatial.Spatial(one).simulate(wide)
    with pytest.raises(UsageError, match="row 0: kind is 'add'; allowed: one of conv2d, linear"):
        spatial.Spatial(one).simulate(kernel_table([{"kind": "add"}]))
    with pytest.raises(UsageError, match="row 0: act_bits is 17; allowed: 1 to 16"):
        spatial.Spatial(one).simulate(kernel_table([CONV | {"act_bits": 17, "weight_bits": 8}]))
    with pytest.raises(UsageError, match="'bitfusion' is of kind 'bitfusion'; an array needs kind 'spatial'"):
        spatial.Spatial(hardware.load("bitfusion")).simulate(table())


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(sorted(DATAFLOWS)),
    st.lists(st.integers(1, 9), min_size=8, max_size=8),
    st.integers(3, 8),
    st.integers(2, 8),
)
def test_unrollings_fit_the_array_and_come_best_first(name, sizes, rows, columns):
    dimensions = dict(zip(spatial.DIMENSIONS, sizes, strict=True))
    dimensions["R"] = min(dimensions["R"], rows)
    ways = unrollings(dimensions, DATAFLOWS[name], rows, columns)
    steps = [np.prod([ceil(n / side.get(d, 1)) for d, n in dimensions.items()]) for side in ways.best]
    assert ways.best and steps == sorted(steps)
    assert ways.temporal.prod(axis=1).tolist()[: len(steps)] == steps
    for side in ways.best:
        assert np.prod(list(side.values()), dtype=int) <= rows * columns
        assert set(side) <= {*DATAFLOWS[name].rows, *DATAFLOWS[name].columns}
    if name == "row_stationary":
        assert all(side.get("R", 1) == dimensions["R"] for side in ways.best)


def test_operands_are_named_as_the_architecture_names_them():
    assert tuple(o.name for o in spatial.layer_of(next(table("linear").itertuples())).operands) == OPERANDS


@pytest.mark.parametrize("objective", ["cycles", "energy"])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_never_costs_more_than_its_samples(name, objective):
    """600 mappings miss the good ones of a batch (1.9 times the cycles on eyeriss); one sample after another is always seen."""
    one = array(name, mappings=600, objective=objective)
    layer = CONV | {"in_channels": 64, "out_channels": 64, "in_h": 64, "in_w": 64, "kernel_h": 1, "kernel_w": 1}
    rows = kernel_table([layer | {"batch": n, "act_bits": 8, "weight_bits": 8} for n in (1, 16)])
    alone, together = (cost(spatial.best(spatial.layer_of(row), one), objective) for row in rows.itertuples())
    assert together <= 16 * alone
