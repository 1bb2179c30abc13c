"""QDQ models of ONNX: ONNX Runtime gives the integer network's outputs, but for roundings of a step."""

from math import prod

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from mico_runner.codegen import qdq
from mico_runner.codegen.qdq import writer
from mico_runner.codegen.qdq.check import compare
from mico_runner.errors import StepError
from mico_runner.graph import capture, run_float
from mico_runner.graph.ir import Graph, Node
from mico_runner.models.llama import Llama, LlamaSizes
from mico_runner.ops import OPERATORS, operator
from mico_runner.ops.base import Operator
from mico_runner.quant import PTQ, Executor, reference
from mico_runner.quant.qgraph import LayerBits

BITS = ((8, 8), (1, 8), (1.5, 4), (2, 8), (3, 8), (6, 5))


def difference(qgraph, path, images):
    """Greatest difference in steps of the output; ONNX Runtime computes node by node, as the model is written."""
    qdq.write(qgraph, path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": images})
    wanted = Executor(qgraph).run(reference.quantize_input(qgraph, images))
    assert found.shape == wanted.shape
    return float(np.abs(found / qgraph.tensors[qgraph.output].type.scale - wanted).max())


def networks(name):
    """The operator's own samples as networks; several inputs are parts of the network's one."""
    for node, shapes in operator(name).samples(np.random.default_rng(0)):
        if len(node.inputs) == 1:
            count = operator(name).vocabulary(node)
            given = {node.inputs[0]: count} if count else {}
            yield Graph("sample", node.inputs, (node.output,), (node,), dict(shapes), given)
            continue
        nodes, known, start = [], dict(shapes), 0
        for tensor in node.inputs:
            size = prod(shapes[tensor])
            attrs = {"axis": 0, "start": start, "stop": start + size, "step": 1}
            nodes.append(Node(f"{tensor}.flat", "slice", ("all",), f"{tensor}.flat", attrs))
            nodes.append(Node(tensor, "reshape", (f"{tensor}.flat",), tensor, {"shape": shapes[tensor]}))
            known[f"{tensor}.flat"] = (size,)
            start += size
        yield Graph("sample", ("all",), (node.output,), (*nodes, node), known | {"all": (start,)})


MAPPED = [name for name in OPERATORS.names() if type(operator(name)).onnx is not Operator.onnx]
SAMPLED = [name for name in MAPPED if not operator(name).BETWEEN]


def test_every_operator_has_a_form():
    """Those that vanish when a network is captured or quantised need none; a filter compares integers, which no QDQ model has."""
    others = set(OPERATORS.names()) - set(MAPPED)
    gone = {
        "batch_norm",
        "gather",
        "identity",
        "logic",
        "maximum",
        "relu",
        "scatter",
        "unpool",
        "variance",
        "volume",
        "where",
    }
    assert others == gone | {"filtered_attention"}


@pytest.mark.parametrize("name", SAMPLED)
def test_an_operator_gives_the_integers(name, tmp_path):
    rng, tried = np.random.default_rng(1), 0
    for graph in networks(name):
        images = rng.normal(size=(6, *graph.shapes[graph.input])).astype(np.float32)
        if count := graph.vocabularies.get(graph.input):
            images = rng.integers(0, count, images.shape).astype(np.float32)
        if not torch.isfinite(run_float(graph, images)).all():  # a function of positive numbers alone
            images = np.abs(images) + 0.5
        ptq = PTQ(graph, images)
        for bits in BITS if graph.weighted else BITS[:1]:
            qgraph = ptq.quantize({n.name: LayerBits(*bits) for n in graph.weighted})
            assert difference(qgraph, tmp_path / "model.onnx", images) <= 2, (name, bits, dict(graph.shapes))
            tried += 1
    assert tried


class Block(nn.Module):
    """Sums, products of two tensors, gates and concatenations; a ReLU6 and a max-pool."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.gate = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1), nn.Linear(4, 4)
        self.out = nn.Linear(8 * 9, 5)

    def forward(self, x):
        a, b = nn.functional.relu6(self.a(x)), self.b(x)
        gate = torch.sigmoid(self.gate(a.mean((2, 3))))[:, :, None, None]
        x = torch.cat([a * gate - b, a + b], 1)
        return self.out(nn.functional.max_pool2d(x, 2).flatten(1))


def quantised(module, shape, bits, seed=0):
    torch.manual_seed(seed)
    module = module()
    graph = capture(module, shape, "net")
    images = np.random.default_rng(seed).uniform(-1, 1, (32, *shape)).astype(np.float32)
    return PTQ(graph, images).quantize({n.name: LayerBits(*bits) for n in graph.weighted}), images


@pytest.mark.parametrize("bits", [(8, 8), (4, 8), (2, 4), (1, 8), (8, 1)])
def test_a_network_of_many_operators(bits, tmp_path):
    """A step of an inner tensor is many of the output, which has 16 bits: a sum that is rounded the other way shows there."""
    qgraph, images = quantised(Block, (2, 6, 6), bits)
    qdq.write(qgraph, tmp_path / "model.onnx")
    found = compare(qgraph, tmp_path / "model.onnx", images)
    assert found.same_class >= 31 / 32
    assert found.steps < 0.05 * np.abs(Executor(qgraph).run(reference.quantize_input(qgraph, images))).max()


class Normed(nn.Module):
    """A sum that norms read at 16 bits, for the sake of its small rows."""

    def __init__(self):
        super().__init__()
        self.layer, self.norms, self.out = (
            nn.Linear(8, 8),
            nn.ModuleList(nn.LayerNorm(8) for _ in range(2)),
            nn.Linear(8, 5),
        )

    def forward(self, x):
        x = torch.linspace(0.01, 1, 6)[:, None] * self.layer(x)
        return self.out(self.norms[1](x + self.norms[0](x) / 100))[:, 0]


def test_tensors_of_16_bits(tmp_path):
    qgraph, images = quantised(Normed, (6, 8), (8, 8))
    assert any(node.op == "add" and qgraph.tensors[node.output].type.bits == 16 for node in qgraph.nodes)
    largest = np.abs(Executor(qgraph).run(reference.quantize_input(qgraph, images))).max()
    assert difference(qgraph, tmp_path / "model.onnx", images) < 0.01 * largest


def test_weights_are_the_integers_with_a_scale_for_each_channel(tmp_path):
    qgraph, _ = quantised(Block, (2, 6, 6), (3, 8))
    size = qdq.write(qgraph, tmp_path / "model.onnx")
    assert size == (tmp_path / "model.onnx").stat().st_size
    model = onnx.load(tmp_path / "model.onnx")
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    (conv,) = [n for n in model.graph.node if n.op_type == "Conv" and n.name.startswith("a/")]
    (weights,) = [n for n in model.graph.node if n.output[0] == conv.input[1]]
    node = next(n for n in qgraph.nodes if n.name == "a")
    assert weights.op_type == "DequantizeLinear" and weights.attribute[0].i == 0
    np.testing.assert_array_equal(constants[weights.input[0]], node.weight)
    assert constants[weights.input[0]].dtype == np.int8
    assert set(np.unique(node.weight)) <= set(range(-4, 4))
    np.testing.assert_allclose(constants[weights.input[1]], node.weight_scale, rtol=2e-6)


class Pair(nn.Module):
    """Two inputs and two outputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, x, y):
        return self.a(x) + self.b(y), self.b(y)


