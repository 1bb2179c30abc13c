import contextlib
import inspect
import re

import pytest
import torch
from graph_networks import FIXED, Body, Random, Tangle, randomise, same_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from mico_runner.errors import UsageError
from mico_runner.graph import capture, run_float
from mico_runner.ops import operator


def well_formed(graph):
    known = {graph.input}
    for node in graph.nodes:
        assert set(node.inputs) <= known and node.output not in known
        assert set(node.attrs) == set(operator(node.op).ATTRS)
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


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_tangled_networks_compute_what_torch_computes_or_are_refused_with_a_line(seed):
    torch.manual_seed(seed)
    module = randomise(Tangle(seed), seed)
    try:
        well_formed(same_numbers(module, module.input_shape, seed))
    except UsageError as error:
        assert re.match(r"\S+\.py:\d+: node ", str(error)), error


def test_most_tangled_networks_are_captured():
    captured = 0
    for seed in range(8):
        module = Tangle(seed).eval()
        with contextlib.suppress(UsageError):
            captured += bool(capture(module, module.input_shape, "net").nodes)
    assert captured >= 6


PADDED = {
    "conv1d": (lambda: [nn.ConstantPad1d(2, 0.0), nn.Conv1d(4, 3, 3)], (4, 9)),
    "conv1d, both": (lambda: [nn.ConstantPad1d(2, 0.0), nn.Conv1d(4, 3, 3, padding=1, dilation=2, stride=2)], (4, 9)),
    "channels of conv1d": (lambda: [Pad(0, 0, 1, 1), nn.Conv1d(6, 3, 3)], (4, 9)),
    "all of conv1d": (lambda: [Pad(2, 2, 0, 2), nn.Conv1d(6, 3, 3)], (4, 9)),
    "height and width": (lambda: [nn.ZeroPad2d((1, 1, 2, 2)), nn.Conv2d(4, 3, 3, padding=(1, 0))], (4, 9, 7)),
    "width only": (lambda: [Pad(3, 3), nn.Conv2d(4, 3, 3)], (4, 9, 7)),
    "all of conv2d": (lambda: [Pad(1, 1, 2, 2, 1, 0), nn.Conv2d(5, 3, 3)], (4, 9, 7)),
    "through a dropout": (lambda: [nn.ZeroPad2d(1), nn.Dropout(), nn.Conv2d(4, 3, 3)], (4, 9, 7)),
    "none": (lambda: [nn.Conv2d(4, 3, 3), Pad(0, 0), nn.ReLU()], (4, 9, 7)),
    "none as output": (lambda: [nn.Conv2d(4, 3, 3), Pad(0, 0)], (4, 9, 7)),
}


class Pad(nn.Module):
    def __init__(self, *amounts):
        super().__init__()
        self.amounts = amounts

    def forward(self, x):
        return F.pad(x, self.amounts)


@pytest.mark.parametrize("name", PADDED)
def test_zeros_in_front_of_a_convolution(name):
    torch.manual_seed(0)
    make, shape = PADDED[name]
    same_numbers(nn.Sequential(*make()).eval(), shape)


IN_PLACE = {
    "relu": lambda s, y: (F.relu_(y), s.conv(y) + y)[1],
    "relu of a view": lambda s, y: (y.view(len(y), -1).relu_(), y)[1],
    "add": lambda s, y: (y.add_(s.conv(y)), s.conv(y))[1],
    "add, then change the other": lambda s, y: (z := s.conv(y), y.add_(z), z.relu_(), y + z)[3],
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_operators_that_change_their_input(name):
    same_numbers(randomise(Body(IN_PLACE[name]), 0), (2, 8, 8))


@pytest.mark.parametrize("to", [torch.float64, torch.float16, torch.channels_last])
def test_modules_of_other_precision_or_layout(to):
    module = randomise(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)), 0)
    graph = capture(module.to(memory_format=to) if to is torch.channels_last else module.to(to), (2, 6, 6), "net")
    x = torch.randn(3, 2, 6, 6)
    assert torch.allclose(run_float(graph, x), module.float()(x), atol=1e-5)


def test_capture_leaves_the_module_alone():
    module = randomise(FIXED["residual"][0](), 0).train()
    before, random = {k: v.clone() for k, v in module.state_dict().items()}, torch.get_rng_state()
    capture(module, (3, 18, 18), "net")
    assert torch.equal(torch.get_rng_state(), random)
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


