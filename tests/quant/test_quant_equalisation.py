"""Channels that a depthwise layer alone reads have one range, and the network computes what it did."""

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner.graph import capture, run_float
from mico_runner.graph.run import run_many
from mico_runner.quant import PTQ, Executor, LayerBits, dequantize_output, quantize_input
from mico_runner.quant.equalisation import equalised
from mico_runner.sections import WeightOptions

IMAGES = np.random.default_rng(0).random((64, 2, 8, 8), dtype=np.float32)


def network(between=nn.ReLU, depth=1, spread=100.0, seed=0):
    """A depthwise layer behind one whose channels differ by up to `spread`, given back behind it."""
    torch.manual_seed(seed)
    stem, wide = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6 * depth, 3, groups=6)
    sizes = torch.logspace(0, -np.log10(spread), 6).view(-1, 1, 1, 1)
    with torch.no_grad():
        stem.weight *= sizes
        stem.bias *= sizes.flatten()
        wide.weight /= sizes.repeat_interleave(depth, 0)
    last = (nn.Conv2d(6 * depth, 4, 1), nn.Flatten(), nn.LazyLinear(3))
    net = nn.Sequential(stem, between(), wide, nn.ReLU(), *last).eval()
    net(torch.zeros(1, 2, 8, 8))
    return capture(net, (2, 8, 8), "made")


def ranges(graph, tensor):
    found = {}
    run_many(graph, [IMAGES], lambda name, x: found.setdefault(name, x))
    return found[tensor].abs().amax((0, 2, 3)).numpy()


def noise(graph, equalise, bits=8, granularity="channel"):
    """Square error of the output beside its square."""
    ptq = PTQ(graph, IMAGES, WeightOptions(granularity=granularity), equalise=equalise)
    q = ptq.quantize({n.name: LayerBits(8, bits) for n in graph.weighted})
    found = dequantize_output(q, Executor(q).run(quantize_input(q, IMAGES)))
    real = run_float(graph, IMAGES).numpy()
    return float(((found - real) ** 2).sum() / (real**2).sum())


@pytest.mark.parametrize(
    "between", [nn.ReLU, nn.LeakyReLU, nn.Identity, lambda: nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))]
)
@pytest.mark.parametrize("depth", [1, 2])
def test_the_same_network_with_one_range(between, depth):
    graph = network(between, depth)
    changed = equalised(graph, [IMAGES])
    assert np.allclose(run_float(changed, IMAGES), run_float(graph, IMAGES), atol=1e-5)
    (read,) = [n for n in graph.nodes if n.attrs.get("groups") == 6]
    assert ranges(graph, read.inputs[0]).min() < ranges(graph, read.inputs[0]).max() / 10
    after = ranges(changed, read.inputs[0])
    assert after == pytest.approx(np.full(6, after.max()), rel=1e-4)


def test_what_must_stay_stays():
    for between in (nn.ReLU6, nn.Sigmoid):  # a limit, a curve: not the same at another size
        graph = network(between)
        assert equalised(graph, [IMAGES]) == graph
    dead = network()
    dead.nodes[0].weight[2] = dead.nodes[0].bias[2] = 0
    assert (equalised(dead, [IMAGES]).nodes[0].weight[2] == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_far_less_noise(seed):
    graph = network(spread=1000.0, seed=seed)
    assert noise(graph, "auto") < noise(graph, "off") / 4
    assert noise(graph, "auto", bits=4) < noise(graph, "off", bits=4)


def test_one_weight_scale_for_all_channels_would_pay_for_it():
    graph = network()
    assert noise(graph, "auto", granularity="tensor") == noise(graph, "off", granularity="tensor")
