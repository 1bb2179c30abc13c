"""LLaMa decoders (Touvron et al. 2023) over whole sequences: tokens (N, T) to the scores of each next one (N, T, vocabulary)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn

from mico_runner.errors import UsageError
from mico_runner.models import register
from mico_runner.ops.attention import causal_attention
from mico_runner.ops.rope import rope

EPS = 1e-5  # of the norms, as llama2.c has it
NOTHING = 1e-24  # keeps rows of zeros finite, and is nothing beside all others
MOST = 1 << 20  # of any size
BASE = 10_000.0  # of the angles of RoPE
SPREAD = 0.02  # of random weights before training, as in llama2.c


@dataclass(frozen=True)
class LlamaSizes:
    """Sizes of a decoder; in the order of a header of llama2.c.

    Attributes:
        width, hidden: of a token's vector, and within a feed-forward layer.
        kv_heads: heads of keys and values, each read by heads / kv_heads heads of queries (Ainslie et al. 2023).
        vocabulary: different tokens.
        length: most tokens of a sequence.
    """

    width: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    length: int

    @property
    def head(self) -> int:
        """Width of a head."""
        return self.width // self.heads

    @property
    def kv_width(self) -> int:
        return self.head * self.kv_heads

    def check(self, where: str) -> None:
        """Raise UsageError for sizes that are no decoder's, the message beginning with `where`."""
        for field in fields(self):
            if not 1 <= (found := getattr(self, field.name)) <= MOST:
                raise UsageError(f"{where}: {field.name} is {found}; allowed: 1 to {MOST:,}")
        if self.width % self.heads or self.head % 2:
            raise UsageError(
                f"{where}: {self.heads} heads of a width of {self.width}; allowed: heads of one even width"
            )
        if self.heads % self.kv_heads:
            raise UsageError(
                f"{where}: {self.heads} heads read {self.kv_heads} of keys; allowed: a divisor of the heads"
            )


class BitLinear(nn.Module):
    """A layer of {-1, 0, 1} times one scale, which brings each row to length 1 / sqrt(width) before (Ma et al. 2024, BitNet b1.58).

    Args:
        token_bits: each row is rounded to integers of that many bits by its greatest value, as the ternary programs do, and sums are
            sums of integers; 0: not rounded, because the quantiser chooses how it is.
    """

    def __init__(self, inputs: int, outputs: int, token_bits: int = 0) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(inputs, eps=NOTHING, elementwise_affine=False)
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.token_bits = token_bits

    def forward(self, x: Tensor) -> Tensor:
        if not self.token_bits:
            plain: Tensor = self.linear(self.norm(x))
            return plain
        width, weight = x.shape[-1], self.linear.weight
        x = x * (((x * x).sum(-1, keepdim=True) / width).clamp_min(NOTHING).rsqrt() / width)
        step = (x.abs().amax(-1, keepdim=True) / (2 ** (self.token_bits - 1) - 1)).clamp_min(NOTHING)
        integers = x.mul(1 / step).round()
        found: Tensor = (integers @ weight.sign().T) * (weight.abs().max() * width * step)
        return found


