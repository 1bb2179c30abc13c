"""Texts that the C program of a decoder goes on with."""

import numpy as np
import pytest
import torch

from mico_runner.errors import StepError
from mico_runner.graph import capture
from mico_runner.models.llama import Llama, LlamaSizes
from mico_runner.quant import PTQ, Executor
from mico_runner.quant.qgraph import LayerBits
from mico_runner.targets import story

PLACES, VOCABULARY = 12, 300  # tokens of more than a byte, places of one


def test_each_token_is_the_likeliest_of_the_whole_network(tmp_path):
    torch.manual_seed(0)
    made = Llama(LlamaSizes(8, 12, 1, 2, 2, VOCABULARY, PLACES)).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += torch.randn_like(weight) / 3
    graph = capture(made, (PLACES,), "decoder", whole=(0,))
    x = np.random.default_rng(0).integers(0, VOCABULARY, (8, PLACES))
    whole = PTQ(graph, x).quantize({node.name: LayerBits(4, 8) for node in graph.weighted})
    binary = story.build(whole, tmp_path)
    ends = set()
    for first in range(3, VOCABULARY, 17):
        tokens, seconds = story.tell(binary, [1, first], PLACES)
        padded = np.zeros((1, PLACES), np.int64)
        padded[0, : len(tokens)] = tokens
        likeliest = Executor(whole).run(padded)[0].argmax(-1)
        assert tokens[:2] == [1, first] and tokens[2:] == likeliest[1 : len(tokens) - 1].tolist() and seconds > 0
        assert len(tokens) == PLACES or likeliest[len(tokens) - 1] == 1
        ends.add(len(tokens) == PLACES)
    assert True in ends
    for tokens, count in (([], 5), ([1], PLACES + 1)):
        with pytest.raises(StepError, match="failed with exit code 2"):
            story.tell(binary, tokens, count)
