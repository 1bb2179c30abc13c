"""The policy says which kernel each layer gets, and why: it is the one that the program calls."""

from __future__ import annotations

import numpy as np
import pytest
from codegen_graphs import Network
from test_codegen_differential import special_networks

from mico_runner import codegen
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UnknownName
from mico_runner.quant.qgraph import QGraph, QType

POLICIES = {
    "plain": KernelPolicy(),
    "host": KernelPolicy.of("host"),
    "baremetal": KernelPolicy.of("baremetal"),
    "tables": KernelPolicy.of("baremetal", scratch="tables"),
    "dot": KernelPolicy.of("baremetal", "fullcfu-dot"),
}


def network(weight_bits: float) -> QGraph:
    """A dense layer, one of groups, a depthwise one, a linear one of few outputs."""
    byte = {"to": QType(8, False, 0.5)}
    net = Network(np.random.default_rng(0), (4, 6, 6))
    y = net.conv("x", 8, (3, 3), weight_bits, **byte)
    y = net.conv(y, 8, (1, 1), weight_bits, groups=2, **byte)
    y = net.conv(y, 8, (3, 3), weight_bits, groups=8, **byte)
    return net.done(net.linear(net.reshape(y, None), 3, weight_bits))


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_the_kernel_that_is_chosen_is_called(policy):
    for graph in [network(bits) for bits in (1, 3, 8)] + special_networks(np.random.default_rng(0)):
        program = lower(graph, policy)
        functions = [call.function for call in program.calls if call.weights]
        chosen = [choice.candidates[0].kernel for choice in program.choices]
        assert [f.startswith(f"mico_{c}") for f, c in zip(functions, chosen, strict=True)] == [True] * len(chosen)
        for choice in program.choices:
            plain = choice.candidates[-1]
            assert plain.kernel in ("conv2d", "linear") and plain.cycles is None and choice.reason
            cycles = [c.cycles for c in choice.candidates if c.cycles is not None]
            assert cycles == sorted(cycles)


@pytest.mark.parametrize(
    ("policy", "bits", "kernels", "reasons"),
    [
        ("plain", 8, "conv2d conv2d depthwise linear", ["the program has no other kernels"]),
        ("host", 3, "conv2d_simd conv2d depthwise_simd conv2d_simd", ["wide registers", "groups of several channels"]),
        ("baremetal", 8, "conv2d_bytes_8x8 conv2d depthwise linear", ["fewest estimated cycles"]),
        ("dot", 8, "conv2d_dot conv2d depthwise conv2d_dot", ["the dot-product unit"]),
        (
            "dot",
            3,
            "conv2d_bytes_8x3 conv2d depthwise linear",
            ["fewest estimated cycles; not by the dot-product unit: no operands of 3 bits"],
        ),
    ],
)
def test_it_says_why(policy, bits, kernels, reasons):
    rows = [choice.row() for choice in lower(network(bits), POLICIES[policy]).choices]
    assert [row.kernel for row in rows] == kernels.split()
    assert [row.reason for row in rows][: len(reasons)] == reasons
    if policy == "baremetal":
        assert rows[-1].reason == "not tiled: fewer than 4 outputs"


def test_the_fastest_micro_kernel_comes_first_and_tables_only_where_they_may():
    byte = QType(8, False, 1.0)
    found = {
        name: [k.FAMILY for k, _ in POLICIES[name].micro_kernels(1, byte, 576, 64, 64, single=False)]
        for name in ("baremetal", "tables")
    }
    assert found["tables"][0] == "tables" and "tables" not in found["baremetal"]
    alone = POLICIES["baremetal"].micro_kernels(1, byte, 576, 64, 64, single=True)
    assert [k.FAMILY for k, _ in alone] == found["tables"]


@pytest.mark.parametrize("bits", [1, 2])
def test_a_row_of_one_tap_has_no_tables(bits):
    families = [
        {k.FAMILY for k, _ in POLICIES["tables"].micro_kernels(bits, QType(8, False, 1.0), taps, 64, 64, single=True)}
        for taps in (1, 2)
    ]
    assert families == [{"lanes16"}, {"lanes16", "tables"}]


def test_a_network_has_a_row_for_each_weighted_layer(tmp_path):
    result = codegen.generate(network(8), tmp_path, runtime="baremetal")
    assert [row.layer for row in result.kernels] == [n.name for n in network(8).nodes if n.weight_bits]
    assert result.kernels[0].estimated_cycles > 0 and "bytes_8x8 (" in result.kernels[0].candidates


def test_names_that_do_not_exist_are_said():
    with pytest.raises(UnknownName, match="codegen runtime"):
        KernelPolicy.of("arduino")
    with pytest.raises(UnknownName, match="codegen scratch"):
        KernelPolicy.of("baremetal", scratch="lots")
