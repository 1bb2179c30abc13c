"""What torch has many names for: masks, assignments to slices, repeats, sums of products, one number for each sample."""

import pytest
import torch
import torch.nn.functional as F
from graph_networks import same_numbers
from torch import nn

from mico_runner.errors import UsageError
from mico_runner.graph import capture, run_float

torch.manual_seed(0)
TRIANGLE = torch.tril(torch.ones(4, 4)).bool()
BOTH = torch.randn(3, 4, 4)
HEADS, PLACES = torch.randn(3, 2, 4), torch.randint(4, (4, 4))
MATRIX, ROW = torch.randn(4, 5), torch.randn(5)
MINUS = torch.zeros(4, 4).masked_fill(~TRIANGLE, -torch.inf)


def written(x):
    y = x.clone()
    y[:, 0] = x[:, 1] * 2
    y[..., ::2] = x[..., 1::2].relu()
    y[:, 2, 1:3] = 3.0
    return y


CALLS = {
    "attention of earlier tokens": lambda x: F.scaled_dot_product_attention(x, x + 1, x, is_causal=True),
    "mask of truth values": lambda x: F.scaled_dot_product_attention(x, x + 1, x, attn_mask=TRIANGLE),
    "mask of infinities": lambda x: F.scaled_dot_product_attention(x, x + 1, x, attn_mask=MINUS),
    "filled before a softmax": lambda x: x.masked_fill(~TRIANGLE, -torch.inf).softmax(-1),
    "infinity added": lambda x: (x * 2 + MINUS).softmax(-1),
    "large term added": lambda x: (x + MINUS.clamp(min=-100)).reshape(-1, 2, 2, 4).softmax(-1),
    "filled": lambda x: x.masked_fill(TRIANGLE, 2.0).tril(1),
    "chosen": lambda x: torch.where(TRIANGLE, x, x * 2 + 1),
    "written": written,
    "repeated": lambda x: torch.cat([x.repeat(1, 2, 1), x.tile(2).reshape(-1, 8, 4), x.repeat_interleave(2, 1)], 1),
    "moments": lambda x: torch.cat([x.std(-1), x.var(1, unbiased=False), *torch.var_mean(x, 1)], 1),
    "larger and smaller": lambda x: (
        torch.maximum(x, x.flip(-1)) + torch.minimum(x, torch.linspace(-1, 1, 4)) - x.amin(1, True)
    ),
    "sums of products": lambda x: (
        torch.addmm(ROW, x.reshape(-1, 4), MATRIX).view(-1, 4, 5) + torch.cumsum(x @ MATRIX, 1)
    ),
    "one number": lambda x: ((x[:, 0] @ MATRIX[:, 0]).sigmoid() + x.mean((1, 2)) * x.flatten(1).sum(-1))[:, None],
    "numbers side by side": lambda x: torch.stack([x[:, 0, 0], x[:, 1, 2] / x.exp().sum((1, 2))], 1),
    "constants that make it larger": lambda x: x[..., None] * torch.arange(3.0) - torch.ones(2, 4, 1, 3)[0],
    "several indices": lambda x: x[:, torch.tensor([0, 2]), torch.tensor([1, 3])],
    "compared": lambda x: (
        torch.where((x > 0.1) & ~(x >= x.flip(-1)), x, x * 2) + torch.where(x.mean(1, True) < ROW[:4], 3.0, x)
    ),
    "chosen among numbers": lambda x: (
        torch.where((x.flip(1) <= 0) | (ROW[0] < x), 2.0, -1.0) * torch.where(x > 0, x, 0.5)
    ),
    "kept where nothing is larger": lambda x: (F.max_pool1d(x, 3, 1, 1) == x).float() * x + (x != x.roll(1, -1)),
    "averages that overhang": lambda x: torch.cat(
        [
            F.avg_pool2d(x[:, None], 3, 2, 1, ceil_mode=True, count_include_pad=False).flatten(1),
            F.avg_pool2d(x[:, None], (3, 2), (2, 3), (1, 0), ceil_mode=True).flatten(1),
            F.avg_pool1d(x, 3, 2, ceil_mode=True).flatten(1),
        ],
        1,
    ),
    "gathered": lambda x: (
        torch.gather(x, 1, TRIANGLE.long().expand(len(x), 4, 4)) - x.gather(2, PLACES.expand(len(x), 4, 4))
    ),
    "signs": lambda x: torch.sign(x) + torch.relu(x) * x.sgn(),
    "samples that are counted": lambda x: x[torch.arange(len(x))[:, None], torch.tensor([[3, 0, 1]])],
    "products with a matrix for each head": lambda x: torch.einsum("bind,tnd->bnit", x.view(-1, 2, 2, 4), HEADS),
    "put back": lambda x: F.max_unpool2d(*F.max_pool2d(x[:, None].relu(), 2, return_indices=True), 2)[:, 0] - x,
    "folded": lambda x: F.fold(F.unfold(x[:, None], 3, padding=1, stride=2) * 2, (4, 4), 3, padding=1, stride=2)[:, 0],
    "folded side by side": lambda x: F.fold(F.unfold(x[:, None], 2, stride=2).relu(), (4, 4), 2, stride=2)[:, 0],
    "slopes and logarithms": lambda x: F.rrelu(x, 0.1, 0.3) + F.logsigmoid(x),
    "bilinear": lambda x: F.bilinear(x, x.flip(1), BOTH, ROW[:3]),
    "sum with a factor": lambda x: torch.sub(x, x.flip(-1), alpha=2),
}


