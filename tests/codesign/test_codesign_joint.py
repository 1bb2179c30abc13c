"""Bits and accelerator together: the optimum is that of brute force, bounds hold for every mapping, and the certificate says no more."""

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import yaml

from mico_runner import accelerators, cli, hardware
from mico_runner.accelerators import spatial
from mico_runner.codesign import bounds, joint, layer_costs, proofs
from mico_runner.codesign import designs as space
from mico_runner.codesign import product as products
from mico_runner.errors import UsageError
from mico_runner.hardware import sram
from mico_runner.kernel_table import kernel_table

LAYERS = [
    {"kind": "conv2d", "in_channels": 3, "out_channels": 8, "in_h": 10, "in_w": 10, "kernel_h": 3, "kernel_w": 3},
    {"kind": "conv2d", "in_channels": 8, "out_channels": 8, "in_h": 8, "in_w": 8, "groups": 8, "kernel_h": 3}
    | {"kernel_w": 3},
    {"kind": "linear", "in_channels": 72, "out_channels": 10},
    {"kind": "linear", "in_channels": 72, "out_channels": 10},
]
BITS = ((4, 4), (8, 4), (8, 8))
NOISE = np.array([9.0, 5.0, 1.0])
SYSTOLIC = {"parameters.rows": [4, 8, 16], "parameters.weight_sram_bytes": {"scale": [0.25, 1]}}
ARRAY = {
    "architecture.rows": [4, 32],
    "architecture.memories.l2.size": {"scale": [0.25, 1]},
    "architecture.mappings": [60],
}


def task(limit=20.0):
    return layer_costs.Task(
        kernel_table([row | {"act_bits": 8, "weight_bits": 8} for row in LAYERS]), BITS, NOISE, limit
    )


def designs(name, vary):
    return space.enumerate_designs(hardware.read(name), vary)


def brute(work, of, objective):
    """The least objective of all designs and bits, by simulating all."""
    best = np.inf
    layers = len(work.table)
    for number in range(len(of)):
        device = layer_costs.aimed(of.device(number), objective)
        rows = work.rows(np.repeat(np.arange(layers), len(BITS)), np.tile(np.arange(len(BITS)), layers))
        trace = accelerators.of(device).simulate(rows)
        cycles, energy = (trace[name].to_numpy(float).reshape(layers, -1) for name in layer_costs.COLUMNS)
        for pairs in product(range(len(BITS)), repeat=layers):
            if NOISE[list(pairs)].sum() <= work.limit:
                sums = [table[range(layers), pairs].sum() for table in (cycles, energy)]
                best = min(best, {"cycles": sums[0], "energy": sums[1], "edp": sums[0] * sums[1]}[objective])
    return best


@pytest.mark.parametrize(
    ("name", "vary", "objective"),
    [
        *(("gemmini-16x16", SYSTOLIC, objective) for objective in joint.OBJECTIVES),
        ("nvdla-like", ARRAY, "edp"),
        pytest.param("nvdla-like", ARRAY, "cycles", marks=pytest.mark.slow),
        pytest.param("nvdla-like", ARRAY, "energy", marks=pytest.mark.slow),
    ],
)
def test_the_optimum_is_that_of_brute_force(name, vary, objective):
    of, work = designs(name, vary), task()
    costs = layer_costs.Costs(work, of, objective)
    found = joint.search(costs)
    assert found.value == pytest.approx(brute(work, of, objective)) and found.open == 0
    assert found.bound <= found.value and (found.gap == 0 or not costs.exact)
    assert NOISE[found.pairs].sum() <= work.limit
    assert (joint.screened(costs) <= found.bounds * (1 + 1e-9)).all(), "the tight bound is above the quick one"


def test_a_search_that_ends_early_says_which_designs_are_open():
    costs = layer_costs.Costs(task(), designs("nvdla-like", ARRAY), "energy")
    found = joint.search(costs, most=1)
    assert found.open > 0 and found.gap > 0 and (found.status == joint.EVALUATED).sum() == 1
    assert found.bound <= joint.search(layer_costs.Costs(task(), costs.designs, "energy")).value