def _linear(inputs: int, outputs: int, ternary: bool, token_bits: int) -> nn.Module:
    return BitLinear(inputs, outputs, token_bits) if ternary else nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    """Grouped-query attention to a token and those before it; queries and keys are turned by their place (RoPE)."""

    def __init__(self, sizes: LlamaSizes, ternary: bool, token_bits: int, base: float) -> None:
        super().__init__()
        width, kv = sizes.width, sizes.kv_width
        self.sizes, self.base = sizes, base
        self.wq, self.wk, self.wv, self.wo = (
            _linear(width, outputs, ternary, token_bits) for outputs in (width, kv, kv, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        s = self.sizes
        q, k = rope(self.wq(x), s.head, self.base), rope(self.wk(x), s.head, self.base)
        out: Tensor = self.wo(causal_attention(q, k, self.wv(x), s.heads, s.kv_heads))
        return out


class FeedForward(nn.Module):
    """w2 (silu(w1 x) * w3 x), SwiGLU (Shazeer 2020)."""

    def __init__(self, sizes: LlamaSizes, ternary: bool, token_bits: int) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = (
            _linear(a, b, ternary, token_bits)
            for a, b in ((sizes.width, sizes.hidden), (sizes.hidden, sizes.width), (sizes.width, sizes.hidden))
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))
        return out


class Block(nn.Module):
    """Attention and feed-forward layer, each behind a norm and added to the residual stream."""

    def __init__(self, sizes: LlamaSizes, ternary: bool, token_bits: int, base: float, eps: float) -> None:
        super().__init__()
        norm = nn.Identity if ternary else lambda: nn.RMSNorm(sizes.width, eps=eps)
        self.attention_norm, self.ffn_norm = norm(), norm()
        self.attention = Attention(sizes, ternary, token_bits, base)
        self.feed_forward = FeedForward(sizes, ternary, token_bits)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        out: Tensor = x + self.feed_forward(self.ffn_norm(x))
        return out


class Llama(nn.Module):
    """A decoder. Tokens int64 (N, T), T up to `sizes.length`, to float32 (N, T, vocabulary).

    Args:
        shared: the classifier is the table of the embedding.
        ternary: no norms but the last, and `BitLinear` for all layers of the blocks.
        token_bits: of `BitLinear`.
        base, eps: of RoPE, of the norms.
    """

    def __init__(
        self,
        sizes: LlamaSizes,
        shared: bool = True,
        ternary: bool = False,
        token_bits: int = 0,
        base: float = BASE,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        sizes.check("llama")
        self.sizes, self.shared, self.ternary, self.base, self.eps = sizes, shared, ternary, base, eps
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes, ternary, token_bits, base, eps) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(sizes.width, eps=eps)
        self.classifier = nn.Linear(sizes.width, sizes.vocabulary, bias=False)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=SPREAD)
        if shared:
            self.classifier.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.classifier(self.norm(x))
        return scores

    @torch.no_grad()
    def greedy(self, tokens: list[int], count: int) -> list[int]:
        """`tokens` and what follows them, up to `count` in all, each the first of the most likely; ends before a second token 1 (BOS)."""
        found = list(tokens)
        while len(found) < min(count, self.sizes.length):
            token = int(self(torch.tensor([found]))[0, -1].argmax())
            if token == 1:
                break
            found.append(token)
        return found


SIZES = {
    "1m": LlamaSizes(160, 128, 5, 8, 4, 4096, 256),
    "3m": LlamaSizes(256, 256, 6, 8, 8, 4096, 256),
    "11m": LlamaSizes(320, 896, 8, 8, 8, 4096, 256),
    "28m": LlamaSizes(512, 1408, 8, 8, 8, 4096, 256),
    "110m": LlamaSizes(768, 2048, 12, 12, 12, 32000, 1024),
    "stories260k": LlamaSizes(64, 172, 5, 8, 4, 512, 512),
}


@register(
    "llama",
    params={
        "size": {
            "type": "string",
            "allowed": ["1m", "3m", "11m", "28m", "110m", "stories260k"],
            "default": "stories260k",
        }
    },
    size={"input": [64], "outputs": 512, "weights": 259_328, "macs": 16_596_992},
    reads="tokens",
)
def llama(input_shape: tuple[int], classes: int, size: str = "stories260k") -> nn.Module:
    """A decoder for next tokens in one of MiCo's sizes; length and vocabulary are those of the data."""
    if len(input_shape) != 1:
        raise UsageError(f"llama takes tokens, one after another; the task has inputs of shape {tuple(input_shape)}")
    return Llama(LlamaSizes(**(asdict(SIZES[size]) | {"length": input_shape[0], "vocabulary": classes})))
