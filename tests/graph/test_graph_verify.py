"""Every capture runs graph and module on random input: a wrong lowering, pass or trace is an error that names the node."""

import numpy as np
import pytest
import torch
from graph_networks import FIXED, Body, randomise
from torch import nn
from torch.nn import functional as F

from mico_runner.errors import UsageError
from mico_runner.graph import capture, frontend, run, verify
from mico_runner.ops import by_aten, draft


def wrong(monkeypatch, target, change):
    """Let the lowering of one operator give a node that `change` spoils."""
    taken = by_aten()[target]
    right = taken.capture

    def spoilt(call):
        result = right(call)
        change(call.builder.nodes[-1])
        return result

    monkeypatch.setattr(taken, "capture", spoilt)


def net():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3)
    )


SPOILT = {
    "weights": ("aten.conv2d.default", lambda node: node.weight.sort(axis=1), "0"),
    "one weight in a thousand": ("aten.conv2d.default", lambda node: node.weight.__setitem__((0, 0, 0, 0), 0.25), "0"),
    "bias": ("aten.conv2d.default", lambda node: node.bias.__imul__(0.9), "0"),
    "padding": ("aten.conv2d.default", lambda node: node.weight.__setitem__((..., 0), node.weight[..., 1]), "0"),
    "limit": ("aten.relu.default", lambda node: node.attrs.update(max=0.5), "2"),
    "mean": ("aten._native_batch_norm_legit_no_training.default", lambda node: node.attrs["mean"].fill(0), "0"),
    "factor": ("aten._native_batch_norm_legit_no_training.default", lambda node: node.attrs["factor"].fill(1), "0"),
    "beta": ("aten._native_batch_norm_legit_no_training.default", lambda node: node.attrs["beta"].fill(0), "0"),
}


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_lowering_is_named(monkeypatch, name, trained):
    target, change, node = SPOILT[name]
    wrong(monkeypatch, target, change)
    torch.manual_seed(0)
    module = randomise(net(), 1) if trained else net()
    with pytest.raises(UsageError, match=f"node '{node}' .*does not compute what the module does"):
        capture(module, (2, 8, 8), "net")


def test_a_node_in_the_middle_is_named_and_its_line(monkeypatch):
    right = run.compute
    monkeypatch.setattr(verify, "compute", lambda n, x: right(n, x) + 0.01 * (n.name == "conv@3"))
    module = Body(lambda s, x: s.conv(F.relu(s.conv(s.conv(x)))))
    with pytest.raises(UsageError, match=r"^graph_networks.py:\d+: node 'conv@3' \(conv2d\)"):
        capture(module, (2, 8, 8), "net")


def test_a_wrong_pass_is_named(monkeypatch):
    monkeypatch.setattr(draft.Draft, "readers", lambda self: dict.fromkeys(self.shapes, 1))  # nothing is read twice
    with pytest.raises(UsageError, match="node 'relu'"):
        capture(Body(lambda s, x: s.bn(x) + F.relu(x)), (2, 8, 8), "net")


class Exporting(nn.Module):
    """Computes something else when it is traced."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.conv(x) if torch.compiler.is_exporting() else self.conv(x).relu()


@pytest.mark.parametrize(
    "module",
    [Exporting(), Body(lambda s, x: x.reshape(2, -1)), Body(lambda s, x: x.reshape(x.shape[1], -1))],
)
def test_a_forward_that_is_no_function_of_one_sample(module):
    with pytest.raises(
        UsageError, match=r"network 'net': (the operators that tracing found|its forward fails for 3 samples)"
    ):
        capture(module, (2, 8, 8), "net")


class Counting(nn.Module):
    """Changes what it computes at each call, by an attribute or a buffer."""

    def __init__(self, buffer):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.calls = 0
        if buffer:
            del self.calls
            self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return self.conv(x) * self.calls


@pytest.mark.parametrize(
    ("buffer", "says"), [(False, "or on attributes that change"), (True, "its forward changes the buffer 'calls'")]
)
def test_a_forward_that_changes_what_it_computes(buffer, says):
    with pytest.raises(UsageError, match=says):
        capture(Counting(buffer), (2, 8, 8), "net")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e300])
@pytest.mark.parametrize(
    "path", ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "4.weight"]
)
def test_parameters_that_are_not_finite(path, value):
    module = randomise(net(), 0).double()
    with torch.no_grad():
        module.state_dict()[path].view(-1)[3] = value
    with pytest.raises(UsageError, match=f"network 'net': '{path}' is not finite: 1 of .*the first is -?(nan|inf) at"):
        capture(module, (2, 8, 8), "net")


@pytest.mark.parametrize(("variance", "eps"), [(0.0, 0.0), (-1.0, 1e-5)])
def test_a_variance_that_gives_no_factor(variance, eps, recwarn):
    module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, eps=eps))
    module[1].running_var[1] = variance
    with pytest.raises(UsageError, match=f"node '1' .*channel 1 is not finite: variance {variance:g}, eps {eps:g}"):
        capture(module, (3, 8, 8), "net")
    assert not recwarn.list


def test_weights_that_overflow_by_folding(recwarn):
    module = randomise(nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, eps=0.0)), 0)
    module[0].weight.data[:] = 1e37
    module[1].running_var[:] = 1e-10
    with pytest.raises(UsageError, match="node '0': its weights or bias, as the graph has them, are not finite"):
        capture(module, (3, 8, 8), "net")
    assert not recwarn.list


def test_what_the_network_does_not_use_may_be_infinite():
    module = net()
    module.register_buffer("unused", torch.tensor(float("inf")))
    capture(module, (2, 8, 8), "net")


@pytest.mark.parametrize("name", ["residual", "depthwise", "speech", "mlp"])
def test_checking_with_drawn_statistics_leaves_the_graph_as_it_was(name):
    """The weights are those of the module, not those that it was checked with."""
    torch.manual_seed(0)
    make, shape = FIXED[name]
    module = make().eval()
    traced = frontend.trace(module, sample := (torch.zeros(2, *shape),), "net")
    wanted, _ = frontend._lower(traced, traced.constants, sample)
    assert verify.drawn_statistics(traced)
    found = capture(module, shape, "net")
    for a, b in zip(found.nodes, wanted.nodes, strict=True):
        assert (a.name, a.op, a.inputs, a.output, a.attrs) == (b.name, b.op, b.inputs, b.output, b.attrs)
        assert a.weight is b.weight is None or (np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias))


def test_trained_statistics_are_not_replaced():
    module = randomise(FIXED["residual"][0](), 0)
    assert not verify.drawn_statistics(frontend.trace(module, (torch.zeros(2, 3, 18, 18),), "net"))


def test_ill_conditioned_networks_are_not_refused_for_rounding():
    """A channel that training found constant: its variance is nothing, its mean large."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    ).eval()
    module[0].weight.data[:] = 0
    module[0].bias.data[:] = 30.1
    module[1].running_mean[:], module[1].running_var[:] = 30.1, 1e-12
    module[4].running_var[:] = 1e-12
    module[4].running_mean[:] = module[3].bias.data
    capture(module, (2, 8, 8), "net")