@pytest.mark.parametrize("name", ["nvdla-like", "tpu-like", "eyeriss"])
def test_no_mapping_beats_the_bounds_of_any_array(name):
    array = replace(hardware.load(name).architecture, mappings=300)
    rows, columns = np.array([3, 12, 32]), np.array([8, 14, 32])
    for row in task().rows(np.arange(3), np.array([2, 1, 0])).itertuples():
        layer = spatial.layer_of(row)
        cycles, energy = (least(layer, array, rows, columns) for least in (bounds.least_cycles, bounds.least_energy))
        for at in range(3):
            shaped = replace(array, rows=int(rows[at]), columns=int(columns[at]))
            for objective in ("cycles", "energy"):
                best = spatial.best(layer, replace(shaped, objective=objective))
                assert best.cycles >= cycles[at] and best.energy_pj >= energy[at] * (1 - 1e-12)


@pytest.mark.parametrize("name", ["nvdla-like", "tpu-like", "eyeriss"])
def test_where_the_whole_space_is_seen_its_best_is_not_below_the_bound_and_is_proven(name):
    array = replace(hardware.load(name).architecture, rows=4, columns=4)
    for shape in ((1, 1, 4, 3, 2, 3, 2, 1), (1, 2, 2, 1, 3, 3, 1, 3)):
        layer = spatial.Layer(*shape, 1, 8, 8)
        for objective, least in (("cycles", bounds.least_cycles), ("energy", bounds.least_energy)):
            proof = proofs.prove(layer, array, objective, [10, 400_000], gap=-1)
            low = least(layer, array, np.array([4]), np.array([4]))[0]
            assert proof.seen == proof.space and proof.gap == 0 and low <= proof.value * (1 + 1e-12)


def test_a_mapping_is_proven_by_its_bound_and_the_search_ends_there():
    array = hardware.load("nvdla-like").architecture
    layer = spatial.Layer(1, 1, 64, 64, 8, 8, 1, 1, 1, 8, 8)
    proof = proofs.prove(layer, array, "cycles", [20, 2000, 10**8])
    assert proof.gap == 0 and proof.seen <= 2000 < proof.space
    assert proofs.Proof(4.0, 3.0, 1, 9).gap == 0.25


def test_the_least_product_of_two_sums_is_that_of_brute_force():
    rng = np.random.default_rng(3)
    for _ in range(10):
        first, second = rng.integers(1, 60, (2, 4, 4)).astype(float)
        use = rng.integers(0, 9, (4, 4, 1)).astype(float)
        found = products.least(list(first), list(second), list(use), [16.0])
        every = np.array(list(product(range(4), repeat=4)))
        kept = every[use[range(4), every, 0].sum(axis=1) <= 16]
        if not len(kept):
            assert found is None
            continue
        sums = first[range(4), kept].sum(axis=1) * second[range(4), kept].sum(axis=1)
        assert found[1] == pytest.approx(sums.min())
        assert first[range(4), found[0]].sum() * second[range(4), found[0]].sum() == pytest.approx(found[1])


def test_designs_are_those_that_loading_them_one_by_one_gives():
    of = designs("eyeriss", {"architecture.memories.glb.size": [50, 100], "architecture.rows": [6, 12]})
    whole = hardware.read("eyeriss")
    assert [of.described(number)["architecture.rows"] for number in range(4)] == [6, 12, 6, 12]
    whole["architecture"]["memories"][1]["size"]["value"] = 50
    whole["architecture"]["rows"]["value"] = 12
    assert of.device(1).architecture == hardware.load(whole).architecture
    kept = space.within(of, hardware.load("eyeriss"), {"area": 0.9, "elements": 1.0, "memory": 1.0})
    areas = [hardware.area_of(of.device(number)).um2 for number in range(4)]
    assert list(kept) == [area <= 0.9 * hardware.area_of(hardware.load("eyeriss")).um2 for area in areas]


