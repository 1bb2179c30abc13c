"""Methods of rounding: each does what it is for."""

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner.graph import capture, run_float
from mico_runner.models.llama import Llama, LlamaSizes
from mico_runner.quant import PTQ, Executor, LayerBits, dequantize_output, quantize_input
from mico_runner.quant.compensation import _Problem
from mico_runner.quant.rounding import ROUNDINGS, adaround, distillation, reconstruction
from mico_runner.quant.weights import weight_scales
from mico_runner.sections import WeightOptions


def layer(seed, outputs=12, k=36):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, 6)) @ rng.normal(size=(6, k)) + 0.3 * rng.normal(size=(200, k))  # correlated
    return _Problem(rng.normal(size=(outputs, k)), x, x)


@pytest.mark.parametrize("bits", [1, 1.5, 2, 3, 4])
def test_a_layer_keeps_its_outputs_better_than_by_nearest_integers(monkeypatch, bits):
    monkeypatch.setattr(adaround, "ITERATIONS", 200)
    errors = dict.fromkeys(("nearest", "gptq", "adaround"), 0.0)
    for seed in range(2):
        problem = layer(seed)
        scales = weight_scales(problem.own, bits, "channel", "mse")
        for name in errors:
            rest = problem.rows - ROUNDINGS.get(name)().layer(problem, scales, bits) * scales[:, None]
            errors[name] += float((problem.times(rest) * rest).sum())
    assert errors["gptq"] < errors["nearest"] and errors["adaround"] < errors["nearest"]


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(reconstruction.Reconstruction, "STEPS", 250)


@pytest.fixture(scope="module")
def digits():
    """A small network trained on scikit-learn's digits, and its images."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = (data.images[:, None] / 16).astype(np.float32), torch.from_numpy(data.target)
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)]
    net = nn.Sequential(*layers)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(8):
        for batch in torch.randperm(1400).split(64):
            loss = nn.functional.cross_entropy(net(torch.from_numpy(images[batch])), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return capture(net.eval(), (1, 8, 8), "digits"), images


def error(graph, calibration, images, rounding, bits):
    q = PTQ(graph, calibration, WeightOptions(rounding=rounding)).quantize(
        dict.fromkeys([n.name for n in graph.weighted], bits)
    )
    found = dequantize_output(q, Executor(q).run(quantize_input(q, images)))
    return float(((found - run_float(graph, images).numpy()) ** 2).mean())


@pytest.mark.usefixtures("few_steps")
def test_reconstruction_learns_what_holds_on_other_images(digits):
    graph, images = digits
    parts = images[:256], images[1400:]
    found, wanted = (error(graph, *parts, name, LayerBits(2, 4)) for name in ("reconstruction", "gptq"))
    assert found < 0.97 * wanted


@pytest.mark.usefixtures("few_steps")
def test_reconstruction_is_never_worse_on_its_own_images(digits):
    graph, images = digits
    seen, bits = images[:16], LayerBits(8, 8)
    assert error(graph, seen, seen, "reconstruction", bits) <= error(graph, seen, seen, "gptq", bits) * (1 + 1e-6)


def test_distillation_learns_a_decoder_s_probabilities_on_other_tokens(monkeypatch):
    monkeypatch.setattr(distillation.Distillation, "STEPS", 60)
    torch.manual_seed(0)
    decoder = Llama(LlamaSizes(8, 12, 1, 2, 1, 12, 10)).eval()
    with torch.no_grad():
        for weight in decoder.parameters():
            weight += torch.randn_like(weight) / 2
    graph, tokens = capture(decoder, (10,), "decoder", whole=(0,)), np.random.default_rng(0).integers(0, 12, (96, 10))
    wanted, found = run_float(graph, tokens[64:]).log_softmax(-1), {}
    for rounding in ("distillation", "gptq"):
        q = PTQ(graph, tokens[:64], WeightOptions(rounding=rounding)).quantize(
            dict.fromkeys([n.name for n in graph.weighted], LayerBits(2, 8))
        )
        scores = torch.from_numpy(dequantize_output(q, Executor(q).run(quantize_input(q, tokens[64:])))).log_softmax(-1)
        found[rounding] = float((wanted.exp() * (wanted - scores)).sum(-1).mean())
    assert found["distillation"] < 0.9 * found["gptq"]
