"""Hierarchy of memories: Timeloop's dense designs to the last access, and what holds for every mapping."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.accelerators import hierarchy, timeloop
from mico_runner.accelerators.machine import Loop, Machine, Memory, Network
from mico_runner.errors import UsageError

MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
CONV1D = {"R": 3, "P": 16}
CONV1D_OC = {"K": 32, "R": 3, "P": 16}
STRIDED = {"C": 3, "M": 32, "P": 112, "Q": 112, "R": 3, "S": 3, "N": 1, "Wstride": 2, "Hstride": 2}
VGG = {"C": 128, "M": 256, "P": 56, "Q": 56, "R": 3, "S": 3, "N": 1}
DENSE = {  # every design of the mirror without sparsity, and its problem
    "00-model-conv1d-1level": CONV1D,
    "01-model-conv1d-2level__os": CONV1D,
    "01-model-conv1d-2level__ws": CONV1D,
    "02-model-conv1d+oc-2level__no-tiling": CONV1D_OC,
    "03-model-conv1d+oc-3level__bypass": CONV1D_OC,
    "03-model-conv1d+oc-3level__no-bypass": CONV1D_OC,
    "04-model-conv1d+oc-3levelspatial__cp": CONV1D_OC | {"C": 32},
    "05-mapper-conv1d+oc-3level__baked": CONV1D_OC,
    "05-mapper-conv1d+oc-3level__freebypass": CONV1D_OC,
    "05-mapper-conv1d+oc-3level__null": CONV1D_OC,
    "06-mapper-convlayer-eyeriss": VGG,
    "timeloop+accelergy__intmac": VGG,
    "eyeriss_like": STRIDED,
    "simple_output_stationary": STRIDED,
    "simple_weight_stationary": STRIDED,
    "sparse_tensor_core_like": {"K": 1, "M": 64, "N": 1},
    "sparseloop__01.2.1-DUDU-dot-product": {"M": 1, "K": 16},
}


@needs_mirror
@pytest.mark.parametrize("name", DENSE)
def test_timeloop_designs(name):
    design = timeloop.read(Path(MIRROR) / "accelerators" / "timeloop" / name, DENSE[name])
    cost = hierarchy.evaluate(design.nest, design.operands, design.machine)
    assert cost.cycles.tolist() == [design.cycles]
    assert cost.utilisation[0] == pytest.approx(design.utilisation, abs=5e-5)
    assert cost.fits[0]
    assert set(cost.accesses) == set(design.accesses)
    for place, printed in design.accesses.items():
        counted = {kind: int(getattr(cost.accesses[place], kind)[0]) for kind in printed}
        assert counted == printed, place
    assert cost.total_pj[0] == pytest.approx(design.energy_pj, rel=1e-4)


@needs_mirror
def test_eyeriss_reference_figures():
    design = timeloop.read(Path(MIRROR) / "accelerators" / "timeloop" / "eyeriss_like", STRIDED)
    cost = hierarchy.evaluate(design.nest, design.operands, design.machine)
    assert (cost.cycles[0], cost.utilisation[0]) == (86016, 0.75)
    assert cost.total_pj[0] * 1e-6 == pytest.approx(59.28, abs=0.005)


OPERANDS = timeloop.operands(VGG, ("Weights", "Inputs", "Outputs"))
ALL = tuple(operand.name for operand in OPERANDS)
bounds = st.lists(st.sampled_from([1, 2, 3, 4]), min_size=12, max_size=12)


def machine(read=np.inf, write=np.inf):
    return Machine(
        (
            Memory("DRAM", ALL, dict.fromkeys(ALL, 64.0), read_words=read, write_words=write),
            Memory("SRAM", ALL, dict.fromkeys(ALL, 2.0)),
            Memory("RF", ("Weights", "Outputs"), dict.fromkeys(ALL, 0.1)),
        ),
        macs=16,
        mac_pj=0.3,
    )


def nest(numbers, order):
    sizes = iter(numbers)
    levels = [[Loop(d, np.array([next(sizes)])) for d in order[i : i + 4]] for i in (0, 2, 1)]
    levels[1].append(Loop("M", np.array([4]), spatial=True))
    levels[1].append(Loop("C", np.array([4]), spatial=True))
    return levels


@settings(max_examples=100, deadline=None)
@given(bounds, st.permutations(["M", "C", "P", "Q", "R", "S"]), st.floats(0.1, 8))
def test_bounds_and_monotonicity(numbers, order, bandwidth):
    loops = nest(numbers, order)
    free = hierarchy.evaluate(loops, OPERANDS, machine())
    tight = hierarchy.evaluate(loops, OPERANDS, machine(bandwidth, bandwidth))
    wider = hierarchy.evaluate(loops, OPERANDS, machine(2 * bandwidth, bandwidth))
    assert free.cycles[0] == free.compute_cycles[0] <= wider.cycles[0] <= tight.cycles[0]
    moved = sum(tight.accesses["DRAM", name].reads[0] for name in ALL)
    assert tight.cycles[0] >= moved / bandwidth - 1e-6
    assert 0 < tight.utilisation[0] <= 1
    assert free.total_pj[0] == pytest.approx(sum(part[0] for part in free.energy_pj.values()))
    for operand in OPERANDS:
        inner, outer = free.accesses["SRAM", operand.name], free.accesses["DRAM", operand.name]
        passed_on = outer.updates if operand.written else outer.reads
        assert passed_on[0] >= inner.fills[0]  # one instance: what fills it was read, what came back was written first


@settings(max_examples=25, deadline=None)
@given(st.lists(bounds, min_size=2, max_size=5), st.permutations(["M", "C", "P", "Q", "R", "S"]))
def test_many_mappings_at_once_cost_what_each_costs(several, order):
    each = [hierarchy.evaluate(nest(numbers, order), OPERANDS, machine(1.0, 1.0)) for numbers in several]
    nests = [nest(numbers, order) for numbers in several]
    together = [
        [
            Loop(loop.dimension, np.concatenate([n[i][j].bound for n in nests]), loop.spatial)
            for j, loop in enumerate(level)
        ]
        for i, level in enumerate(nests[0])
    ]
    cost = hierarchy.evaluate(together, OPERANDS, machine(1.0, 1.0))
    assert cost.cycles.tolist() == [one.cycles[0] for one in each]
    np.testing.assert_allclose(cost.total_pj, [one.total_pj[0] for one in each], rtol=1e-12)


def row_stationary(**networks):
    """Four elements along P, three along R, each with a row of one 3 x 3 kernel; 8 filters one after another."""
    outer = [Loop("M", np.array([8])), Loop("Q", np.array([10]))]
    outer += [Loop("P", np.array([4]), spatial=True), Loop("R", np.array([3]), spatial=True)]
    nest = [outer, [Loop("S", np.array([3]))]]
    operands = timeloop.operands({"M": 8, "P": 4, "Q": 10, "R": 3, "S": 3}, ("Weights", "Inputs", "Outputs"))
    memories = (Memory("DRAM", ALL), Memory("RF", ALL, networks=networks))
    return hierarchy.evaluate(nest, operands, Machine(memories, macs=12))


def test_networks_are_counted():
    cost = row_stationary(
        Weights=Network(words=1, overlapped=False, element_pj=1.0), Inputs=Network(words=2, element_pj=1.0, shared=True)
    )
    assert cost.compute_cycles[0] == 8 * 10 * 3
    # Eight kernels of 9 words at one a cycle; after each the first 3 columns of 6 rows at two a cycle, 9 cycles.
    assert cost.load_cycles[0] == 8 * 9 + 8 * 9
    # An element takes 3 + 9 new words a row, 8 times; rows of neighbours overlap: 6 rows serve the 12 elements.
    assert cost.accesses["DRAM", "Inputs"].reads[0] == 8 * 6 * (3 + 9)
    assert cost.needed["RF network"][0] == 8 * 6 * 12 / 2
    assert cost.slowest[0] == "RF network" and cost.cycles[0] == 288 + 144
    # Each of 12 elements receives its kernel row and its input row 8 times; multicast counts at the receiver.
    assert cost.energy_pj["network"][0] == 12 * 8 * 3 + 12 * 8 * 12


def test_a_network_that_does_not_share_sends_every_window():
    cost = row_stationary(Inputs=Network(words=2))
    assert cost.accesses["DRAM", "Inputs"].reads[0] == 8 * 12 * (3 + 9)
    assert cost.load_cycles[0] == 0


def test_bad_machines_are_named():
    loops = nest([2] * 12, ["M", "C", "P", "Q", "R", "S"])
    good = machine()
    homeless = replace(good, memories=tuple(replace(m, keeps=("Weights", "Outputs")) for m in good.memories))
    with pytest.raises(UsageError, match="operand 'Inputs' has no home"):
        hierarchy.evaluate(loops, OPERANDS, homeless)
    with pytest.raises(UsageError, match="memory 'DRAM': read_words is 0; allowed: above 0"):
        hierarchy.evaluate(loops, OPERANDS, machine(read=0))
    with pytest.raises(UsageError, match="has 2 levels; allowed: 3"):
        hierarchy.evaluate(loops[:2], OPERANDS, good)


def test_tiles_that_do_not_fit_are_marked():
    loops = nest([2] * 12, ["M", "C", "P", "Q", "R", "S"])
    small = machine()
    small = replace(small, memories=(*small.memories[:2], replace(small.memories[2], size_words=1)))
    assert hierarchy.evaluate(loops, OPERANDS, machine()).fits.tolist() == [True]
    assert hierarchy.evaluate(loops, OPERANDS, small).fits.tolist() == [False]


def test_files_that_timeloop_did_not_write(tmp_path):
    (tmp_path / "map.txt").write_text("nothing\n", encoding="utf-8")
    (tmp_path / "stats.txt").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"map\.txt: found no level"):
        timeloop.read(tmp_path, {})
    (tmp_path / "map.txt").write_text("DRAM [ A:4 (4) ] \n| for K in [0:4,3)\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"map\.txt:2: loop K ends raggedly"):
        timeloop.read(tmp_path, {})
