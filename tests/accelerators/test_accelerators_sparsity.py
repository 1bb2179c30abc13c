"""Sparse operands: Sparseloop's published designs by uniform density, and what holds whatever the density is."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.accelerators import hierarchy, sparsity, timeloop
from mico_runner.accelerators.machine import Loop, Machine, Memory, Network
from mico_runner.accelerators.sparsity import Sparsity
from mico_runner.errors import UsageError

MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
DOT, SPMSPM = {"M": 1, "K": 16}, {"M": 8, "K": 8, "N": 8}
CONV3 = {
    "C": 256,
    "M": 384,
    "N": 4,
    "P": 13,
    "Q": 13,
    "R": 3,
    "S": 3,
}  # AlexNet's, which has 72.5 % zeros in its inputs
BACKING, BUFFER, GLB = "BackingStorage", "Buffer", "shared_glb"
PRODUCTS = Sparsity(
    {"A": 0.25, "B": 0.5},
    compressed=((BACKING, "A"), (BACKING, "B"), (BUFFER, "B")),
    skipped={(BACKING, "A"): ("B",), (BUFFER, "B"): ("A",), (BUFFER, "Z"): ("A", "B")},
    leaders=("A", "B"),
)
ACTIVATIONS = {"Inputs": 0.275, "Outputs": 0.403}
OFF_CHIP = (("DRAM", "Inputs"), ("DRAM", "Outputs"))
GATING = Sparsity(ACTIVATIONS, OFF_CHIP, gated={("weights_spad", "Weights"): ("Inputs",)}, leaders=("Inputs",))


def weights(density, compressed, *, outputs=True):
    """Compressed weights; inputs, and outputs where they are buffered, are touched for weights that are not zero."""
    skipped = {(BUFFER, "Inputs"): ("Weights",)} | ({(BUFFER, "Outputs"): ("Weights",)} if outputs else {})
    return Sparsity({"Weights": density}, tuple((m, "Weights") for m in compressed), skipped, leaders=("Weights",))


DESIGNS = {  # problem, what the design does with zeros, cycles printed / cycles here where they are not the same
    "01.2.2-SUDU-dot-product": (
        DOT,
        Sparsity({"A": 0.25}, gated={(BUFFER, "B"): ("A",), (BUFFER, "Z"): ("A",)}, leaders=("A",)),
        1,
    ),
    "01.2.3-SCDU-dot-product": (
        DOT,
        Sparsity(
            {"A": 0.25},
            compressed=((BUFFER, "A"),),
            skipped={(BUFFER, "B"): ("A",), (BUFFER, "Z"): ("A",)},
            leaders=("A",),
        ),
        1,
    ),
    "02.2.1-spMspM": (SPMSPM, PRODUCTS, 1),
    "02.2.2-spMspM-tiled": (SPMSPM, PRODUCTS, 1),
    "03.2.1-conv1d": ({"S": 3, "Q": 9}, weights(0.435, (BACKING, BUFFER)), 1),
    "03.2.2-conv1d+oc": ({"M": 16, "S": 3, "Q": 9}, weights(0.435, (BACKING,), outputs=False), 1),
    "03.2.3-conv1d+oc-spatial": ({"M": 16, "S": 3, "Q": 9}, weights(0.435, (BACKING,)), 1),
    "04.2.1-eyeriss-like-gating": (CONV3, GATING, 1),
    "04.2.2-eyeriss-like-gating-mapspace-search": (CONV3, GATING, 1),
    "04.2.3-eyeriss-like-onchip-compression": (
        CONV3,
        Sparsity(
            ACTIVATIONS,
            (*OFF_CHIP, (GLB, "Inputs"), ("ifmap_spad", "Inputs")),
            skipped={("weights_spad", "Weights"): ("Inputs",)},
            leaders=("Inputs",),
        ),
        1827229 / 1755436,  # the buffer's bandwidth also carries run lengths there
    ),
}


@needs_mirror
@pytest.mark.parametrize("name", DESIGNS)
def test_sparseloop_designs(name):
    problem, zeros, factor = DESIGNS[name]
    design = timeloop.read(Path(MIRROR) / "accelerators" / "timeloop" / f"sparseloop__{name}", problem)
    cost = sparsity.evaluate(design.nest, design.operands, design.machine, zeros)
    assert cost.fits[0]
    assert cost.cycles[0] * factor == pytest.approx(design.cycles, rel=1e-4, abs=0.5)
    assert set(cost.accesses) == set(design.accesses)
    for place, printed in design.accesses.items():
        for kind, words in printed.items():
            counted = int(getattr(cost.accesses[place], kind)[0])
            assert counted == pytest.approx(words, rel=1e-4, abs=1), (place, kind)
    one_each = sum(
        sum(memory.access_pj.values()) for memory in design.machine.memories
    )  # a few dozen accesses in all: each counts
    assert cost.total_pj[0] == pytest.approx(design.energy_pj, rel=0.01, abs=one_each)


NAMES = ("A", "B", "Z")
OPERANDS = timeloop.operands(SPMSPM, NAMES)


def machine(**changes):
    memories = (
        Memory(BACKING, NAMES, dict.fromkeys(NAMES, 2.0), shared_words=1.0),
        Memory(BUFFER, ("B", "Z"), dict.fromkeys(NAMES, 0.5), size_words=256, read_words=1.0, write_words=1.0),
    )
    return replace(Machine(memories, macs=1, mac_pj=0.3), **changes)


NEST = [[Loop("N", np.array([4]))], [Loop("K", np.array([8])), Loop("N", np.array([2])), Loop("M", np.array([8]))]]


def test_nothing_sparse_is_the_dense_count():
    dense = hierarchy.evaluate(NEST, OPERANDS, machine())
    cost = sparsity.evaluate(NEST, OPERANDS, machine(), replace(PRODUCTS, density={}))
    assert cost.cycles.tolist() == dense.cycles.tolist()
    assert cost.total_pj.tolist() == dense.total_pj.tolist()
    assert cost.utilisation.tolist() == dense.utilisation.tolist()


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.05, 1))
def test_more_zeros_never_cost_more(a, b, factor):
    more, fewer = (
        sparsity.evaluate(NEST, OPERANDS, machine(), replace(PRODUCTS, density={"A": a * f, "B": b}))
        for f in (factor, 1.0)
    )
    assert more.cycles[0] <= fewer.cycles[0]
    assert more.total_pj[0] <= fewer.total_pj[0]
    assert more.fits[0] >= fewer.fits[0]


def test_gating_saves_energy_and_no_time():
    skipping = PRODUCTS
    gating = replace(PRODUCTS, skipped={}, gated=PRODUCTS.skipped)
    saved, kept = (sparsity.evaluate(NEST, OPERANDS, machine(), zeros) for zeros in (skipping, gating))
    assert saved.total_pj.tolist() == kept.total_pj.tolist()
    assert saved.cycles[0] < kept.cycles[0]


def test_what_cannot_be_is_named():
    def run(zeros, **changes):
        sparsity.evaluate(NEST, OPERANDS, machine(**changes), zeros)

    with pytest.raises(UsageError, match="density of A: found 0; allowed: above 0, at most 1"):
        run(Sparsity({"A": 0}))
    with pytest.raises(UsageError, match="sparsity names A in Buffer, which does not keep it"):
        run(Sparsity({"A": 0.5}, compressed=((BUFFER, "A"),)))
    with pytest.raises(UsageError, match="sparsity names operand 'C'; allowed: A, B, Z"):
        run(Sparsity({"A": 0.5}, leaders=("C",)))
    fed = (machine().memories[0], replace(machine().memories[1], networks={"B": Network()}))
    with pytest.raises(UsageError, match="allowed: a machine without networks"):
        run(Sparsity({"A": 0.5}), memories=fed)
