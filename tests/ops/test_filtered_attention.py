"""Attention to the keys that pass rounds of coarse scores: the definition one by one, fast, and in C."""

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner import codegen, quant
from mico_runner.accelerators import filtered
from mico_runner.graph import capture
from mico_runner.ops.attention import causal_attention
from mico_runner.ops.filtered_attention import ALL, UNIT, parted, survivors
from mico_runner.quant import reference
from mico_runner.quant.executor import Executor
from mico_runner.quant.filtering import layers, run, with_filters
from mico_runner.targets import host

ROUNDS = [[(2, 0)], [(3, -16), (4, 24)], [(8, UNIT)], [(2, ALL), (4, ALL)]]


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = nn.Linear(12, 12), nn.Linear(12, 6), nn.Linear(12, 6)

    def forward(self, x):
        return causal_attention(self.q(x), self.k(x), self.v(x), 4, 2)


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    network = capture(Decoder(), (20, 12), "decoder")
    given = np.random.default_rng(0).normal(0, 2, (6, 20, 12)).astype(np.float32)
    graph = quant.PTQ(network, given).quantize({n.name: quant.LayerBits(8, 8) for n in network.weighted})
    return graph, quant.quantize_input(graph, given)


def with_rounds(graph, rounds):
    return with_filters(graph, dict.fromkeys(layers(graph), rounds))


@pytest.mark.parametrize("rounds", ROUNDS, ids=str)
def test_the_survivors_are_those_of_the_definition(plain, rounds):
    graph = with_rounds(plain[0], rounds)
    (node,) = [n for n in graph.nodes if n.name in layers(graph)]
    values = reference.trace(graph, plain[1])
    q, k, _ = parted(node, [values[t] for t in node.inputs])
    found = survivors(node.constants["filters"], q, k)
    for sample, head, at in [(0, 0, 0), (1, 2, 7), (3, 3, 19)]:
        left = list(range(at + 1))
        for r, (less_q, less_k, place) in enumerate(node.constants["filters"].tolist()):
            assert np.flatnonzero(found[r][sample, head, at]).tolist() == left
            coarse = q[sample, head, at] >> less_q
            scores = {j: int((coarse * (k[sample, head, j] >> less_k)).sum()) for j in left}
            end = min(scores.values()) if place < 0 else max(scores.values())
            threshold = abs(place) * len(left) * end + (UNIT - abs(place)) * sum(scores.values())
            left = [j for j in left if UNIT * len(left) * scores[j] >= threshold]
        assert np.flatnonzero(found[-1][sample, head, at]).tolist() == left and left


@pytest.mark.parametrize("rounds", ROUNDS, ids=str)
def test_executor_and_reference_agree(plain, rounds):
    graph = with_rounds(plain[0], rounds)
    assert (Executor(graph).run(plain[1]) == reference.run(graph, plain[1])).all()


def test_the_program_gives_the_references_integers(plain, tmp_path):
    graph = with_rounds(plain[0], ROUNDS[1])
    codegen.generate(graph, tmp_path)
    assert (host.run(host.build(tmp_path, cflags="-O1"), plain[1]) == reference.run(graph, plain[1])).all()


def test_where_all_pass_nothing_changes(plain):
    assert (reference.run(with_rounds(plain[0], ROUNDS[3]), plain[1]) == reference.run(*plain)).all()


def test_what_is_kept_is_counted_by_head(plain):
    graph = with_rounds(plain[0], ROUNDS[1])
    output, (found,) = run(graph, plain[1])
    assert (output == reference.run(graph, plain[1])).all()
    assert found.bits[:2] == ((3, 3), (4, 4)) and found.bits[2][1] == 8
    assert found.keys.shape == (3, 6, 4, 20) and (found.keys[0] == np.arange(1, 21)).all()
    assert (np.diff(found.keys, axis=0) <= 0).all() and (found.density < 1).all() and (found.density > 0).all()
    assert found.bit_products < found.plain_bit_products


def test_a_pipeline_of_two_units():
    rng = np.random.default_rng(0)
    first, second = rng.integers(1, 9, (2, 30))
    ready = done = 0
    for a, b in zip(first, second, strict=True):
        ready += a
        done = max(done, ready) + b
    assert filtered.cycles(first, second) == done
