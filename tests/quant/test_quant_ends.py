"""Networks of several inputs and outputs, and inputs of whole numbers: C = executor = reference, near the module."""

import re
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner import codegen
from mico_runner.errors import UsageError
from mico_runner.graph import capture, run_float, run_many
from mico_runner.quant import PTQ, Executor, LayerBits, quantize_input, quantize_inputs, reference
from mico_runner.quant.storage import load, save
from mico_runner.targets import host_kernels


class Detector(nn.Module):
    """An image and a vector in; a map, what it is made of, the map flattened, and a vector out."""

    def __init__(self):
        super().__init__()
        self.body, self.side, self.head = nn.Conv2d(3, 4, 3), nn.Linear(5, 4), nn.Conv2d(4, 2, 1)

    def forward(self, image, vector):
        found = self.body(image).relu() * self.side(vector)[:, :, None, None]
        boxes = self.head(found)
        return {"boxes": boxes, "found": found, "flat": boxes.flatten(1), "mean": [found.mean((2, 3))]}


class Views(nn.Module):
    """Two outputs in the same memory, and an input that nothing reads."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 6)

    def forward(self, image, vector):
        found = self.layer(vector)
        return found, found.reshape(-1, 2, 3), found.relu()


class Tokens(nn.Module):
    """More rows than 8 bits can name."""

    def __init__(self, rows=300):
        super().__init__()
        self.rows, self.layer = nn.Embedding(rows, 8), nn.Linear(8, 4)

    def forward(self, tokens, vector):
        return self.layer(self.rows(tokens).mean(1)) + vector, self.rows(tokens)


class Columns(nn.Module):
    """A table for each of the numbers, as recommenders have them, and one that reads them in another order."""

    def __init__(self):
        super().__init__()
        self.first, self.others = nn.Embedding(300, 4), nn.Embedding(40, 4)

    def forward(self, tokens, vector):
        rows = torch.cat([self.first(tokens[:, 0]), self.others(tokens[:, 1:].flip(1)).flatten(1)], 1)
        return rows[:, :4] * vector, rows


class Counted(nn.Module):
    """Places that are counted among the tokens that are no padding, columns that share a table, a bag, a length."""

    def __init__(self):
        super().__init__()
        self.rows, self.places = nn.Embedding(30, 6, padding_idx=1), nn.Embedding(300, 6)
        self.shared, self.bag = nn.Embedding(40, 6), nn.EmbeddingBag(30, 6)
        self.register_buffer("starts", torch.tensor([0, 10, 20, 30]))
        self.register_buffer("kinds", torch.arange(400.0).sin()[None])
        self.head = nn.Linear(6, 5)

    def forward(self, tokens, columns, length, vector):
        kept = tokens.ne(1).int()
        places = (torch.cumsum(kept, 1).type_as(kept) * kept).long() + 270
        within = torch.arange(6)[None] < length
        found = (self.rows(tokens) + self.places(places)) * (kept.bool() & within).unsqueeze(-1)
        kinds = torch.gather(self.kinds.expand(len(tokens), -1), 1, places)
        total = self.shared(columns.clamp(0, 3) * 1 + self.starts if False else columns + self.starts).sum(1)
        return self.head(found.sum(1) + total + self.bag(tokens)) + kinds[:, 1:] * vector, (
            tokens == tokens[:, :1]
        ).float()


NETWORKS = {
    "counted": (Counted, ((6,), (4,), (1,), (5,)), (0, 1, 2)),
    "detector": (Detector, ((3, 6, 7), (5,)), ()),
    "views": (Views, ((3, 6, 7), (5,)), ()),
    "tokens": (Tokens, ((6,), (4,)), (0,)),
    "columns": (Columns, ((3,), (4,)), (0,)),
    "bytes": (lambda: Tokens(20), ((6,), (4,)), (0,)),
}


def samples(graph, count):
    rng = np.random.default_rng(0)
    shapes = [(count, *graph.shapes[tensor]) for tensor in graph.inputs]
    known = [tensor in graph.vocabularies and graph.whole[tensor][2] + 1 for tensor in graph.inputs]
    return [
        rng.integers(0, n, s) if n else rng.normal(size=s).astype(np.float32)
        for n, s in zip(known, shapes, strict=True)
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_several_inputs_and_outputs(name, tmp_path):
    make, shapes, whole = NETWORKS[name]
    torch.manual_seed(0)
    module = make().eval()
    graph = capture(module, shapes, "net", whole)
    inputs = samples(graph, 16)
    with torch.no_grad():
        wanted = torch.utils._pytree.tree_leaves(module(*map(torch.from_numpy, inputs)))
    for found, right in zip(run_many(graph, inputs), wanted, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)

    qgraph = PTQ(graph, inputs).quantize({node.name: LayerBits(8, 8) for node in graph.weighted})
    integers = quantize_inputs(qgraph, inputs)
    expected = reference.run_many(qgraph, integers)
    for tensor, found, right in zip(qgraph.outputs, expected, wanted, strict=True):
        error = found * qgraph.tensors[tensor].type.scale - right.numpy()
        assert np.square(error).sum() < 1e-3 * np.square(right.numpy()).sum()  # 30 dB
    for found, right in zip(Executor(qgraph).run_many(integers, batch_size=5), expected, strict=True):
        np.testing.assert_array_equal(found, right)
    binary = host_kernels.build_networks([qgraph], tmp_path, sanitize=True)
    (made,) = host_kernels.run_many(binary, [integers])
    for found, right in zip(made, expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_pointers_are_called_after_inputs_and_numbered(tmp_path):
    graph = capture(Detector(), ((3, 6, 7), (5,)), "net")
    qgraph = PTQ(graph, samples(graph, 4)).quantize({node.name: LayerBits(8, 8) for node in graph.weighted})
    host_kernels.build_networks([qgraph], tmp_path)
    (call,) = re.findall(r"void network0_forward\((.*)\);", (tmp_path / "network0.h").read_text())
    outputs = ", ".join(f"int32_t *output_{i}" for i in range(1, 5))
    assert call == f"const int8_t *image, const int8_t *vector, {outputs}, uint8_t *arena"


def test_a_generated_folder_has_programs_for_all_pointers(tmp_path):
    graph = capture(Tokens(), ((6,), (4,)), "net", (0,))
    qgraph = PTQ(graph, samples(graph, 4)).quantize({node.name: LayerBits(8, 8) for node in graph.weighted})
    codegen.generate(qgraph, tmp_path)
    for target in (["test"], []):
        subprocess.run(["make", *target], cwd=tmp_path, check=True, capture_output=True)
    tokens, vector = quantize_inputs(qgraph, samples(graph, 3))
    (tmp_path / "in.bin").write_bytes(b"".join(t.tobytes() + v.tobytes() for t, v in zip(tokens, vector, strict=True)))
    subprocess.run(["build/net", "in.bin", "out.bin"], cwd=tmp_path, check=True)
    expected = [x.reshape(3, -1) for x in reference.run_many(qgraph, [tokens, vector])]
    found = np.fromfile(tmp_path / "out.bin", np.int32).reshape(3, -1)
    np.testing.assert_array_equal(found, np.concatenate(expected, axis=1))


def test_whole_numbers_are_stored_in_as_many_bits_as_their_rows_need(tmp_path):
    graph = capture(Tokens(), ((6,), (4,)), "net", (0,))
    assert graph.vocabularies == {"tokens": 300}
    qgraph = PTQ(graph, samples(graph, 4)).quantize({node.name: LayerBits(8, 8) for node in graph.weighted})
    kind = qgraph.tensors["tokens"].type
    assert (kind.bits, kind.signed, kind.scale) == (9, False, 1.0)
    save(qgraph, tmp_path / "net")
    assert load(tmp_path / "net").outputs == qgraph.outputs and load(tmp_path / "net").inputs == ("tokens", "vector")


def test_what_takes_one_input_says_so():
    graph = capture(Detector(), ((3, 6, 7), (5,)), "net")
    with pytest.raises(UsageError, match=r"network 'net' has 2 inputs \(image, vector\); allowed here: one"):
        run_float(graph, samples(graph, 2)[0])
    with pytest.raises(UsageError, match="has 2 inputs"):
        quantize_input(
            PTQ(graph, samples(graph, 4)).quantize({n.name: LayerBits(8, 8) for n in graph.weighted}),
            samples(graph, 2)[0],
        )


class Odd(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.rows = function, nn.Embedding(7, 3)

    def forward(self, tokens):
        return self.function(self, tokens)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda s, x: s.rows((x * 1.5).long()), "a conversion from torch.float32 to torch.int64 is not supported"),
        (lambda s, x: s.rows(x // 2), "operator is not supported"),
        (lambda s, x: s.rows(x.sum(1, keepdim=True)), "sums and products of it; avg_pool2d makes them"),
        (lambda s, x: (x > 0.5) * s.rows.weight[0, 0], "whole numbers are compared with whole numbers"),
        (lambda s, x: s.rows(x) + x[:, :, None], "test_quant_ends.py:.*node 'add'"),
        (lambda s, x: (s.rows(x), s.rows.weight), "must return different tensors|does not depend"),
    ],
)
def test_other_uses_of_whole_numbers_are_refused(function, message):
    with pytest.raises(UsageError, match=message):
        capture(Odd(function), (4,), "net", (0,))
