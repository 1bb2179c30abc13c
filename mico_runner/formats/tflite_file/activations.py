"""Functions of one value, on their own and behind another operator ("fused")."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from mico_runner.formats.tflite_file.layout import Made, Use, reads
from mico_runner.ops.capture import Refused

Function = Callable[[torch.Tensor], torch.Tensor]


def _relu_n1_to_1(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(-1.0, 1.0)


def _relu_0_to_1(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(0.0, 1.0)


_PLAIN: dict[str, Function] = {
    **{"RELU": F.relu, "RELU6": F.relu6, "RELU_N1_TO_1": _relu_n1_to_1, "RELU_0_TO_1": _relu_0_to_1},
    **{"LOGISTIC": torch.sigmoid, "TANH": torch.tanh, "ELU": F.elu, "HARD_SWISH": F.hardswish},
    **{"EXP": torch.exp, "SQRT": torch.sqrt, "RSQRT": torch.rsqrt, "SQUARE": torch.square},
    **{"ABS": torch.abs, "NEG": torch.neg, "LOG": torch.log},
}
_FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")  # by their number in TFLite's schema


@reads(*_PLAIN)
def plain(use: Use) -> Made:
    return Made(_PLAIN[use.operator.kind], use.value().order)


@reads("LEAKY_RELU")
def leaky_relu(use: Use) -> Made:
    slope = float(use.operator.option("Alpha"))
    return Made(lambda x: F.leaky_relu(x, slope), use.value().order)


@reads("GELU")
def gelu(use: Use) -> Made:
    approximate = "tanh" if use.option("Approximate") else "none"
    return Made(lambda x: F.gelu(x, approximate=approximate), use.value().order)


@reads("PRELU")
def prelu(use: Use) -> Made:
    """Slopes of each channel, which is the last dimension of the file's tensor and the second of torch's."""
    value, slopes = use.value(), torch.from_numpy(use.constant(1).astype("float32"))
    if slopes.numel() == 1:
        slope = float(slopes)
        return Made(lambda x: F.leaky_relu(x, slope), value.order)
    if slopes.numel() != value.shape[-1] or slopes.shape[-1] != value.shape[-1] or value.rank < 2:
        raise Refused(f"slopes of shape {tuple(slopes.shape)}; allowed: one, or one for each channel")
    if value.dim(-1) != 1:
        raise Refused("slopes of each channel of a tensor that is no image")
    return Made(lambda x, weight: F.prelu(x, weight), value.order, {"weight": slopes.ravel()})


def activation(use: Use) -> Function | None:
    """The function that an operator has behind itself; None for none. Raises Refused."""
    number = use.option("FusedActivationFunction")
    kind = _FUSED[number] if 0 <= number < len(_FUSED) else f"number {number}"
    if kind == "NONE":
        return None
    if kind not in _PLAIN:
        raise Refused(f"its activation, {kind}, is not supported")
    return _PLAIN[kind]


def finished(x: torch.Tensor, function: Function | None) -> torch.Tensor:
    return x if function is None else function(x)
