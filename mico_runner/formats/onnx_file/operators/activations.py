"""Functions of one value."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import number, translates

SIXTH = np.float32(1 / 6)


@translates("Relu")
def relu(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.relu(x)


@translates("Clip", arguments=(1, 2))
def clip(
    node: OnnxNode, x: torch.Tensor, low: np.ndarray | None = None, high: np.ndarray | None = None
) -> torch.Tensor:
    """Limits are attributes before opset 11; a missing one does not limit."""
    least, most = number(low, node.get("min", -np.inf)), number(high, node.get("max", np.inf))
    if least > most:  # every value becomes the upper limit
        return x * 0 + most
    limits = (least if least > np.finfo(np.float32).min else None, most if most < np.finfo(np.float32).max else None)
    return x if limits == (None, None) else torch.clamp(x, *limits)


@translates("Sigmoid")
def sigmoid(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(x)


@translates("Tanh")
def tanh(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x)


@translates("Abs")
def absolute(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.abs(x)


@translates("Exp")
def exp(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.exp(x)


@translates("Log")
def log(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.log(x)


@translates("Erf")
def erf(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.erf(x)


@translates("Sin")
def sin(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x)


@translates("Cos")
def cos(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.cos(x)


@translates("Sqrt")
def sqrt(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(x)


@translates("Reciprocal")
def reciprocal(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.reciprocal(x)


@translates("Neg")
def neg(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return torch.neg(x)


@translates("LeakyRelu")
def leaky_relu(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, node.get("alpha", 0.01))


@translates("PRelu", names=("", "slope"))
def prelu(node: OnnxNode, x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """Slopes are one, or one of each channel, or any that are repeated over the input."""
    of_channels = (
        x.ndim > 1 and slope.numel() == x.shape[1] and slope.ndim == x.ndim - 1 and slope.shape[0] == x.shape[1]
    )
    if slope.numel() == 1 or of_channels:
        return F.prelu(x, slope.reshape(-1))
    return F.relu(x) - slope * F.relu(-x)


@translates("Elu")
def elu(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.elu(x, node.get("alpha", 1.0))


@translates("Selu")
def selu(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """The default constants are those of torch, to the precision of float32."""
    alpha, gamma = node.get("alpha", 1.67326319217681884765625), node.get("gamma", 1.05070102214813232421875)
    found: torch.Tensor = gamma * F.elu(x, alpha)
    return found


@translates("Celu")
def celu(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.celu(x, node.get("alpha", 1.0))


@translates("Softplus")
def softplus(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.softplus(x)


@translates("Softsign")
def softsign(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return x / (1 + x.abs())


@translates("HardSigmoid")
def hardsigmoid(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """max(0, min(1, alpha x + beta)); torch's has 1/6 and 1/2."""
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if np.float32(alpha) == SIXTH and beta == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(x * alpha + beta, 0.0, 1.0)


@translates("HardSwish")
def hardswish(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.hardswish(x)


@translates("Mish")
def mish(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.mish(x)


@translates("Gelu", "com.microsoft.Gelu")
def gelu(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate=node.get("approximate", "none"))


@translates("com.microsoft.FastGelu")
def fast_gelu(node: OnnxNode, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@translates("Swish", "com.microsoft.QuickGelu")
def swish(node: OnnxNode, x: torch.Tensor) -> torch.Tensor:
    """x * sigmoid(alpha x)."""
    alpha = node.get("alpha", 1.702 if node.kind == "QuickGelu" else 1.0)
    return F.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x)