@pytest.mark.parametrize(
    ("vary", "limits", "says"),
    [
        ({"architecture.row": [4]}, {}, "codesign.vary.architecture.row: 'row' is not in the device; allowed: rows, "),
        ({"architecture.rows": [0]}, {}, "rows.value"),
        ({"architecture.dataflow": {"scale": [2]}}, {}, "dataflow is no number; allowed: a list of values"),
        ({"architecture.rows": [4]}, {"area": 1.0}, "codesign.limits.area: tpu-like states no area of mac, "),
    ],
)
def test_what_makes_no_design_is_said(vary, limits, says):
    with pytest.raises(UsageError) as error:
        space.within(designs("tpu-like", vary), hardware.load("tpu-like"), limits)
    assert says in str(error.value)


@pytest.mark.parametrize("by_size", [False, True])
def test_the_file_of_a_design_is_its_device(by_size):
    base = hardware.read("nvdla-like")
    every = space.enumerate_designs(base, ARRAY, by_size)
    for number in (0, len(every) - 1):
        read = hardware.load(space.profile(base, every.described(number), by_size)).architecture
        made = every.device(number).architecture
        assert (read.rows, read.columns) == (made.rows, made.columns)
        for one, other in zip(read.stores, made.stores, strict=True):
            assert one.size == other.size and one.read_pj == pytest.approx(other.read_pj)
    quarter, whole = (every.device(number).architecture.stores[1].read_pj for number in (0, len(every) - 1))
    assert quarter < whole if by_size else quarter == whole


def test_energy_follows_the_size_through_the_published_points():
    for bits, pj in sram.POINTS:
        assert sram.access_pj(bits) == pytest.approx(pj)
    sizes = np.geomspace(2**8, 2**30, 40)
    assert (np.diff([sram.access_pj(bits) for bits in sizes]) > 0).all()
    assert sram.relative_energy(4 * 2**16, 2**16) == pytest.approx(2)


def test_bounds_hold_where_energies_follow_sizes():
    work, of = task(), space.enumerate_designs(hardware.read("nvdla-like"), ARRAY, True)
    costs = layer_costs.Costs(work, of, "energy")
    found = joint.search(costs)
    assert found.value == pytest.approx(brute(work, of, "energy")) and found.bound <= found.value


def test_a_spec_runs_and_its_certificate_agrees(tmp_path, capsys):
    pytest.importorskip("torch")
    section = {
        "vary": {"parameters.rows": [8, 16]},
        "limits": {"elements": 1.0},
        "networks": {"lenet": {"input": [1, 28, 28], "classes": 10}},
        "bits": {"weight_bits": [4, 8], "activation_bits": [8], "noise_of": [4, 8]},
        "objectives": ["cycles", "edp"],
        "compare": ["random"],
        "evaluations": 100,
    }
    spec = {"spec_version": 1, "name": "both", "hardware": "gemmini-16x16", "codesign": section}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    assert cli.main(["run", str(path), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    step = tmp_path / "out/both/latest/steps/codesign"
    cases, layers = (pd.read_csv(step / name) for name in ("cases.csv", "layers.csv"))
    certificate = json.loads((step / "certificate.json").read_text())
    assert certificate == {"cases": 2, "open_designs": 0, "gap": 0.0}
    assert (cases[["separate_ratio", "random_ratio"]] >= 1 - 1e-12).all(axis=None)
    cycles = layers[layers["objective"] == "cycles"]
    assert cycles["cycles"].sum() == pytest.approx(cases["value"][0])
    best = hardware.load(step / "lenet-cycles.yaml")  # the design as a device of its own
    assert best.value("rows") == cases["parameters.rows"][0] and best.value("columns") == 16
    page = (tmp_path / "out/both/latest/report.html").read_text(encoding="utf-8")
    assert "designed together" in page and "Layers on the accelerator: lenet, cycles" in page
    section["vary"] = {"parameters.rows": {"scale": [0]}}
    path.write_text(yaml.safe_dump(spec))
    assert cli.main(["validate", str(path)]) == 2
    assert "found a mapping; allowed: a list of values, or a mapping of scale" in capsys.readouterr().err
    section["vary"], spec["hardware"] = {"parameters.rows": [8]}, "host"
    path.write_text(yaml.safe_dump(spec))
    assert cli.main(["validate", str(path)]) == 2
    assert "codesign.vary: needs a simulated accelerator; host is of kind cpu" in capsys.readouterr().err
