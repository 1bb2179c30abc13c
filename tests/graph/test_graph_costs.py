from math import prod

import pytest
import torch
from graph_networks import FIXED, Random, randomise
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mico_runner.errors import UsageError
from mico_runner.graph import capture, costs, kernel_rows, layer_table
from mico_runner.kernel_table import kernel_table


def graph_of(name):
    make, shape = FIXED[name]
    return capture(randomise(make(), 0), shape, name)


def flops(module, shape):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, *shape))
    return counter.get_total_flops()


@pytest.mark.parametrize("seed", range(12))
def test_macs_are_half_of_torchs_flops(seed):
    module = randomise(Random(seed), seed)
    graph = capture(module, module.input_shape, "net")
    assert 2 * layer_table(graph)["macs"].sum() == flops(module, module.input_shape)
    folded = {n.name for n in graph.weighted}
    wanted = sum(p.numel() for k, p in module.named_parameters() if k.endswith("weight") and k[:-7] in folded)
    assert sum(n.weight.size for n in graph.weighted) == wanted


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("batch", [1, 16])
def test_kernel_rows_agree_with_the_graph(name, batch):
    graph = graph_of(name)
    if name == "depthwise":
        with pytest.raises(UsageError, match=r"node '1.0': stride \(2, 1\)"):
            kernel_rows(graph, batch)
        return
    table = kernel_table(kernel_rows(graph, batch))
    nodes = {n.name: n for n in graph.nodes}
    assert list(table["layer"]) == [n.name for n in graph.nodes if n.op not in ("relu", "reshape", "concat")]
    for row in table.itertuples():
        node = nodes[row.layer]
        outputs = row.batch * row.out_h * row.out_w * row.out_channels
        assert outputs == batch * prod(graph.shapes[node.output])
        if "dilation" not in node.attrs or node.attrs["dilation"] == (1, 1):
            assert row.macs == batch * costs.macs(graph, node)


def test_rows_of_known_layers():
    rows = kernel_rows(graph_of("lenet"), batch=16)
    shared = {"layer": "0", "kind": "conv2d", "batch": 16, "in_channels": 1, "out_channels": 6, "groups": 1}
    assert rows[0] == shared | {"in_h": 32, "in_w": 32, "kernel_h": 5, "kernel_w": 5, "stride": 1}
    ones = {"groups": 1, "in_h": 1, "in_w": 1, "kernel_h": 1, "kernel_w": 1, "stride": 1}
    assert rows[-1] == ones | {"layer": "7", "kind": "linear", "batch": 16, "in_channels": 400, "out_channels": 10}
    (tokens, _) = kernel_rows(graph_of("tokens"), batch=3)
    assert tokens["batch"] == 21 and tokens["in_channels"] == 6 and tokens["out_channels"] == 8


def test_bytes_and_bops_by_hand():
    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 9, 2)), (3, 5, 5), "net")
    # conv rows: 27 weights; linear rows: 36 weights. 9 bytes of bias and scale for each of the 4 + 2 outputs.
    for bits, conv_words, linear_words in [(8, 7, 9), (4, 4, 5), (3, 3, 4), (1.5, 2, 3), (2, 2, 3), (1, 1, 2)]:
        assignment = {"0": (bits, 8), "2": (bits, 4)}
        assert costs.model_bytes(graph, assignment) == 4 * (4 * conv_words) + 2 * (4 * linear_words) + 6 * 9
        assert costs.bops(graph, assignment) == 9 * 4 * 27 * bits * 8 + 36 * 2 * bits * 4
        table = layer_table(graph, assignment)
        assert table["bytes"].sum() == costs.model_bytes(graph, assignment)
        assert table["bops"].sum() == costs.bops(graph, assignment)


@pytest.mark.parametrize("assignment", [{}, {"0": (8, 8)}, {"0": (8, 8), "2": (8, 8), "9": (8, 8)}])
def test_an_assignment_must_name_every_layer(assignment):
    graph = capture(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(9, 2)), (1, 5, 5), "net")
    for function in (costs.model_bytes, costs.bops):
        with pytest.raises(UsageError, match=r"layers: \['0', '2'\]"):
            function(graph, assignment)
