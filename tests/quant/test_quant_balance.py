"""Channels of a decoder's tensors have one size, and the network computes what it did."""

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner.errors import UsageError
from mico_runner.graph import capture
from mico_runner.graph.run import run_float, run_many
from mico_runner.models.llama import Llama, LlamaSizes
from mico_runner.quant import PTQ, Executor, LayerBits, dequantize_output, quantize_input
from mico_runner.quant.balance import balanced
from mico_runner.sections import ActivationOptions

TOKENS = np.random.default_rng(0).integers(0, 20, (16, 12))


def decoder(kv_heads=2, seed=0):
    """With channels of many sizes, and biases in the norms' stead: means."""
    torch.manual_seed(seed)
    made = Llama(LlamaSizes(16, 24, 2, 4, kv_heads, 20, 12)).eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            weight += torch.randn_like(weight) / 4
            if weight.ndim == 1 or "wk" in name or "wv" in name or "w3" in name:
                weight *= torch.logspace(-1, 1, len(weight)).view(-1, *[1] * (weight.ndim - 1))
        made.embedding.weight += 1
    return capture(made, (12,), "decoder", whole=(0,))


def tensors(graph):
    found = {}
    run_many(graph, [TOKENS.astype(np.float32)], lambda name, x: found.setdefault(name, x.clone()))
    return found


def sizes(x):
    return x.abs().flatten(0, 1).amax(0)


@pytest.mark.parametrize("kv_heads", [2, 4])
def test_the_same_network_with_channels_of_one_size(kv_heads):
    graph = decoder(kv_heads)
    changed = balanced(graph, [TOKENS])
    before, after = tensors(graph), tensors(changed)
    torch.testing.assert_close(after[graph.output], before[graph.output], rtol=1e-3, atol=1e-4)
    keys, values = next(n for n in graph.nodes if n.op == "attention").inputs[1:]
    norm = next(n for n in graph.nodes if n.op == "layer_norm").output
    product = next(n for n in graph.nodes if n.op == "mul").output
    for tensor in (keys, norm, product):
        spread = sizes(before[tensor]).max() / sizes(before[tensor]).min()
        assert sizes(after[tensor]).max() / sizes(after[tensor]).min() < spread / 3
    unturned = next(n for n in graph.nodes if n.output == keys).inputs[0]
    for tensor in (unturned, keys, values, norm):  # not of a product
        assert after[tensor].flatten(0, 1).mean(0).abs().max() < 1e-3 * after[tensor].abs().max()


def test_what_is_read_otherwise_too_stays():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.layer = nn.LayerNorm(6), nn.Linear(6, 6)

        def forward(self, x):
            y = self.norm(x)
            return self.layer(y) + y

    graph = capture(Two().eval(), (5, 6), "two")
    x = np.random.default_rng(0).normal(size=(8, 5, 6)).astype(np.float32)
    assert balanced(graph, [x]) == graph


def test_a_row_of_zeros_has_a_factor_of_one():
    graph = capture(nn.Sequential(nn.LayerNorm(4, elementwise_affine=False), nn.Linear(4, 3)).eval(), (2, 4), "still")
    x = np.ones((3, 2, 4), np.float32)
    assert np.allclose(run_float(balanced(graph, [x]), x), run_float(graph, x))


def noise(graph, equalise="auto", kv_bits=8):
    ptq = PTQ(graph, TOKENS, activations=ActivationOptions(kv_bits=kv_bits), equalise=equalise)
    q = ptq.quantize({n.name: LayerBits(8, 8) for n in graph.weighted})
    found = dequantize_output(q, Executor(q).run(quantize_input(q, TOKENS)))
    real = run_float(graph, TOKENS).numpy()
    return float(((found - real) ** 2).sum() / (real**2).sum())


@pytest.mark.parametrize("seed", range(2))
def test_less_noise(seed):
    graph = decoder(seed=seed)
    assert noise(graph) < noise(graph, "off") / 2
    assert noise(graph) < noise(graph, kv_bits=4) < noise(graph, "off", kv_bits=4)


def test_keys_and_values_have_their_bits():
    """Keys before they are turned by their places; queries are not kept."""
    graph = decoder()
    ptq = PTQ(graph, TOKENS, activations=ActivationOptions(kv_bits=3))
    q = ptq.quantize({n.name: LayerBits(8, 8) for n in graph.weighted})
    makers = {node.output: node for node in q.nodes}
    for node in q.nodes:
        if node.op == "attention":
            assert [q.tensors[tensor].type.bits for tensor in node.inputs] == [16, 8, 3]
            turned = [q.tensors[makers[tensor].inputs[0]].type.bits for tensor in node.inputs[:2]]
            assert turned == [16, 3]


def test_bits_of_what_is_not_kept_are_refused():
    graph = capture(nn.Linear(4, 3), (4,), "plain")
    with pytest.raises(UsageError, match=r"activations\.kv_bits is 4, and network 'plain' keeps no keys"):
        PTQ(graph, np.ones((2, 4)), activations=ActivationOptions(kv_bits=4))
