"""A quantiser that another process gets quantises as the one it is a copy of."""

import pickle

import numpy as np
import torch

from mico_runner import graph, quant
from mico_runner.quant.qgraph import LayerBits


def test_a_copy_quantises_the_same():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(48, 4))
    images = np.random.default_rng(0).random((8, 1, 6, 6), np.float32)
    ptq = quant.PTQ(graph.capture(net, (1, 6, 6), "net"), images)
    bits = {node.name: LayerBits(4, 8) for node in ptq.graph.weighted}
    one, two = ptq.quantize(bits), pickle.loads(pickle.dumps(ptq)).quantize(bits)
    integers = quant.quantize_input(one, images)
    assert [node.name for node in one.nodes] == [node.name for node in two.nodes]
    assert (quant.Executor(one).run(integers) == quant.Executor(two).run(integers)).all()
