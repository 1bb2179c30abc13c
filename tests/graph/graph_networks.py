"""Torch networks for the tests of this room: a fixed list with every feature, and random ones."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from mico_runner.graph import capture, run_float


class Residual(nn.Module):
    def __init__(self, channels=6, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels, affine=False)
        self.down = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = F.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.down(x)
        return F.relu(y)


class Fire(nn.Module):
    def __init__(self, channels=6):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 3, 1)
        self.one, self.three = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding="same")

    def forward(self, x):
        x = F.relu6(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


class Twice(nn.Module):
    """One module called twice, functional weights, reshapes of all kinds."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Parameter(torch.randn(5, 3 * 16))

    def forward(self, x):
        x = self.shared(F.max_pool2d(self.shared(x), 2)).relu()
        x = F.adaptive_avg_pool2d(x, 4)
        x = x.reshape(len(x), 3, -1).unsqueeze(2).permute(0, 2, 1, 3).squeeze(1)
        return F.linear(x.flatten(1), self.head)


class Speech(nn.Module):
    """conv1d with batch-norm, residual sum, pooling and mean."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(4, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Dropout())
        self.a, self.b = nn.Conv1d(8, 8, 3, padding=2, dilation=2), nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.bn, self.fc = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        x = self.net(x)
        x = F.relu(self.bn(self.a(x)) + self.b(x))
        return self.fc(F.avg_pool1d(x, 2).mean(-1))


def conv_bn(cin, cout, kernel, **kw):
    return nn.Sequential(nn.Conv2d(cin, cout, kernel, **kw), nn.BatchNorm2d(cout), nn.ReLU6(inplace=True))


FIXED = {
    "mlp": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4)), (1, 8, 8)),
    "lenet": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(400, 10)),
        (1, 28, 28),
    ),
    "residual": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), Residual(), Residual(stride=2), nn.AdaptiveAvgPool2d(1)), (3, 18, 18)),
    "fire": (lambda: nn.Sequential(conv_bn(3, 6, 3, stride=2), Fire(), nn.AvgPool2d(3, 1, 1), nn.Conv2d(8, 2, 1)), (3, 15, 15)),
    "depthwise": (
        lambda: nn.Sequential(conv_bn(3, 8, 3, padding=1), conv_bn(8, 8, (3, 5), groups=8, stride=(2, 1), bias=False),
                              conv_bn(8, 12, 1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(12, 3)),
        (3, 11, 13),
    ),
    "grouped_dilated": (
        lambda: nn.Sequential(nn.ZeroPad2d(2), conv_bn(4, 6, 3, groups=2, dilation=2), nn.Conv2d(6, 3, 3, padding=(0, 1))),
        (4, 12, 9),
    ),
    "twice": (Twice, (3, 16, 16)),
    "speech": (Speech, (4, 40)),
    "tokens": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5)), (7, 6)),
}  # fmt: skip


class Random(nn.Module):
    """A random network of convolutions, pools, residual sums and concatenations; ends in a linear layer."""

    def __init__(self, seed):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.input_shape = (int(rng.integers(1, 4)), int(rng.integers(9, 17)), int(rng.integers(9, 17)))
        channels, blocks = self.input_shape[0], []
        for _ in range(rng.integers(2, 5)):
            out = int(rng.choice([4, 6, 8]))
            kind = rng.choice(["conv", "depthwise", "residual", "fire", "max", "avg"])
            if kind == "conv":
                kernel, groups = (
                    int(rng.choice([1, 2, 3])),
                    int(rng.choice([g for g in (1, 2) if channels % g == 0 and out % g == 0])),
                )
                dilation = int(rng.integers(1, 3))
                options = {"stride": int(rng.integers(1, 3)), "bias": bool(rng.integers(2)), "dilation": dilation}
                padding = dilation * (kernel - 1) // 2 + int(rng.integers(2))
                blocks.append(conv_bn(channels, out, kernel, groups=groups, padding=padding, **options))
            elif kind == "depthwise":
                out = channels
                blocks += [nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.ReLU()]
            elif kind == "residual":
                out = channels
                blocks.append(Residual(channels, int(rng.integers(1, 3))))
            elif kind == "fire":
                out = 8
                blocks.append(Fire(channels))
            else:
                out = channels
                pool = nn.MaxPool2d if kind == "max" else nn.AvgPool2d
                blocks.append(pool(3, int(rng.integers(1, 3)), padding=1))
            channels = out
        self.blocks = nn.Sequential(*blocks)
        with torch.no_grad():
            features = self.blocks.eval()(torch.zeros(1, *self.input_shape)).numel()
        self.fc = nn.Linear(features, 4)

    def forward(self, x):
        return self.fc(torch.flatten(self.blocks(x), 1))


def randomise(module, seed):
    """Batch-norm statistics and affine values as after training; a fresh module would hide folding errors."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            if part.affine:
                part.weight.data.uniform_(-2, 2, generator=generator)
                part.bias.data.normal_(generator=generator)
    return module.eval()


