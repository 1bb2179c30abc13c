"""Quantisation-aware training: what it computes is what is deployed, gradients are those of the definition, and training gains."""

import numpy as np
import pytest
import torch
from quant_networks import random_bits, random_graph, random_images

from mico_runner.quant import PTQ, Executor, LayerBits, dequantize_output, quantize_input, reference
from mico_runner.quant.fake import on_grid, on_signs
from mico_runner.quant.trainable import Trainable


def network(seed):
    rng = np.random.default_rng(seed)
    graph = random_graph(seed)
    images = random_images(rng, graph.shapes["input"], 12)
    return graph, images, Trainable(PTQ(graph, images), random_bits(rng, graph))


@pytest.mark.parametrize("seed", range(24))
def test_training_computes_what_the_integers_stand_for(seed):
    """But for sums of floats that end on the other side of a tie."""
    _, images, model = network(seed)
    deployed = model.deployed()
    found = model.train()(torch.from_numpy(images)).detach().numpy()
    step = deployed.tensors[deployed.output].type.scale
    integers = dequantize_output(deployed, reference.run(deployed, quantize_input(deployed, images)))
    assert (np.abs(found - integers) > 1.5 * step).mean() <= 0.02


@pytest.mark.parametrize("seed", range(4))
def test_evaluation_is_the_integer_network_and_follows_training(seed):
    _, images, model = network(seed)
    x = torch.from_numpy(images)
    for _ in range(2):
        deployed = model.deployed()
        integers = Executor(deployed).run(quantize_input(deployed, images))
        expected = dequantize_output(deployed, integers).astype(np.float32)
        assert np.array_equal(model.eval()(x).numpy(), expected)
        assert np.array_equal(reference.run(deployed, quantize_input(deployed, images)), integers)
        model.train()(x).pow(2).sum().backward()
        with torch.no_grad():
            for value in model.parameters():
                assert value.grad is None or torch.isfinite(value.grad).all()
                value += 0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(seed))


def test_gradients_are_those_of_learned_step_size_quantisation():
    x = torch.tensor([-3.0, -0.6, 0.2, 0.9, 7.0], requires_grad=True)
    step = torch.tensor([0.5], requires_grad=True)
    found = on_grid(x, step, -2, 3)
    assert found.tolist() == [-1.0, -0.5, 0.0, 1.0, 1.5]
    found.backward(torch.ones(5))
    assert x.grad.tolist() == [0, 1, 1, 1, 0]  # clipped values have none
    ratio = np.array([-1.2, 0.4, 1.8])
    assert np.isclose(step.grad.item(), -2 + 3 + (np.rint(ratio) - ratio).sum(), atol=1e-5)


def test_each_row_has_the_gradient_of_its_own_step():
    x, steps = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0.2, 0.5, 1.0])
    together = steps.clone().requires_grad_()
    on_grid(x, together, -2, 1).pow(2).sum().backward()
    for row, step, gradient in zip(x, steps, together.grad, strict=True):
        alone = step.reshape(1).clone().requires_grad_()
        on_grid(row, alone, -2, 1).pow(2).sum().backward()
        assert torch.isclose(alone.grad, gradient, rtol=1e-4).all()


def test_signs_have_the_gradient_of_their_size():
    x = torch.tensor([[0.5, -0.1, 3.0]], requires_grad=True)
    size = torch.tensor([0.5], requires_grad=True)
    found = on_signs(x, size)
    assert found.tolist() == [[0.5, -0.5, 0.5]]
    found.backward(torch.tensor([[1.0, 2.0, 4.0]]))
    assert x.grad.tolist() == [[1, 2, 0]]
    assert size.grad.tolist() == [1 - 2 + 4]


@pytest.mark.parametrize("bits", [LayerBits(2, 4), LayerBits(1.5, 2), LayerBits(4, 1)])
def test_training_brings_the_integers_nearer_to_the_float_network(bits):
    rng = np.random.default_rng(3)
    graph = random_graph(3)
    images = random_images(rng, graph.shapes["input"], 64)
    ptq = PTQ(graph, images)
    model = Trainable(ptq, {node.name: bits for node in graph.weighted})
    x, wanted = torch.from_numpy(images), torch.from_numpy(graph_outputs(graph, images))
    before = (model.eval()(x) - wanted).pow(2).mean()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        (model(x) - wanted).pow(2).mean().backward()
        optimizer.step()
    assert (model.eval()(x) - wanted).pow(2).mean() < 0.7 * before


def graph_outputs(graph, images):
    from mico_runner.graph.run import run_float

    return run_float(graph, images).numpy()
