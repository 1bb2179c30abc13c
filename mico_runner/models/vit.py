"""Vision transformers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mico_runner.errors import UsageError
from mico_runner.models import register
from mico_runner.models.blocks import Residual, scaled

PATCH = 4  # of the networks for images of 32 x 32
SPREAD = 0.02  # of the first positions (Dosovitskiy et al. 2020)


class Attention(nn.Module):
    """Multi-head self-attention over (batch, tokens, width)."""

    def __init__(self, width: int, heads: int, causal: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.inwards, self.outwards = nn.Linear(width, 3 * width, bias), nn.Linear(width, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.inwards(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.outwards(y.transpose(1, 2).reshape(n, tokens, width))
        return out


class VisionTransformer(nn.Module):
    """Images (N, C, H, W) as tokens of patch x patch pixels, norms before attention and perceptron (Dosovitskiy et al. 2020).

    Args:
        hidden: width of the perceptrons.
        token: a class token is read at the end; else the mean over all tokens.

    Raises UsageError: the image is no whole number of patches, or the width no multiple of the heads.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        classes: int,
        patch: int,
        depth: int,
        width: int,
        hidden: int,
        heads: int,
        token: bool = True,
    ) -> None:
        super().__init__()
        channels, high, wide = image
        if high % patch or wide % patch:
            raise UsageError(
                f"a vision transformer takes patches of {patch} x {patch}, the task has {high} x {wide} pixels"
            )
        if width % heads:
            raise UsageError(f"a vision transformer of width {width} has no {heads} heads of one size")
        count = (high // patch) * (wide // patch) + token
        self.patch = nn.Conv2d(channels, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if token else None
        self.position = nn.Parameter(torch.randn(1, count, width) * SPREAD)
        blocks: list[nn.Module] = []
        for _ in range(depth):
            mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
            blocks += [Residual(nn.Sequential(nn.LayerNorm(width), Attention(width, heads))), Residual(mlp)]
        self.blocks, self.head = nn.Sequential(*blocks, nn.LayerNorm(width)), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = self.blocks(x + self.position)
        scores: Tensor = self.head(x.mean(1) if self.token is None else x[:, 0])
        return scores


@register(
    "mico-vit",
    params={
        "width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0},
        "depth": {"type": "integer", "min": 1, "default": 7},
    },
    size={"input": [3, 32, 32], "outputs": 10, "weights": 12_408_576, "macs": 806_293_248},
)
def vit(input_shape: tuple[int, int, int], classes: int, width: float = 1.0, depth: int = 7) -> nn.Module:
    """MiCo's ViT: patches of 4 x 4, seven blocks of 384 and 1,536 with eight heads, a class token."""
    inner = scaled(384, width)
    return VisionTransformer(input_shape, classes, PATCH, depth, inner, 4 * inner, heads=8)


@register(
    "mico-tinyvit",
    params={
        "width": {"type": "number", "min": 0.05, "max": 4, "default": 1.0},
        "depth": {"type": "integer", "min": 1, "default": 8},
    },
    size={"input": [3, 32, 32], "outputs": 10, "weights": 1_056_000, "macs": 67_503_360},
)
def tinyvit(input_shape: tuple[int, int, int], classes: int, width: float = 1.0, depth: int = 8) -> nn.Module:
    """MiCo's TinyViT: patches of 4 x 4, eight blocks of 128 and 256 with four heads, the mean of all tokens."""
    inner = scaled(128, width)
    return VisionTransformer(input_shape, classes, PATCH, depth, inner, 2 * inner, heads=4, token=False)
