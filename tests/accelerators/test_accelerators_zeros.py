"""Sparse operands in a device profile: what density saves in the mapping that the mapper finds, and what is refused."""

import copy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import hardware
from mico_runner.accelerators import spatial
from mico_runner.errors import UsageError
from mico_runner.kernel_table import kernel_table

NVDLA = Path(__file__).parents[2] / "hardware" / "nvdla-like.yaml"  # every memory keeps every operand
CONV = {"kind": "conv2d", "in_channels": 64, "out_channels": 32, "in_h": 10, "in_w": 10, "kernel_h": 3, "kernel_w": 3}
TABLE = kernel_table([CONV | {"layer": "conv", "act_bits": 8, "weight_bits": 8}])
EVERYWHERE = {"dram": ["weights"], "l2": ["weights"], "l1": ["weights"]}


def device(objective="cycles", **zeros):
    data = copy.deepcopy(hardware.read(NVDLA))
    data["architecture"] |= {"mappings": 2000, "objective": objective}
    for memory in data["architecture"]["memories"]:  # computing sets the cycles
        memory["bandwidth"] = {"shared": {"value": 1.0e6, "unit": "bits per cycle", "source": "test"}}
    if zeros:
        zeros["density"] = {k: {"value": v, "unit": "ratio", "source": "test"} for k, v in zeros["density"].items()}
        data["architecture"]["sparsity"] = zeros
    return hardware.load(data)


def trace(objective="cycles", **zeros):
    return spatial.Spatial(device(objective, **zeros)).simulate(TABLE).iloc[0]


def test_nothing_sparse_is_the_dense_result():
    assert trace(density={"weights": 1.0}).equals(trace())
    full = trace(density={"weights": 1.0}, compressed=EVERYWHERE, skips=["weights"], gates=["weights"])
    assert full.equals(trace())


def test_what_is_compressed_moves_less_and_computing_stays():
    zeros = {"density": {"weights": 0.25}, "compressed": {"dram": ["weights"]}}
    dense, sparse = trace("energy"), trace("energy", **zeros)
    assert sparse.weight_read_bits == dense.weight_read_bits / 4 >= 64 * 32 * 9 * 8 / 4
    assert sparse.act_read_bits == dense.act_read_bits and sparse.output_write_bits == dense.output_write_bits
    assert (sparse.compute_cycles, sparse.mac_pj) == (dense.compute_cycles, dense.mac_pj)


def test_zeros_that_are_skipped_take_no_time_and_those_that_are_gated_no_energy():
    zeros = {"density": {"weights": 0.25}, "compressed": EVERYWHERE}
    held, skipped = trace(**zeros), trace(**zeros, skips=["weights"])
    gated = trace(density={"inputs": 0.5}, gates=["inputs"])
    assert skipped.compute_cycles == pytest.approx(held.compute_cycles / 4, abs=1)
    assert skipped.mac_pj == pytest.approx(trace().mac_pj / 4)
    assert gated.cycles == trace().cycles and gated.mac_pj == pytest.approx(trace().mac_pj / 2)
    # Sums and weights are left alone where the input is zero; the input itself has to be looked at.
    assert gated.l1_weights_read_bits == pytest.approx(trace().l1_weights_read_bits / 2, rel=1e-3)
    assert gated.l1_inputs_read_bits == trace().l1_inputs_read_bits


@settings(max_examples=15, deadline=None)
@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.1, 1), st.sampled_from(["cycles", "energy", "edp"]))
def test_more_zeros_never_cost_more(weights, inputs, factor, objective):
    def cost(share):
        zeros = {"compressed": EVERYWHERE, "skips": ["weights"], "gates": ["inputs"]}
        one = device(objective, density={"weights": weights * share, "inputs": inputs}, **zeros).architecture
        best = spatial.best(spatial.layer_of(next(TABLE.itertuples())), one)
        return {"cycles": best.cycles, "energy": best.energy_pj, "edp": best.cycles * best.energy_pj}[objective]

    assert cost(factor) <= cost(1.0) * (1 + 1e-12)


@pytest.mark.parametrize("sums_inside", [True, False])
def test_hardly_anything_left_still_takes_a_cycle_and_no_negative_energy(sums_inside):
    data = hardware.read(NVDLA)
    density = {name: {"value": 0.01, "unit": "ratio", "source": "test"} for name in ("weights", "inputs")}
    everywhere = {memory: ["weights", "inputs"] for memory in EVERYWHERE}
    zeros = {"density": density, "compressed": everywhere, "skips": ["weights", "inputs"]}
    data["architecture"] |= {"mappings": 500, "sparsity": zeros}
    if not sums_inside:
        for memory in data["architecture"]["memories"][1:]:
            memory["keeps"] = ["weights", "inputs"]
    tiny = {"kind": "linear", "in_channels": 3, "out_channels": 2, "act_bits": 8, "weight_bits": 8}
    row = spatial.Spatial(hardware.load(data)).simulate(kernel_table([tiny])).iloc[0]
    assert row.cycles >= 1 and 0 < row.utilisation <= 1
    assert all(row[name] >= 0 for name in row.index if name.endswith("_pj"))


@pytest.mark.parametrize(
    ("zeros", "says"),
    [
        ({"density": {"weights": 0}}, "sparsity.density.weights.value: found 0; allowed: a number above 0, at most 1"),
        ({"density": {"outputs": 0.5}}, "sparsity.density.outputs: found 'outputs'; allowed: one of weights, inputs"),
        ({"density": {}}, "sparsity.density: found an empty mapping"),
        ({"density": {"weights": 0.5}, "compressed": {"l3": ["weights"]}}, "compressed.l3: unknown memory; allowed: dram, l2, l1"),
        ({"density": {"weights": 0.5}, "skips": ["inputs"]}, "skips[0]: found inputs; allowed: operands with a density: weights"),
        ({"density": {"weights": 0.5}, "skips": ["weights"]}, "skips[0]: found weights, whose zeros are read: l1 holds them"),
        ({"density": {"weights": 0.5}, "gates": ["outputs"]}, "gates[0]: found 'outputs'; allowed: one of weights, inputs"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(zeros, says):
    with pytest.raises(UsageError) as error:
        device(**zeros)
    for part in says.split("..."):
        assert part in str(error.value)


def test_networks_and_zeros_do_not_go_together():
    data = hardware.read(NVDLA.with_name("eyeriss.yaml"))
    data["architecture"]["sparsity"] = {
        "density": {"weights": {"value": 0.5, "unit": "ratio", "source": "test"}},
        "compressed": {"glb": ["weights"]},
    }
    with pytest.raises(UsageError) as error:
        hardware.load(data)
    assert "sparsity: found one beside networks, whose traffic is not scaled" in str(error.value)
    assert "compressed.glb[0]: found weights, which glb does not keep; allowed: inputs, outputs" in str(error.value)
