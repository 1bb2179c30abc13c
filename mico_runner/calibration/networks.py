"""Well-known networks in their published sizes, untrained: what a calibration is verified on, never calibrated with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mico_runner.models.blocks import Residual, conv, inverted
from mico_runner.models.imagenet import mobilenet_v2, resnet18, resnet34, resnet50
from mico_runner.models.vit import Attention, VisionTransformer

IMAGE, CLASSES = (3, 224, 224), 1000


def vgg(plan: str) -> nn.Module:
    """Simonyan and Zisserman 2014; `plan`: channels / 64 of each 3 x 3 convolution, M for a max pool."""
    layers, ins = [], 3
    for step in plan:
        if step == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(ins, 64 * int(step), 3, padding=1), nn.ReLU()]
            ins = 64 * int(step)
    head = [nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)]
    return nn.Sequential(*layers, *head)


class SqueezeExcite(nn.Module):
    """Hu et al. 2017."""

    def __init__(self, channels: int, inner: int, act: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        layers = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, inner, 1), act(), nn.Conv2d(inner, channels, 1), gate()]
        self.gate = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def mobilenet_v3_small() -> nn.Module:
    """Howard et al. 2019, table 2."""
    rows = (
        *(
            (3, 16, 16, 1, "R", 2),
            (3, 72, 24, 0, "R", 2),
            (3, 88, 24, 0, "R", 1),
            (5, 96, 40, 1, "H", 2),
            (5, 240, 40, 1, "H", 1),
        ),
        *(
            (5, 240, 40, 1, "H", 1),
            (5, 120, 48, 1, "H", 1),
            (5, 144, 48, 1, "H", 1),
            (5, 288, 96, 1, "H", 2),
            (5, 576, 96, 1, "H", 1),
        ),
        *((5, 576, 96, 1, "H", 1),),
    )
    layers: list[nn.Module] = [conv(3, 16, 3, 2, act=nn.Hardswish)]
    ins = 16
    for kernel, middle, outs, squeeze, act, stride in rows:
        gate = SqueezeExcite(middle, max(8, middle // 4 // 8 * 8), nn.ReLU, nn.Hardsigmoid) if squeeze else None
        layers.append(inverted(ins, middle, outs, kernel, stride, nn.ReLU if act == "R" else nn.Hardswish, gate))
        ins = outs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 1000)]
    return nn.Sequential(*layers, conv(96, 576, 1, act=nn.Hardswish), *head)


def efficientnet_b0() -> nn.Module:
    """Tan and Le 2019, table 1."""
    layers: list[nn.Module] = [conv(3, 32, 3, 2, act=nn.SiLU)]
    ins = 32
    for ratio, kernel, outs, depth, stride in (
        *(
            (1, 3, 16, 1, 1),
            (6, 3, 24, 2, 2),
            (6, 5, 40, 2, 2),
            (6, 3, 80, 3, 2),
            (6, 5, 112, 3, 1),
            (6, 5, 192, 4, 2),
            (6, 3, 320, 1, 1),
        ),
    ):
        for i in range(depth):
            gate = SqueezeExcite(ratio * ins, ins // 4, nn.SiLU, nn.Sigmoid)
            layers.append(inverted(ins, ratio * ins, outs, kernel, 1 if i else stride, nn.SiLU, gate))
            ins = outs
    return nn.Sequential(
        *layers, conv(320, 1280, 1, act=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)
    )


class Fire(nn.Module):
    """Iandola et al. 2016."""

    def __init__(self, ins: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(ins, squeeze, 1)
        self.one, self.three = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(x)), F.relu(self.three(x))], 1)


def squeezenet() -> nn.Module:
    """Version 1.1."""
    pool = partial(nn.MaxPool2d, 3, 2, ceil_mode=True)
    fires = [Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128), Fire(256, 32, 128), pool()]
    fires += [Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
    head = [nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), *fires, *head)


def vit(width: int, heads: int) -> nn.Module:
    """Dosovitskiy et al. 2020, 224 x 224 images in patches of 16 x 16."""
    return VisionTransformer(IMAGE, CLASSES, patch=16, depth=12, width=width, hidden=4 * width, heads=heads)


class Gated(nn.Module):
    """The feed-forward block of LLaMa: down(silu(gate x) * up x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate, self.up, self.down = (
            nn.Linear(a, b, False) for a, b in ((width, hidden), (width, hidden), (hidden, width))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Llama(nn.Module):
    """A LLaMa of 15 M parameters in the sizes of llama2.c, layer norm in place of RMS norm and no rotary embedding."""

    def __init__(
        self, width: int = 288, heads: int = 6, depth: int = 6, hidden: int = 768, vocabulary: int = 32000
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        blocks: list[nn.Module] = []
        for _ in range(depth):
            attention = Attention(width, heads, causal=True, bias=False)
            blocks += [
                Residual(nn.Sequential(nn.LayerNorm(width), attention)),
                Residual(nn.Sequential(nn.LayerNorm(width), Gated(width, hidden))),
            ]
        self.blocks, self.head = nn.Sequential(*blocks, nn.LayerNorm(width)), nn.Linear(width, vocabulary, False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(tokens)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vgg11": partial(vgg, "1M2M44M88M88M"),
    "vgg16": partial(vgg, "11M22M444M888M888M"),
    "resnet18": partial(resnet18, IMAGE, CLASSES),
    "resnet34": partial(resnet34, IMAGE, CLASSES),
    "resnet50": partial(resnet50, IMAGE, CLASSES),
    "mobilenet_v2": partial(mobilenet_v2, IMAGE, CLASSES),
    "mobilenet_v3_small": mobilenet_v3_small,
    "efficientnet_b0": efficientnet_b0,
    "squeezenet": squeezenet,
    "vit_b_16": partial(vit, 768, 12),
    "vit_s_16": partial(vit, 384, 6),
    "llama_15m": Llama,
}


def example(name: str, batch: int = 1) -> tuple[Any, ...]:
    """Inputs of a network: images 224 x 224, or 64 tokens."""
    generator = torch.Generator().manual_seed(0)
    if name.startswith("llama"):
        return (torch.randint(0, 32000, (batch, 64), generator=generator),)
    return (torch.randn(batch, 3, 224, 224, generator=generator),)
