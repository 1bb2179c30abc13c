"""What two networks compute alike is computed once, and the integers are those of the whole."""

import numpy as np
import pytest
import torch

from mico_runner import graph, quant
from mico_runner.quant import prefix
from mico_runner.quant.prefix import Memory, PrefixExecutor
from mico_runner.quant.qgraph import LayerBits


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = (torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))

    def forward(self, x):
        return torch.relu(x + self.second(torch.relu(self.first(x))))


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        Block(),
        torch.nn.MaxPool2d(2),
        Block(),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 5),
    ).eval()
    inputs = np.random.default_rng(0).random((20, 1, 8, 8), dtype=np.float32)
    network = graph.capture(module, (1, 8, 8), "net")
    return quant.PTQ(network, inputs), inputs, [node.name for node in network.weighted]


def neighbours(layers, seed):
    """Assignments, each with other bits in one layer than the one before."""
    rng = np.random.default_rng(seed)
    bits = {layer: LayerBits(8, 8) for layer in layers}
    for _ in range(12):
        bits = bits | {
            layers[rng.integers(len(layers))]: LayerBits(int(rng.choice([1, 2, 4, 8])), int(rng.choice([2, 4, 8])))
        }
        yield bits


@pytest.mark.parametrize("limit", [0, 3000, 2**20])
def test_integers_are_those_of_the_whole_network(made, limit):
    ptq, inputs, layers = made
    memory = Memory(limit)
    for bits in neighbours(layers, limit):
        deployed = ptq.quantize(bits)
        for part in (0, 1):
            given = quant.quantize_input(deployed, inputs[10 * part : 10 * part + 10])
            found = PrefixExecutor(deployed, memory).run(part, 10, lambda given=given: given)
            assert np.array_equal(found, quant.Executor(deployed).run(given))
        assert memory.size <= limit


def test_what_stands_before_the_change_is_not_computed_again(made, monkeypatch):
    ptq, inputs, layers = made
    memory, ready = Memory(2**20), []
    real = prefix.kernel_of
    monkeypatch.setattr(prefix, "kernel_of", lambda qgraph, call: ready.append(call.node.name) or real(qgraph, call))
    int8 = {layer: LayerBits(8, 8) for layer in layers}

    def run(bits):
        ready.clear()
        deployed = ptq.quantize(bits)
        PrefixExecutor(deployed, memory).run(0, len(inputs), lambda: quant.quantize_input(deployed, inputs))
        return set(ready) & set(layers)

    assert run(int8) == set(layers)
    assert run(int8 | {layers[-1]: LayerBits(4, 8)}) == {layers[-1]}
    assert run(int8 | {layers[3]: LayerBits(4, 8)}) == set(layers[3:])
    assert run(int8 | {layers[0]: LayerBits(4, 8)}) == set(layers)


def test_another_process_begins_with_an_empty_memory():
    import pickle

    memory = Memory(100)
    memory.put((b"a", 0), np.zeros(50, np.uint8))
    memory.put((b"b", 0), np.zeros(60, np.uint8))
    assert memory.get((b"a", 0)) is None and memory.size == 60
    memory.put((b"c", 0), np.zeros(101, np.uint8))
    assert memory.get((b"c", 0)) is None
    assert pickle.loads(pickle.dumps(memory)).get((b"b", 0)) is None


def test_what_networks_share_is_not_driven_out_by_what_one_alone_had():
    memory, held = Memory(40), np.zeros(10, np.uint8)
    memory.begin()
    for name in (b"shared", b"later"):
        memory.put((name, 0), held)
    for i in range(50):
        memory.begin()
        assert memory.get((b"shared", 0)) is not None
        for j in range(3):
            memory.put((b"%d.%d" % (i, j), 0), held)
        assert memory.size <= 40
    assert memory.get((b"later", 0)) is not None  # the second neighbour's own tensors make room before it does


def test_what_no_network_had_for_long_makes_room():
    memory, held = Memory(20), np.zeros(10, np.uint8)
    for _ in range(2):
        memory.begin()
        memory.put((b"old", 0), held)
        assert memory.get((b"old", 0)) is not None
    for i in range(prefix.STALE + 2):
        memory.begin()
        memory.put((b"%d" % i, 0), held)
    memory.put((b"last", 0), held)
    assert memory.get((b"old", 0)) is None


def test_the_other_branch_of_a_block_is_not_computed_again(monkeypatch):
    """Of x + f(x) with weights on both sides."""

    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left, self.right = (torch.nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))

        def forward(self, x):
            x = torch.relu(self.stem(x))
            return torch.flatten(torch.relu(self.left(x)) + self.right(x), 1)

    torch.manual_seed(0)
    inputs = np.random.default_rng(0).random((4, 2, 5, 5), dtype=np.float32)
    network = graph.capture(Two().eval(), (2, 5, 5), "two")
    ptq, memory, ready = quant.PTQ(network, inputs), Memory(2**20), []
    real = prefix.kernel_of
    monkeypatch.setattr(prefix, "kernel_of", lambda qgraph, call: ready.append(call.node.name) or real(qgraph, call))
    layers = [node.name for node in network.weighted]
    int8 = {layer: LayerBits(8, 8) for layer in layers}
    for layer in (None, *layers):
        ready.clear()
        bits = int8 | ({layer: LayerBits(4, 8)} if layer else {})
        deployed = ptq.quantize(bits)
        given = quant.quantize_input(deployed, inputs)
        found = PrefixExecutor(deployed, memory).run(0, 4, lambda given=given: given)
        assert np.array_equal(found, quant.Executor(deployed).run(given))
        computed = [name for name in layers if name in ready]
        assert computed == (layers if layer in (None, layers[0]) else [layer])
