"""Changes of the loss by gradients, against losses that are computed with the errors put in."""

import numpy as np
import torch

from mico_runner import graph, quant
from mico_runner.quant.curvature import curvature
from mico_runner.quant.qgraph import LayerBits
from mico_runner.tasks.classification import Classification


class Samples:
    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets

    def floats(self):
        return self.inputs


def made():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 5)
    ).eval()
    rng = np.random.default_rng(0)
    inputs = rng.random((40, 1, 6, 6), dtype=np.float32)
    network = graph.capture(module, (1, 6, 6), "net")
    return quant.PTQ(network, inputs), Samples(inputs, rng.integers(0, 5, 40)), network


CHOICES = [LayerBits(2, 2), LayerBits(2, 8), LayerBits(4, 8), LayerBits(8, 8)]


def test_more_bits_are_less_sensitive_and_the_matrix_is_one_of_products():
    ptq, samples, _ = made()
    found = curvature(ptq, Classification(), samples, CHOICES)
    assert found.shape == (8, 8) and np.allclose(found, found.T)
    assert np.linalg.eigvalsh(found).min() > -1e-9 * found.max()
    own = np.diag(found).reshape(2, 4)
    assert (own[:, 3] < own[:, 2]).all() and (own[:, 2] < own[:, 1]).all() and (own[:, 1] < own[:, 0]).all()


def test_the_last_layer_s_changes_are_those_of_the_loss_to_first_order():
    """The output of the last layer is the network's: with a small error the loss changes by the product with the gradient."""
    ptq, samples, network = made()
    bits = LayerBits(8, 8)
    found = curvature(ptq, Classification(), samples, [bits])
    last = network.weighted[-1]
    reads = {}
    graph.run_float(network, samples.inputs, lambda name, x: reads.__setitem__(name, x.numpy()))
    kind = ptq.type_at(last.inputs[0], 8)
    integers, scales, bias = ptq.weights_at(last.name, bits, kind)
    x = reads[last.inputs[0]].astype(np.float64)
    rounded = np.clip(np.floor(x / kind.scale + 0.5), kind.qmin, kind.qmax) * kind.scale
    exact = x @ last.weight.T + last.bias
    error = (x @ (integers * np.asarray(scales)[:, None]).T + bias - exact) + (
        rounded @ last.weight.T - x @ last.weight.T
    )

    def losses(z):
        return np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), samples.targets]

    step = 1e-3
    change = (losses(exact + step * error) - losses(exact - step * error)) / (2 * step)
    assert np.isclose(found[-1, -1], (change**2).mean(), rtol=1e-3)