CALLS = {  # the operators of the graph, in order
    "ceil": (lambda s, x: F.max_pool2d(x, 3, 2, ceil_mode=True), "conv2d max_pool2d"),
    "count": (lambda s, x: F.avg_pool2d(x, 3, padding=1, count_include_pad=False), "conv2d avg_pool2d affine"),
    "sigmoid": (lambda s, x: torch.sigmoid(x), "conv2d sigmoid"),
    "clamp": (lambda s, x: F.hardtanh(x, -1, 1), "conv2d clip"),
    "mean": (lambda s, x: x.mean(1), "conv2d permute reshape avg_pool2d reshape"),
    "constant": (lambda s, x: x + s.conv.bias.reshape(1, 2, 1, 1), "conv2d"),
    "broadcast": (lambda s, x: x + F.adaptive_avg_pool2d(x, 1), "conv2d avg_pool2d expand add"),
    "transposed": (lambda s, x: F.conv_transpose2d(x, s.conv.weight), "conv2d dilate conv2d"),
    "prelu": (lambda s, x: F.prelu(x, s.bn.weight), "conv2d affine"),
    "asymmetric": (lambda s, x: s.conv(F.pad(x, (0, 1, 0, 1))), "conv2d pad conv2d"),
    "symmetric": (lambda s, x: s.conv(F.pad(x, (1, 1, 2, 2))), "conv2d conv2d"),
    "pad_of_maxima": (lambda s, x: F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2), "conv2d take take max_pool2d"),
    "pad_alone": (lambda s, x: F.relu(F.pad(x, (1, 1, 1, 1))), "conv2d pad relu"),
    "pad_last": (lambda s, x: F.pad(x, (1, 1, 1, 1)), "conv2d pad"),
    "pad_pad": (lambda s, x: s.conv(F.pad(F.pad(x, (1, 1)), (0, 0, 1, 1))), "conv2d pad conv2d"),
    "pad_flatten": (lambda s, x: F.pad(x, (1, 1)).flatten(1), "conv2d pad reshape"),
    "pad_cat": (lambda s, x: torch.cat([F.pad(x, (1, 1)), F.pad(x, (1, 1))], 1), "conv2d pad pad concat"),
    "pad_groups": (
        lambda s, x: F.conv2d(F.pad(x, (0, 0, 0, 0, 1, 1)), torch.ones(4, 1, 3, 3), groups=4), "conv2d pad conv2d"
    ),
    "even_same": (lambda s, x: F.conv2d(x, torch.ones(2, 2, 2, 4), padding="same"), "conv2d pad conv2d"),
    "permute": (lambda s, x: x.permute(0, 2, 3, 1), "conv2d permute"),
    "shuffle": (lambda s, x: x.reshape(-1, 2, 1, 8, 8).transpose(1, 2).reshape(-1, 2, 8, 8).relu(), "conv2d relu"),
    "transpose": (lambda s, x: x.flatten(2).transpose(1, 2).relu(), "conv2d reshape permute relu"),
    "step": (lambda s, x: s.conv(x[:, :, ::2, 1:]), "conv2d slice slice conv2d"),
    "half": (lambda s, x: x.chunk(2, 1)[1] + x[:, :1], "conv2d slice slice add"),
    "split": (lambda s, x: x.split([3, 5], 2)[1], "conv2d slice"),
    "select": (lambda s, x: x[:, 1].relu(), "conv2d slice relu reshape"),
    "unbind": (lambda s, x: x.unbind(1)[1], "conv2d slice reshape"),
    "reflect": (lambda s, x: s.conv(F.pad(x, (1, 2, 3, 1), mode="reflect")), "conv2d take take conv2d"),
    "replicate": (lambda s, x: F.pad(x.flatten(2), (1, 2), mode="replicate"), "conv2d reshape take"),
    "circular": (lambda s, x: F.pad(x, (1, 2, 0, 0), mode="circular"), "conv2d take"),
    "value": (lambda s, x: F.pad(x, (1, 2), value=1.5), "conv2d constant constant concat"),
    "crop": (lambda s, x: F.pad(x, (-1, 1, -2, 0)), "conv2d take take pad"),
    "adaptive": (lambda s, x: F.adaptive_avg_pool2d(x, (3, 9)), "conv2d resize"),
    "adaptive_1d": (lambda s, x: F.adaptive_avg_pool1d(x.flatten(2), 7), "conv2d reshape resize reshape"),
    "adaptive_max": (lambda s, x: F.adaptive_max_pool2d(x, (3, 4)), "conv2d take max_pool2d"),
    "adaptive_max_1d": (lambda s, x: F.adaptive_max_pool1d(x.flatten(2), 5), "conv2d reshape take max_pool2d reshape"),
    "amax": (lambda s, x: x.amax((2, 3)), "conv2d max_pool2d reshape"),
    "max_of_points": (lambda s, x: x.flatten(2).max(1, keepdim=True)[0], "conv2d reshape permute reshape max_pool2d reshape"),
    "instance_norm": (lambda s, x: F.instance_norm(x), "conv2d reshape layer_norm reshape"),
    "log_softmax": (lambda s, x: F.log_softmax(x, 3), "conv2d log_softmax"),
    "gated": (lambda s, x: F.glu(x, 1), "conv2d slice slice sigmoid mul"),
    "einsum": (lambda s, x: torch.einsum("bchw,bdhw->bcd", x, s.conv(x)), "conv2d conv2d reshape reshape permute reshape matmul"),
    "matrix": (lambda s, x: x @ torch.ones(8, 3), "conv2d linear"),
    "matrix_first": (lambda s, x: torch.ones(3, 8) @ x, "conv2d permute linear permute"),
    "unfold": (lambda s, x: F.unfold(x, 3, padding=1, stride=2), "conv2d im2col"),
    "windows": (lambda s, x: x.unfold(3, 3, 2), "conv2d take reshape"),
    "index": (lambda s, x: x[:, :, torch.tensor([[0, 2], [7, 2]])], "conv2d take reshape"),
    "select_rows": (lambda s, x: x.index_select(2, torch.tensor([3, 0])), "conv2d take"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_what_a_call_becomes(name):
    function, ops = CALLS[name]
    graph = same_numbers(Body(function), (2, 8, 8))
    found = [node.op for node in graph.nodes]
    assert found == ops.split()


REFUSED = {
    "pool_dilation": (lambda s, x: F.max_pool2d(x, 2, dilation=2), "dilation"),
    "divisor": (lambda s, x: F.avg_pool2d(x, 2, divisor_override=3), "divisor_override"),
    "batch": (lambda s, x: x.reshape(-1, 2), "batch as its first dimension"),
    "bn_computed": (lambda s, x: F.batch_norm(x, F.relu(x[0, :, 0, 0]), s.bn.running_var), "not supported"),
    "bn_training": (lambda s, x: F.batch_norm(x, s.bn.running_mean, s.bn.running_var, training=True), "statistics of the batch"),
    "dropout": (lambda s, x: F.dropout(x, 0.5, training=True), "random"),
    "noise": (lambda s, x: F.conv2d(x, torch.rand(2, 2, 1, 1)), "random"),
    "pad_batch": (lambda s, x: s.conv(F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))), "padding the batch"),
    "pad_infinite": (lambda s, x: F.pad(x, (1, 1), value=-torch.inf), "padding with -inf"),
    "crossed": (lambda s, x: x[:, 0] + x, "the batch in different dimensions"),
    "index_batch": (lambda s, x: x[torch.tensor([1, 0])], "samples of the batch"),
    "index_apart": (lambda s, x: x[:, torch.tensor([0, 1]), :, torch.tensor([0, 1])], "side by side"),
    "max_batch": (lambda s, x: x.amax(0, keepdim=True), "over the batch"),
    "indices": (lambda s, x: F.max_pool2d(x, 3, 1, return_indices=True)[0], "max_pool2d_with_indices"),
    "squeeze": (lambda s, x: x[:1].squeeze(0), "not supported"),
    "cat_batch": (lambda s, x: torch.cat([x, x], 0), "over the batch"),
    "flatten": (lambda s, x: x.flatten(0, 1), "batch as its first dimension"),
    "transpose": (lambda s, x: x.transpose(0, 1), "batch as its first dimension"),
    "double": (lambda s, x: x.double(), "float64"),
    "vector": (lambda s, x: F.linear(x, torch.ones(8)), "must be a matrix"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expressed_is_an_error_that_names_the_source_line(name):
    function, message = REFUSED[name]
    with pytest.raises(UsageError, match=message) as caught:
        capture(Body(function), (2, 8, 8), "net")
    line = inspect.getsourcelines(Body.forward)[1] + 1
    assert str(caught.value).startswith(f"graph_networks.py:{line}: node ")


def test_the_module_is_named():
    module = nn.MaxPool2d(2, dilation=2)
    with pytest.raises(UsageError, match=r"node '0' \(aten.max_pool2d"):
        capture(nn.Sequential(module), (2, 8, 8), "net")


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: (x, x),
        lambda s, x: x if x.sum() > 0 else -x,
        lambda s, x: x.relu() if float(x.sum()) > 0 else x,
        lambda s, x: torch.ones(2, 2),
        lambda s, x: s.conv.weight,
        lambda s, x: None,
    ],
)
def test_networks_that_are_no_single_static_graph(function, capfd):
    with pytest.raises(UsageError, match="network 'net'"):
        capture(Body(function), (2, 8, 8), "net")
    assert capfd.readouterr() == ("", "")  # torch's own pages about it are not shown


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