def test_several_inputs_and_outputs_are_numbered(tmp_path):
    torch.manual_seed(0)
    graph = capture(Pair(), ((3,), (5,)), "pair")
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(16, n)).astype(np.float32) for n in (3, 5)]
    qgraph = PTQ(graph, inputs).quantize({n.name: LayerBits(8, 8) for n in graph.weighted})
    qdq.write(qgraph, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["output0", "output1"], {f"input{i}": x for i, x in enumerate(inputs)})
    wanted = Executor(qgraph).run_many(reference.quantize_inputs(qgraph, inputs))
    for tensor, real, integers in zip(qgraph.outputs, found, wanted, strict=True):
        assert np.abs(real / qgraph.tensors[tensor].type.scale - integers).max() < 0.02 * np.abs(integers).max()


def test_operators_without_a_form_are_named_at_once(tmp_path, monkeypatch):
    qgraph, _ = quantised(Block, (2, 6, 6), (8, 8))
    for name in ("add", "max_pool2d"):
        monkeypatch.setattr(type(operator(name)), "onnx", Operator.onnx)
    with pytest.raises(StepError, match=r"operators without a form in ONNX: add \(.*\); max_pool2d \(.*\)"):
        qdq.write(qgraph, tmp_path / "model.onnx")


def test_attention_is_taken_by_onnx_runtime(tmp_path):
    """And by its optimisers, which move quantisation past other operators."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inwards, self.outwards = nn.Linear(8, 24), nn.Linear(8, 5)

        def forward(self, x):
            q, k, v = self.inwards(x).view(len(x), 6, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
            y = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.outwards(y.transpose(1, 2).reshape(len(x), 6, 8))

    torch.manual_seed(0)
    network = capture(Attention().eval(), (6, 8), "attention")
    x = torch.rand(4, 6, 8).numpy()
    qgraph = PTQ(network, x).quantize({node.name: LayerBits(8, 8) for node in network.weighted})
    largest = np.abs(reference.run(qgraph, reference.quantize_input(qgraph, x))).max()
    assert difference(qgraph, tmp_path / "net.onnx", x) < 0.05 * largest
    assert onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"]).get_outputs()


def test_a_decoder_is_taken_by_onnx_runtime_and_its_optimisers(tmp_path):
    torch.manual_seed(0)
    network = capture(Llama(LlamaSizes(16, 12, 1, 4, 2, 30, 8)).eval(), (8,), "decoder", (0,))
    tokens = np.random.default_rng(0).integers(0, 30, (4, 8))
    qgraph = PTQ(network, tokens).quantize({node.name: LayerBits(8, 8) for node in network.weighted})
    qdq.write(qgraph, tmp_path / "net.onnx")
    largest = np.abs(reference.run(qgraph, reference.quantize_input(qgraph, tokens))).max()
    assert compare(qgraph, tmp_path / "net.onnx", tokens).steps < 0.05 * largest


def test_a_model_that_onnx_runtime_refuses_is_said(tmp_path):
    network = capture(nn.Linear(3, 2).eval(), (3,), "small")
    qgraph = PTQ(network, np.ones((2, 3), np.float32)).quantize({"weight": LayerBits(8, 8)})
    model = onnx.load_from_string(writer.model(qgraph))
    model.graph.node[0].op_type = "Unknown"
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(StepError, match=r"small: ONNX Runtime \d.*refuses the model: .*Unknown"):
        compare(qgraph, tmp_path / "net.onnx", np.ones((1, 3), np.float32))
