"""Networks that torch exports to ONNX compute what they compute when they are captured directly, and what onnxruntime computes."""

import contextlib
import logging
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mico_runner.formats.onnx_file import read
from mico_runner.graph import capture, run_float
from mico_runner.models import MODELS

CLOSE = 1e-5  # of the largest output
SLOW = ("mobilenet-v2", "resnet8")


class Encoder(nn.Module):
    """A vision transformer of one block, with a class token that is repeated for each sample."""

    def __init__(self, width=32, heads=4):
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 17, width))
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down, self.head = nn.Linear(width, 64), nn.Linear(64, width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        n, length, width = x.shape
        heads = self.qkv(self.first(x)).reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width))
        x = x + self.down(F.gelu(self.up(self.second(x))))
        return self.head(x[:, 0])


class UNet(nn.Module):
    """One step down and up again, by two kinds of transposed convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.other = nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1)
        self.last = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, x):
        a = F.silu(self.norm(self.first(x)))
        b = F.hardswish(self.down(a))
        y = self.last(torch.cat([a, self.up(b) + F.mish(self.other(b))], 1))
        return F.interpolate(y, scale_factor=2.0, mode="bilinear")

    def older(self, x):
        """What opset 9 has: clips, slices, repetitions, a softmax over channels."""
        a = self.norm(self.first(x)).clamp(-1, 1)
        wide = x.repeat(1, 4, 1, 1)[:, 1:9]
        return self.last(torch.cat([a, self.up(self.down(wide))], 1)).softmax(1)


class Tokens(nn.Module):
    """Tokens in front of the batch, as torch's own layers have them by default, and heads merged with the batch."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads, self.q, self.k, self.out = heads, *(nn.Linear(width, width) for _ in range(3))

    def forward(self, x):
        x = x.transpose(0, 1)
        length, n, width = x.shape
        q, k = (f(x).reshape(length, n * self.heads, -1).transpose(0, 1) for f in (self.q, self.k))
        y = torch.softmax(q @ k.transpose(1, 2), -1) @ k
        y = self.out(y.transpose(0, 1).reshape(length * n, width)).reshape(length, n, width)
        return y.transpose(0, 1).mean(1)


class Steps(nn.Module):
    """Recurrent layers in both directions, one of them over the outputs of the other."""

    def __init__(self):
        super().__init__()
        self.long = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
        self.gated = nn.GRU(6, 5, batch_first=True)
        self.plain = nn.RNN(5, 2, batch_first=True, nonlinearity="relu")

    def forward(self, x):
        y, state = self.gated(self.long(x)[0])
        return torch.cat([self.plain(y)[0].flatten(1), state[0]], 1)


class Words(nn.Module):
    """Rows of a table by whole numbers."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(300, 6), nn.Linear(6, 4)

    def forward(self, x):
        return self.head(self.table(x).mean(1))


def zoo(name, shape):
    network = MODELS.get(name)(shape, 10)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):  # else it does next to nothing
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return network


NETWORKS = {
    "lenet": (lambda: zoo("lenet", (1, 28, 28)), (1, 28, 28)),
    "resnet8": (lambda: zoo("resnet8", (3, 32, 32)), (3, 32, 32)),
    "mobilenet-v2": (lambda: zoo("mobilenet-v2", (3, 32, 32)), (3, 32, 32)),
    "encoder": (Encoder, (3, 32, 32)),
    "unet": (UNet, (3, 16, 16)),
    "tokens": (Tokens, (5, 16)),
    "steps": (Steps, (3, 4)),
}


@contextlib.contextmanager
def _quiet():
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def exported(network, shape, path, free=False, opset=17):
    """A file for one sample, or for any number of them."""
    sample = torch.randn(2 if free else 1, *shape)
    names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n"}} if free else None}
    with _quiet():
        torch.onnx.export(network, (sample,), path, dynamo=False, opset_version=opset, **names)
    return path


def graph_of(path):
    network = read(path)
    return capture(network.module, network.input_shapes[0], path.stem, network.whole)


@pytest.mark.parametrize("free", [False, True], ids=["one", "free"])
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NETWORKS])
def test_a_network_from_a_file_is_the_network(name, free, tmp_path):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make().eval()
    path = exported(network, shape, tmp_path / f"{name}.onnx", free)
    x = torch.randn(3, *shape)
    direct, found = run_float(capture(network, shape, name), x), run_float(graph_of(path), x)
    close = CLOSE * float(direct.abs().max())
    torch.testing.assert_close(found, direct, rtol=0, atol=close)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    each = [x] if free else x.split(1)
    theirs = np.concatenate([session.run(None, {"x": part.numpy()})[0] for part in each])
    np.testing.assert_allclose(found.numpy(), theirs, rtol=0, atol=close)


def test_whole_numbers_are_read_by_an_embedding(tmp_path):
    torch.manual_seed(0)
    network, x = Words().eval(), torch.randint(300, (3, 5))
    with _quiet():
        torch.onnx.export(
            network, (x,), tmp_path / "words.onnx", dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"]
        )
    graph = graph_of(tmp_path / "words.onnx")
    assert graph.vocabularies == {"input": 300}
    torch.testing.assert_close(run_float(graph, x), network(x).detach(), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("opset", [9, 11, 13, 20])
def test_older_and_newer_opsets(opset, tmp_path):
    torch.manual_seed(0)
    network, x = UNet().eval(), torch.randn(2, 3, 16, 16)
    network.forward = network.older
    graph = graph_of(exported(network, (3, 16, 16), tmp_path / "net.onnx", opset=opset))
    torch.testing.assert_close(run_float(graph, x), network(x).detach(), rtol=0, atol=CLOSE)


def test_weighted_nodes_bear_the_names_of_the_file(tmp_path):
    graph = graph_of(exported(zoo("lenet", (1, 28, 28)).eval(), (1, 28, 28), tmp_path / "lenet.onnx"))
    direct = capture(zoo("lenet", (1, 28, 28)), (1, 28, 28), "lenet")
    assert [n.op for n in graph.nodes] == [n.op for n in direct.nodes]
    names = ["conv1_Conv", "conv2_Conv", "fc1_Gemm", "fc2_Gemm", "fc3_Gemm"]
    assert [node.name for node in graph.weighted] == names
    assert {n.source for n in graph.weighted} == {"lenet.onnx"}


@pytest.mark.parametrize("name", ["gelu", "tanh_gelu", "silu", "hardswish", "mish", "layer_norm"])
def test_functions_that_are_written_out_are_one_operator_again(name, tmp_path):
    functions = {
        "gelu": (F.gelu, "gelu", 17),
        "tanh_gelu": (lambda x: F.gelu(x, approximate="tanh"), "gelu", 17),
        "silu": (F.silu, "silu", 17),
        "hardswish": (lambda x: x * F.hardtanh(x + 3, 0, 6) / 6, "hardswish", 11),
        "mish": (F.mish, "mish", 17),
        "layer_norm": (lambda x: F.layer_norm(x, (16,)), "layer_norm", 13),
    }
    function, op, opset = functions[name]

    class Network(nn.Module):
        def forward(self, x):
            return function(x)

    graph = graph_of(exported(Network(), (5, 16), tmp_path / "net.onnx", opset=opset))
    assert [node.op for node in graph.nodes] == [op]
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(run_float(graph, x), function(x), rtol=0, atol=CLOSE)
