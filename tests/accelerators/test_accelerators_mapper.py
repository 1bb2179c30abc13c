"""Mapper: the optimum where the space is seen whole, within its budget elsewhere, and what it refuses."""

from itertools import product
from math import ceil

import numpy as np
import pytest

from mico_runner.accelerators import hierarchy, mapper, timeloop
from mico_runner.accelerators.machine import Loop, Machine, Memory
from mico_runner.accelerators.mapper import Budget, Space, Workload
from mico_runner.errors import UsageError

NAMES = ("Weights", "Inputs", "Outputs")
PJ = {"DRAM": dict.fromkeys(NAMES, 64.0), "SRAM": dict.fromkeys(NAMES, 2.0), "RF": dict.fromkeys(NAMES, 0.1)}
SMALL = {"K": 4, "C": 6, "P": 4, "R": 3}


def small_machine(rf_words=16, dram_words=2.0):
    memories = (
        Memory("DRAM", NAMES, PJ["DRAM"], shared_words=dram_words),
        Memory("RF", NAMES, PJ["RF"], size_words=rf_words),
    )
    return Machine(memories, macs=2, mac_pj=0.3)


def work(layer=SMALL):
    return Workload(layer, timeloop.operands(layer, NAMES))


def run(objective="edp", rf_words=16, dram_words=2.0):
    return mapper.search(work(), small_machine(rf_words, dram_words), Space({"K": 2}), objective)


def test_a_space_seen_whole_gives_its_optimum():
    operands, machine = timeloop.operands(SMALL, NAMES), small_machine()
    found = run("energy")
    assert (
        found.seen == found.space == 2 * 4 * 3 * 2 * 3
    )  # splits of K/2, C, P, R over two levels; one order per operand
    cheapest = np.inf
    for order in (["K", "C", "P", "R"], ["P", "R", "C", "K"], ["C", "R", "P", "K"], ["K", "P", "C", "R"]):
        for k, c, p, r in product((1, 2), (1, 2, 3, 6), (1, 2, 4), (1, 3)):
            inner = {"K": k, "C": c, "P": p, "R": r}
            outer = {"K": 2 // k, "C": 6 // c, "P": 4 // p, "R": 3 // r}
            nest = [
                [Loop(d, np.array([outer[d]])) for d in order] + [Loop("K", np.array([2]), spatial=True)],
                [Loop(d, np.array([inner[d]])) for d in order],
            ]
            cost = hierarchy.evaluate(nest, operands, machine)
            cheapest = min(cheapest, cost.total_pj[0] if cost.fits[0] else np.inf)
    assert found.energy_pj <= cheapest


def test_the_mapping_costs_what_the_search_says():
    found = run("edp")
    cost = hierarchy.evaluate(found.nest, timeloop.operands(SMALL, NAMES), small_machine())
    assert (int(cost.cycles[0]), float(cost.total_pj[0])) == (found.cycles, found.energy_pj)
    assert cost.fits[0]


def test_more_memory_or_bandwidth_never_hurts_and_nothing_beats_the_bound():
    cycles = [run("cycles", rf_words=words).cycles for words in (8, 16, 64, 512)]
    assert cycles == sorted(cycles, reverse=True)
    cycles = [run("cycles", dram_words=words).cycles for words in (0.25, 1.0, 4.0, 64.0)]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[-1] == ceil(4 * 6 * 4 * 3 / 2)


@pytest.mark.parametrize("objective", mapper.OBJECTIVES)
def test_the_best_of_several_unrollings_is_the_best_of_each(objective):
    machine = small_machine()
    ways = [{}, {"K": 2}, {"C": 2}, {"P": 2}, {"R": 2}]  # R is 3: two turns, one of six steps is padding
    together = mapper.search(work(), machine, Space(ways), objective)
    each = [mapper.search(work(), machine, Space([way]), objective) for way in ways]
    assert together.seen == together.space == sum(one.space for one in each)
    scores = {
        "cycles": [(one.cycles, one.energy_pj) for one in (together, *each)],
        "energy": [(one.energy_pj, one.cycles) for one in (together, *each)],
        "edp": [(one.cycles * one.energy_pj, one.energy_pj) for one in (together, *each)],
    }[objective]
    assert scores[0] == min(scores[1:])


def test_padding_takes_steps_and_no_product_energy():
    operands, machine = timeloop.operands(SMALL, NAMES), small_machine(rf_words=512)
    padded = mapper.search(work(), machine, Space([{"R": 2}]), "cycles")
    cost = hierarchy.evaluate(padded.nest, operands, machine, products=4 * 6 * 4 * 3)
    assert cost.compute_cycles[0] == 4 * 6 * 4 * 2
    assert cost.energy_pj["mac"][0] == pytest.approx(4 * 6 * 4 * 3 * 0.3)


def test_a_budget_ends_the_search_and_the_result_repeats():
    layer = {"K": 64, "C": 64, "P": 56, "Q": 56, "R": 3, "S": 3}
    space, budget = Space({"K": 32, "C": 32}), Budget(mappings=900)
    first, again = (mapper.search(work(layer), tpu_like(), space, budget=budget) for _ in range(2))
    assert first.seen <= 900 < first.space
    assert (first.cycles, first.energy_pj) == (again.cycles, again.energy_pj)


def test_what_it_cannot_do_is_named():
    with pytest.raises(
        UsageError, match=r"no valid mapping among the \d+ of \d+ seen: RF has 2 words, the smallest tiles take 3"
    ):
        run(rf_words=2)
    with pytest.raises(UsageError, match="objective is 'speed'; allowed: cycles, energy, edp"):
        run("speed")
    with pytest.raises(UsageError, match="spatial dimension 'Q'; allowed: K, C, P, R"):
        mapper.search(work(), small_machine(), Space({"Q": 2}))
    with pytest.raises(UsageError, match="8 multipliers side by side; allowed: 2"):
        mapper.search(work(), small_machine(), Space({"K": 4, "C": 2}))


def tpu_like(dram_words=8.0):
    """ZigZag's tpu_like.yaml as peer_results.csv states it: 64 bits of DRAM per cycle, 2 MB for inputs and outputs."""
    memories = (
        Memory("DRAM", NAMES, PJ["DRAM"], shared_words=dram_words),
        Memory("SRAM", ("Inputs", "Outputs"), PJ["SRAM"], size_words=2 << 20),
        Memory("RF", ("Weights", "Outputs"), PJ["RF"], size_words=130),
    )
    return Machine(memories, macs=1024, mac_pj=0.3)
