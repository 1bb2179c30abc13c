"""Batch norms: folded where the layer before is read by nothing else, a depthwise 1 x 1 convolution elsewhere, right always."""

import numpy as np
import pytest
import torch
from graph_networks import Body, randomise, same_numbers
from torch import nn
from torch.nn import functional as F

from mico_runner.graph import capture, run_float
from mico_runner.quant import PTQ, Executor, LayerBits, quantize_input, reference

BETWEEN = {
    "nothing": lambda y: y,
    "dropout": lambda y: F.dropout(y, 0.5, training=False),
    "clone": lambda y: y.clone(),
    "contiguous": lambda y: y.contiguous(),
    "detach": lambda y: y.detach(),
    "float": lambda y: y.float(),
    "flatten and back": lambda y: y.flatten(1).view(y.shape),
    "reshape and back": lambda y: y.reshape(len(y), y.shape[1], -1).reshape(y.shape),
    "squeeze": lambda y: y.unsqueeze(1).squeeze(1),
    "permute": lambda y: y.unsqueeze(1).permute(0, 2, 1, 3, 4).squeeze(2),
}


@pytest.mark.parametrize("between", BETWEEN)
def test_a_layer_that_others_read_keeps_its_output(between):
    def forward(net, y):
        return net.bn(BETWEEN[between](y)) + y

    graph = same_numbers(randomise(Body(forward), 1), (2, 8, 8))
    assert [n.name for n in graph.weighted] == ["conv", "bn"] and graph.weighted[1].attrs["groups"] == 2


@pytest.mark.parametrize("between", BETWEEN)
def test_a_layer_that_nothing_else_reads_takes_the_batch_norm_in(between):
    graph = same_numbers(randomise(Body(lambda net, y: net.bn(BETWEEN[between](y))), 1), (2, 8, 8))
    assert [n.op for n in graph.nodes] == ["conv2d"]


@pytest.mark.parametrize("between", BETWEEN)
def test_the_other_reader_may_come_through_a_reshape_and_later(between):
    def forward(net, y):
        z = F.relu(net.bn(y))
        return net.conv(z) + BETWEEN[between](y)

    graph = same_numbers(randomise(Body(forward), 1), (2, 8, 8))
    assert [n.name for n in graph.weighted] == ["conv", "bn", "conv@2"]


@pytest.mark.parametrize("untrained", [True, False])
@pytest.mark.parametrize(
    ("make", "shape", "weighted"),
    [
        (lambda: [nn.Conv2d(1, 4, 3), nn.Flatten(), nn.BatchNorm1d(64)], (1, 6, 6), ["0", "2"]),
        (lambda: [nn.Conv2d(1, 1, 3), nn.Flatten(), nn.BatchNorm1d(16)], (1, 6, 6), ["0", "2"]),
        (lambda: [nn.Conv2d(1, 16, 6), nn.Flatten(), nn.BatchNorm1d(16)], (1, 6, 6), ["0"]),
        (lambda: [nn.Conv1d(2, 4, 3), nn.Flatten(), nn.BatchNorm1d(56)], (2, 16), ["0", "2"]),
        (lambda: [nn.Conv1d(2, 4, 3), nn.Dropout(), nn.BatchNorm1d(4)], (2, 16), ["0"]),
        (lambda: [nn.Conv2d(1, 4, 3), nn.Unflatten(1, (2, 2)), nn.Flatten(2), nn.BatchNorm1d(2)], (1, 6, 6), ["0"]),
        (lambda: [nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Unflatten(1, (8, 8)), nn.BatchNorm1d(8)], (1, 6, 6), ["0", "3"]),
        (lambda: [nn.Linear(6, 8), nn.BatchNorm1d(7)], (7, 6), ["0", "1"]),
        (lambda: [nn.Linear(6, 7), nn.BatchNorm1d(7)], (7, 6), ["0", "1"]),  # as many tokens as outputs
        (lambda: [nn.Linear(6, 8), nn.Flatten(), nn.BatchNorm1d(56)], (7, 6), ["0", "2"]),
        (lambda: [nn.Linear(6, 8), nn.Unflatten(1, (2, 2, 2)), nn.BatchNorm2d(2)], (6,), ["0"]),
        (lambda: [nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)], (3, 6, 6), ["0", "2"]),
        (lambda: [nn.BatchNorm1d(9), nn.Linear(9, 4)], (9,), ["0", "1"]),
        (lambda: [nn.BatchNorm1d(3), nn.ReLU(), nn.Conv1d(3, 4, 3)], (3, 9), ["0", "2"]),
        (lambda: [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.BatchNorm2d(4)], (1, 6, 6), ["0", "2"]),
        (lambda: [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)], (1, 6, 6), ["0"]),
    ],
)
def test_channels_of_the_layer_and_of_the_batch_norm(make, shape, weighted, untrained):
    torch.manual_seed(0)
    net = nn.Sequential(*make())
    graph = same_numbers(net.eval() if untrained else randomise(net, 2), shape)
    assert [n.name for n in graph.weighted] == weighted


