"""Which tensors get 16 bits, and what it is good for."""

import numpy as np
import pytest
import torch
from quant_networks import random_graph, random_images
from torch import nn

from mico_runner.graph import capture, run_float
from mico_runner.quant import PTQ, Executor, dequantize_output, quantize_input, reference
from mico_runner.quant.qgraph import LayerBits


class Tokens(nn.Module):
    """A residual stream: a first token of its own, small beside the patches, and two layers that add to what they read normed."""

    def __init__(self):
        super().__init__()
        self.patches, self.first = nn.Conv2d(2, 16, 4, 4), nn.Parameter(0.02 * torch.randn(1, 1, 16))
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(3))
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), 1, 16), x], 1)
        for norm, layer in zip(self.norms, self.layers, strict=False):
            x = x + 0.01 * layer(norm(x))
        return self.head(self.norms[2](x)[:, 0])


@pytest.fixture(scope="module")
def tokens():
    torch.manual_seed(0)
    graph = capture(Tokens(), (2, 8, 8), "tokens")
    return graph, np.random.default_rng(0).normal(size=(32, 2, 8, 8)).astype(np.float32)


def decibels(graph, qgraph, images):
    real = run_float(graph, images).numpy()
    error = dequantize_output(qgraph, Executor(qgraph).run(quantize_input(qgraph, images))) - real
    return 10 * np.log10((real**2).sum() / (error**2).sum())


def test_a_stream_has_16_bits_from_end_to_end_where_small_rows_would_drown(tokens):
    graph, images = tokens
    ptq, bits = PTQ(graph, images), {n.name: LayerBits(8, 8) for n in graph.weighted}
    norms = [n.inputs[0] for n in graph.nodes if n.op == "layer_norm"]
    sums = [n for n in graph.nodes if n.op in ("add", "concat")]
    assert {*norms, *(t for n in sums for t in n.inputs)} <= ptq.wide
    qgraph = ptq.quantize(bits)
    assert all(qgraph.tensors[n.output].type.bits == 16 for n in sums)
    assert {qgraph.tensors[n.inputs[0]].type.bits for n in qgraph.nodes if n.weight is not None} == {8}
    found = decibels(graph, qgraph, images)
    ptq.wide = frozenset()
    assert found > decibels(graph, ptq.quantize(bits), images) + 10
    x = quantize_input(qgraph, images)
    np.testing.assert_array_equal(Executor(qgraph).run(x), reference.run(qgraph, x))


def test_rows_of_one_size_need_no_more_than_their_norms_give(tokens):
    """The rounding of the output hides that of the input: here its type is the coarser one, for the sake of one element."""
    torch.manual_seed(0)
    norm = nn.LayerNorm(16)
    norm.weight.data[0] = 20
    layer = nn.Linear(16, 16)
    graph = capture(nn.Sequential(layer, norm, nn.Linear(16, 3)), (4, 16), "even")
    images = np.random.default_rng(0).normal(size=(64, 4, 16)).astype(np.float32)
    assert not PTQ(graph, images, equalise="off").wide
    norm.weight.data[0] = 1
    layer.weight.data[0] *= 100  # one element is large in every row: the others are rounded for its sake
    graph = capture(nn.Sequential(layer, norm, nn.Linear(16, 3)), (4, 16), "outlier")
    assert PTQ(graph, images).wide == {graph.nodes[0].output}


@pytest.mark.parametrize("seed", range(5))
def test_networks_without_norms_have_none(seed):
    graph = random_graph(seed)
    assert not PTQ(graph, random_images(np.random.default_rng(seed), graph.shapes["input"], 4)).wide