class Body(nn.Module):
    """A network whose forward is one function of the network and a convolution's output."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(2, 2, 3, padding=1), function
        self.bn = nn.BatchNorm2d(2)

    def forward(self, x):
        return self.function(self, self.conv(x))


def same_numbers(module, shape, seed=0):
    """The module's graph, which computes what the module does."""
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


class Tangle(nn.Module):
    """A random network in which any step may read any earlier tensor; what nothing reads is concatenated in the end.

    `calls` holds (module or function, indices of the tensors that it reads); tensor 0 is the input.
    """

    def __init__(self, seed, steps=9):
        super().__init__()
        torch.manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.input_shape = [(4, 6, 6), (4, 12), (8,)][self.rng.integers(3)]
        self.calls, self.owned = [], nn.ModuleList()
        tensors = [torch.randn(2, *self.input_shape)]
        while len(self.calls) < steps:
            first = len(tensors) - 1 if self.rng.random() < 0.7 else int(self.rng.integers(len(tensors)))
            operator, reads = self.draw(tensors, first)
            with torch.no_grad():
                tensors.append(
                    operator.eval()(tensors[first])
                    if isinstance(operator, nn.Module)
                    else operator(*[tensors[i] for i in reads])
                )
            if isinstance(operator, nn.Module) and operator not in list(self.owned):
                self.owned.append(operator)
            self.calls.append((operator, reads))
        self.rng = None

    def draw(self, tensors, first):
        shape, channels = tuple(tensors[first].shape[1:]), tensors[first].shape[1]
        norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d}[len(shape)]
        known = [m for m in self.owned if isinstance(m, norm) and m.num_features == channels]
        choices = [known[0] if known and self.rng.random() < 0.3 else norm(channels)] * 4
        choices += [nn.ReLU(), nn.ReLU6(), nn.Dropout(), nn.Identity(), torch.clone, lambda x: x.detach().contiguous()]
        choices += [lambda x: F.relu_(x.clone()), lambda x: x.unsqueeze(1).squeeze(1)]
        if len(shape) == 1:
            choices += [nn.Linear(channels, 8)] * 3
            choices += [nn.Unflatten(1, (4, channels // 4))] if channels % 4 == 0 else []
        if len(shape) == 2:
            choices += [nn.Conv1d(channels, 4, 3, padding=1)] * 2 + [nn.Linear(shape[1], 6), nn.Flatten()]
            choices += [
                nn.Sequential(nn.ConstantPad1d(1, 0.0), nn.Conv1d(channels, 4, 3, groups=2 if channels % 2 == 0 else 1))
            ]
        if len(shape) == 3:
            choices += [nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(channels, 4, 1), nn.Flatten(), nn.Flatten(2)]
            choices += [
                nn.MaxPool2d(3, 1, 1),
                nn.AvgPool2d(3, 1, 1),
                nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(channels, 4, 3)),
            ]
            choices += [prune.random_unstructured(nn.Conv2d(channels, 4, 3, padding=1), "weight", 0.5)]
        twins = [i for i, t in enumerate(tensors) if t.shape == tensors[first].shape]
        second = int(self.rng.choice(twins))
        pairs = [lambda x, y: x + y, lambda x, y: torch.cat([x, y], 1), lambda x, y: x.add(y)]
        pick = int(self.rng.integers(len(choices) + len(pairs)))
        return (choices[pick], (first,)) if pick < len(choices) else (pairs[pick - len(choices)], (first, second))

    def forward(self, x):
        tensors = [x]
        for operator, reads in self.calls:
            tensors.append(operator(*[tensors[i] for i in reads]))
        read = {i for _, reads in self.calls for i in reads}
        return torch.cat([t.flatten(1) for i, t in enumerate(tensors) if i not in read], 1)