def test_a_module_called_twice_is_folded_where_each_call_allows_it():
    bn, conv = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)
    graph = same_numbers(randomise(nn.Sequential(conv, bn, nn.ReLU(), conv, bn, nn.ReLU(), bn), 1), (4, 6, 6))
    assert [n.op for n in graph.nodes] == ["conv2d", "relu", "conv2d", "relu", "conv2d"]
    first, second, _ = graph.weighted
    assert np.array_equal(first.weight, second.weight)


def test_statistics_from_the_batch_are_refused():
    from mico_runner.errors import UsageError

    for function in (
        lambda net, y: F.batch_norm(y, net.bn.running_mean, net.bn.running_var, training=True),
        lambda net, y: F.batch_norm(y, None, None, training=True),
    ):
        with pytest.raises(UsageError, match="statistics of the batch"):
            capture(Body(function), (2, 8, 8), "net")


class PreActivation(nn.Module):
    """Batch norms that no layer can take in: of the input, of a sum, of a tensor with two readers, of features."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.bn0, self.bn1, self.bn2, self.bn3 = (
            nn.BatchNorm2d(3),
            nn.BatchNorm2d(8),
            nn.BatchNorm2d(8),
            nn.BatchNorm1d(128),
        )
        self.fc = nn.Linear(128, 5)

    def forward(self, x):
        x = self.stem(self.bn0(x))
        x = x + self.conv(F.relu(self.bn1(x)))
        x = F.max_pool2d(F.relu(self.bn2(x)), 2)
        return self.fc(F.relu(self.bn3(x.flatten(1))))


def test_batch_norms_of_their_own_are_quantised_and_lose_nothing_at_one_bit():
    torch.manual_seed(0)
    graph = same_numbers(randomise(PreActivation(), 3), (3, 8, 8))
    assert [n.name for n in graph.weighted] == ["bn0", "stem", "bn1", "conv", "bn2", "bn3", "fc"]
    images = np.random.default_rng(0).random((64, 3, 8, 8), dtype=np.float32)
    quantiser, wanted, noise = PTQ(graph, images), run_float(graph, images).numpy(), {}
    for bits in (8, 1):
        layers = {n.name: LayerBits(bits if n.name.startswith("bn") else 8, 8) for n in graph.weighted}
        network = quantiser.quantize(layers)
        read = quantize_input(network, images)
        found = Executor(network).run(read)
        assert np.array_equal(found[:4], reference.run(network, read[:4]))
        noise[bits] = np.square(found * network.tensors[network.output].type.scale - wanted).sum()
    assert noise[8] < 1e-3 * np.square(wanted).sum()
    assert noise[1] < 1.2 * noise[8]  # one weight per channel and one scale per channel: any number of bits holds it
