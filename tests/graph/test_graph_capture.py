import inspect

import numpy as np
import pytest
import torch
from graph_networks import FIXED, Random, randomise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mico_runner.errors import UsageError
from mico_runner.graph import capture, run_float
from mico_runner.graph.ir import OPS


def same_numbers(module, shape, seed=0):
    torch.manual_seed(seed)
    x = torch.randn(3, *shape)
    graph = capture(module, shape, "net")
    with torch.no_grad():
        wanted = module(x)
    assert wanted.abs().max() > 0
    found = run_float(graph, x.numpy())
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1, float(wanted.abs().max())))
    return graph


def well_formed(graph):
    known = {graph.input}
    for node in graph.nodes:
        assert set(node.inputs) <= known and node.output not in known
        assert set(node.attrs) == set(OPS[node.op])
        assert (node.weight is not None) == (node.op in ("conv2d", "linear"))
        known.add(node.output)
    assert graph.output in known and set(graph.shapes) == known
    assert len({n.name for n in graph.nodes}) == len(graph.nodes)


@pytest.mark.parametrize("name", FIXED)
def test_fixed_networks_compute_what_torch_computes(name):
    torch.manual_seed(1)
    make, shape = FIXED[name]
    well_formed(same_numbers(randomise(make(), 2), shape))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_compute_what_torch_computes(seed):
    torch.manual_seed(seed)
    module = randomise(Random(seed), seed)
    graph = same_numbers(module, module.input_shape, seed)
    well_formed(graph)
    modules = dict(module.named_modules())
    for node in graph.weighted:
        assert isinstance(modules[node.name], nn.Conv2d | nn.Linear)


def test_capture_leaves_the_module_alone():
    module = randomise(FIXED["residual"][0](), 0).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    capture(module, (3, 18, 18), "net")
    assert module.training and all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_names_and_shapes():
    graph = capture(randomise(FIXED["twice"][0](), 0), (3, 16, 16), "twice")
    assert [n.name for n in graph.weighted] == ["shared", "shared@2", "head"]
    graph = capture(randomise(FIXED["speech"][0](), 0), (4, 40), "speech")
    assert [n.name for n in graph.weighted] == ["net.0", "a", "b", "fc"]
    first = graph.weighted[0]
    assert (
        first.weight.shape == (8, 4, 1, 5)
        and first.attrs["stride"] == (1, 2)
        and graph.shapes[first.output] == (8, 1, 20)
    )


def test_relu_stands_next_to_the_layer_it_is_fused_with():
    lenet = capture(randomise(FIXED["lenet"][0](), 0), (1, 28, 28), "lenet")
    assert [n.op for n in lenet.nodes] == [
        "conv2d",
        "relu",
        "max_pool2d",
        "conv2d",
        "relu",
        "avg_pool2d",
        "reshape",
        "linear",
    ]
    speech = capture(randomise(FIXED["speech"][0](), 0), (4, 40), "speech")
    ops = [n.op for n in speech.nodes]
    assert ops == ["reshape", "conv2d", "relu", "max_pool2d", "conv2d", "conv2d", "add", "relu", "avg_pool2d", "avg_pool2d",
                   "reshape", "linear"]  # fmt: skip


def test_ceil_mode_is_accepted_where_it_changes_nothing():
    same_numbers(nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2, ceil_mode=True)), (1, 8, 8))


class Body(nn.Module):
    """A network whose forward is one function."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(2, 2, 3, padding=1), function
        self.bn = nn.BatchNorm2d(2)

    def forward(self, x):
        return self.function(self, self.conv(x))


REFUSED = {
    "sigmoid": (lambda s, x: torch.sigmoid(x), "not supported; supported: .*conv2d"),
    "reflect": (lambda s, x: s.conv(F.pad(x, (1, 1, 1, 1), mode="reflect")), "padding mode 'reflect'"),
    "value": (lambda s, x: s.conv(F.pad(x, (1, 1, 1, 1), value=1.0)), "value 1.0"),
    "asymmetric": (lambda s, x: s.conv(F.pad(x, (0, 1, 0, 1))), "asymmetrical padding"),
    "pad_alone": (lambda s, x: F.relu(F.pad(x, (1, 1, 1, 1))), "in front of a convolution"),
    "ceil": (lambda s, x: F.max_pool2d(x, 3, 2, ceil_mode=True), "ceil_mode"),
    "pool_dilation": (lambda s, x: F.max_pool2d(x, 2, dilation=2), "dilation"),
    "count": (lambda s, x: F.avg_pool2d(x, 3, padding=1, count_include_pad=False), "count_include_pad"),
    "divisor": (lambda s, x: F.avg_pool2d(x, 2, divisor_override=3), "divisor_override"),
    "adaptive": (lambda s, x: F.adaptive_avg_pool2d(x, 3), "multiple of the output"),
    "clamp": (lambda s, x: F.hardtanh(x, -1, 1), r"\[-1, 1\]"),
    "mean": (lambda s, x: x.mean(1), "mean over dimensions"),
    "batch": (lambda s, x: x.reshape(-1, 2), "batch must stay"),
    "permute": (lambda s, x: x.permute(0, 2, 3, 1), "moves elements"),
    "constant": (lambda s, x: x + s.conv.bias.reshape(1, 2, 1, 1), "not constants"),
    "alpha": (lambda s, x: torch.add(x, s.conv(x), alpha=2), "alpha 2"),
    "broadcast": (lambda s, x: x + F.adaptive_avg_pool2d(x, 1), "one shape"),
    "bn": (lambda s, x: s.bn(F.relu(x)), "must directly follow"),
    "bn_shared": (lambda s, x: s.bn(x) + x, "must directly follow"),
    "even_same": (lambda s, x: F.conv2d(x, torch.ones(2, 2, 2, 2), padding="same"), "asymmetrical"),
    "prelu": (lambda s, x: F.prelu(x, s.bn.weight), "prelu"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expressed_is_an_error_that_names_the_source_line(name):
    function, message = REFUSED[name]
    with pytest.raises(UsageError, match=message) as caught:
        capture(Body(function), (2, 8, 8), "net")
    line = inspect.getsourcelines(Body.forward)[1] + 1
    assert str(caught.value).startswith(f"test_graph_capture.py:{line}: node ")


def test_the_module_is_named():
    with pytest.raises(UsageError, match=r"node 'bn' \(aten"):
        capture(Body(lambda s, x: s.bn(F.relu(x))), (2, 8, 8), "net")


@pytest.mark.parametrize(
    "function", [lambda s, x: (x, x), lambda s, x: x if x.sum() > 0 else -x, lambda s, x: torch.ones(2, 2)]
)
def test_networks_that_are_no_single_static_graph(function):
    with pytest.raises(UsageError, match="network 'net'"):
        capture(Body(function), (2, 8, 8), "net")


class Stubborn(nn.Module):
    """torch.export cannot look into this forward; torch.fx can, as the Python call is done while tracing."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.calls = []

    def forward(self, x):
        if not isinstance(x, torch.fx.Proxy) and torch.compiler.is_exporting():
            raise RuntimeError("not exportable")
        return self.conv(x).relu()


def test_falls_back_to_fx():
    torch.manual_seed(0)
    graph = same_numbers(Stubborn(), (1, 6, 6))
    assert [n.name for n in graph.weighted] == ["conv"]


def test_arithmetic_on_weights_is_done_once():
    module = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), nn.ReLU())
    graph = same_numbers(module, (2, 6, 6))
    assert [n.op for n in graph.nodes] == ["conv2d", "relu"] and graph.weighted[0].name == "0"