PARAMETRISED = {
    "weight norm": torch.nn.utils.parametrizations.weight_norm,
    "spectral norm": torch.nn.utils.parametrizations.spectral_norm,
    "weight norm by hooks": torch.nn.utils.weight_norm,
    "spectral norm by hooks": torch.nn.utils.spectral_norm,
    "pruned": lambda m: prune.l1_unstructured(m, "weight", 0.5),
    "pruned twice": lambda m: prune.random_unstructured(prune.l1_unstructured(m, "weight", 0.5), "weight", 0.5),
    "pruned channels": lambda m: prune.ln_structured(m, "weight", 0.5, n=2, dim=0),
    "pruned bias": lambda m: prune.l1_unstructured(m, "bias", 0.5),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("name", PARAMETRISED)
def test_arithmetic_on_weights_is_done_once(name):
    torch.manual_seed(0)
    module = nn.Sequential(PARAMETRISED[name](nn.Conv2d(2, 4, 3)), nn.BatchNorm2d(4), nn.ReLU()).train()
    module(torch.randn(2, 2, 6, 6)).sum().backward()
    graph = same_numbers(module.eval(), (2, 6, 6))
    assert [n.op for n in graph.nodes] == ["conv2d", "relu"] and graph.weighted[0].name == "0"
    if name == "pruned channels":
        assert (graph.weighted[0].weight == 0).all(axis=(1, 2, 3)).sum() == 2


def test_all_calls_that_cannot_be_expressed_are_named_at_once():
    def function(s, x):
        y = torch.linalg.vector_norm(x, ord=1, dim=1, keepdim=True)
        z = torch.cumprod(s.conv(x), 1) + torch.trunc(s.conv(x))
        return (y * z).logsumexp(1) + torch.cumprod(x, 1)[:, 0]

    with pytest.raises(UsageError) as caught:
        capture(Body(function), (2, 8, 8), "net")
    first, *lines = str(caught.value).splitlines()
    assert first == "network 'net': 5 calls cannot be expressed:"
    assert [line.split("(aten.")[1].split(".")[0] for line in lines] == [
        *("linalg_vector_norm", "cumprod", "trunc", "logsumexp")
    ]
    assert all(line.startswith("  graph_networks.py:") for line in lines) and lines[1].endswith("(2 times)")


class Windows(nn.Module):
    """As Swin has them: the batch is part of a dimension that holds windows, and back again."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, x):
        n, h, w, c = x.shape
        y = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        y = self.layer(y).relu()
        return y.view(n, h // 2, w // 2, 2, 2, 5).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, 5)


ENCODERS = {
    "batch first": (lambda: nn.TransformerEncoderLayer(16, 4, 24, batch_first=True), (6, 16)),
    "norm first": (lambda: nn.TransformerEncoderLayer(16, 2, 24, batch_first=True, norm_first=True), (5, 16)),
    "windows": (Windows, (4, 6, 3)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_the_batch_may_be_anywhere_inside(name):
    make, shape = ENCODERS[name]
    same_numbers(nn.Sequential(make()).eval(), shape)


def test_attention_over_the_samples_of_a_batch_is_refused():
    with pytest.raises(UsageError, match="does not compute what the module does"):
        capture(nn.Sequential(nn.TransformerEncoderLayer(16, 2, 24, batch_first=False)), (6, 16), "net")