class Called(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


@pytest.mark.parametrize("name", CALLS)
def test_is_what_it_computes(name):
    same_numbers(Called(CALLS[name]), (4, 4))


def test_a_mask_is_part_of_the_softmax_and_no_term_is_left():
    """A type that holds such a term has no steps left for the scores."""
    graph = capture(Called(CALLS["infinity added"]), (4, 4), "masked")
    (softmax,) = [n for n in graph.nodes if n.op == "softmax"]
    assert (softmax.attrs["kept"] == TRIANGLE.numpy()).all()
    assert all(abs(n.attrs["term"]).max() == 0 for n in graph.nodes if n.op == "affine")


def test_truth_values_may_be_what_a_network_returns():
    graph = capture(Called(lambda x: x[:, 0] > x[:, 1]), (4, 4), "larger")
    x = torch.randn(3, 4, 4)
    assert (run_float(graph, x) == (x[:, 0] > x[:, 1])).all()


def test_a_computed_condition_cannot_choose_infinity():
    with pytest.raises(UsageError, match="cannot choose infinity; choose a finite number"):
        capture(Called(lambda x: x.masked_fill(x > 0, -torch.inf).softmax(-1)), (4, 4), "filled")


def test_a_row_of_which_nothing_is_left_stays_a_row_of_terms():
    empty = TRIANGLE.clone()
    empty[2] = False
    same_numbers(Called(lambda x: x.masked_fill(~empty, -100.0).softmax(-1)), (4, 4))
    with pytest.raises(UsageError, match="not finite"):
        capture(Called(lambda x: x.masked_fill(~empty, -torch.inf).softmax(-1)), (4, 4), "empty")


def test_cells_and_transposed_convolutions_of_parts():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = nn.ConvTranspose1d(3, 2, 4, 2, 1, groups=1)

        def forward(self, x):
            return self.decoder(x.flatten(0, 1)).reshape(len(x), -1)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.long, self.gated = nn.LSTMCell(4, 3), nn.GRUCell(3, 3)

        def forward(self, x):
            h, c = self.long(x[:, 0])
            return self.gated(h, self.long(x[:, 1], (h, c))[0])

    same_numbers(Both(), (2, 4))
    same_numbers(Parts(), (2, 3, 5))


@pytest.mark.parametrize("known", [True, False])
def test_transformers_of_torch_with_a_mask(known):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.both = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
            self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(4))

        def forward(self, x):
            mask = self.mask if known else nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.both(x, x.flip(1), src_mask=mask, tgt_mask=mask)

    same_numbers(Both().eval(), (4, 8))
