"""Recurrent layers are unrolled over their sequence; what is deployed is what the reference computes."""

import numpy as np
import pytest
import torch
from graph_networks import same_numbers
from torch import nn

from mico_runner.quant import PTQ, Executor, LayerBits, quantize_input, reference
from mico_runner.targets.host_kernels import build_networks, run_networks

LAYERS = {
    "lstm": nn.LSTM(5, 6, batch_first=True),
    "lstm_deep": nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True),
    "lstm_projected": nn.LSTM(5, 6, proj_size=3, batch_first=True, bias=False),
    "gru": nn.GRU(5, 6, batch_first=True),
    "gru_deep": nn.GRU(5, 6, num_layers=2, bidirectional=True, batch_first=True),
    "gru_moved": nn.GRU(5, 6),
    "tanh": nn.RNN(5, 6, batch_first=True),
    "relu": nn.RNN(5, 6, nonlinearity="relu", batch_first=True),
}


class Last(nn.Module):
    """The last state of a recurrent layer, and all outputs of it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = nn.Linear((layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1), 3)

    def forward(self, x):
        if self.layer.batch_first:
            return self.head(self.layer(x)[0][:, -1])
        return self.head(self.layer(x.transpose(0, 1))[0].transpose(0, 1).mean(1))


@pytest.mark.parametrize("name", LAYERS)
def test_unrolled_layers(name, tmp_path):
    torch.manual_seed(0)
    graph = same_numbers(Last(LAYERS[name]), (4, 5))
    x = np.random.default_rng(0).normal(size=(16, 4, 5)).astype(np.float32)
    qgraph = PTQ(graph, x).quantize({node.name: LayerBits(8, 8) for node in graph.weighted})
    integers = quantize_input(qgraph, x)
    expected = reference.run(qgraph, integers)
    assert np.array_equal(Executor(qgraph).run(integers), expected)
    if name in ("lstm_deep", "gru_deep"):
        (found,) = run_networks(build_networks([qgraph], tmp_path, sanitize=True), [integers])
        assert np.array_equal(found, expected)
