"""Micro-benchmarks of single torch operators, under the conditions of a network.

Weights rotate through copies that together exceed the last private cache, as those of a network do between two inferences. The input was
just allocated and written, as by the operator before; modules are called as modules; other code ran in between.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from mico_runner.calibration import registered
from mico_runner.calibration.cases import BYTES, OPERATIONS, Case

ROTATED_BYTES = 32 * 2**20  # weights of one case together; private caches of current processors hold 1-4 MiB
MAX_COPIES = 64
FUNCTIONS = (
    "matmul",
    "attention",
    "view",
    "add",
    "mul",
    "softmax",
    "copy",
)  # what networks call without a module around it


def build(case: Case) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The operator as a call without arguments, each time on other weights, and what a network does before it. Needs torch.

    The second call allocates and writes the operator's input, as the operator before it does in a network, and runs a convolution and an
    addition on memory of their own, so that neither code nor data of the last call are all that the caches hold.
    """
    import torch
    from torch.nn import functional as F

    run, source = _operator(case)
    other, kernel = torch.randn(1, 32, 28, 28), torch.randn(32, 32, 3, 3)
    held = [source.clone()]
    layer = torch.nn.Module()
    layer.forward = run
    if case.op in FUNCTIONS or case.op not in OPERATIONS:
        layer = run

    def prepare() -> None:
        F.conv2d(other, kernel) + 1.0
        held[0] = source.clone()

    return lambda: layer(held[0]), prepare


def _operator(case: Case) -> tuple[Callable[[Any], Any], Any]:
    """The operator as a function of the tensor that it reads, and that tensor."""
    import torch
    from torch.nn import functional as F

    if case.precision == "int8":
        return _quantised(case)
    if case.op not in OPERATIONS:
        return registered.build(case.op, case.shape, case.batch)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[case.precision]
    generator = torch.Generator().manual_seed(0)

    def tensor(*sizes: int) -> Any:
        return torch.randn(*sizes, generator=generator).to(dtype)

    s, n, copies = case.shape, case.batch, _copies(case)
    if case.op.startswith("conv_"):
        groups = s["ins"] if case.op == "conv_dw" else 1
        padding = 0 if s["kernel"] == s["stride"] else s["kernel"] // 2
        x = tensor(n, s["ins"], s["size"], s["size"])
        weights = cycle([tensor(s["outs"], s["ins"] // groups, s["kernel"], s["kernel"]) for _ in range(copies)])
        return (lambda x: F.conv2d(x, next(weights), None, s["stride"], padding, 1, groups)), x
    if case.op == "linear":
        x, bias = tensor(n * s["tokens"], s["ins"]), tensor(s["outs"])
        weights = cycle([tensor(s["outs"], s["ins"]) for _ in range(copies)])
        return (lambda x: F.linear(x, next(weights), bias)), x
    if case.op == "matmul":
        x, y = tensor(n * s["products"], s["tokens"], s["ins"]), tensor(n * s["products"], s["ins"], s["outs"])
        return (lambda x: torch.bmm(x, y)), x
    if case.op == "attention":
        q, k, v = (tensor(n, s["heads"], s["tokens"], s["width"]) for _ in range(3))
        return (lambda q: F.scaled_dot_product_attention(q, k, v)), q
    if case.op == "view":
        x = tensor(n, s["size"])
        return (lambda x: x.transpose(0, 1)), x
    channels, size = s["channels"], s["size"]
    x, y = tensor(n, channels, size, size), tensor(n, channels, size, size)
    if case.op == "norm":
        rows, gain = x.reshape(n, size * size, channels).contiguous(), tensor(channels)
        return (lambda rows: F.layer_norm(rows, (channels,), gain, gain)), rows
    if case.op == "bn":
        gain, mean, variance = tensor(channels), tensor(channels), tensor(channels).abs() + 1
        return (lambda x: F.batch_norm(x, mean, variance, gain, gain)), x
    if case.op == "softmax":
        rows = x.reshape(n * size * size, channels)
        return (lambda rows: F.softmax(rows, -1)), rows
    functions: dict[str, Callable[[Any], Any]] = {
        "maxpool": lambda x: F.max_pool2d(x, s["kernel"], 2),
        "pool": lambda x: F.adaptive_avg_pool2d(x, 1),
        "add": lambda x: x + y,
        "mul": lambda x: x * y,
        "act_ReLU": lambda x: F.relu(x),
        "act_ReLU6": lambda x: F.relu6(x),
        "act_Hardswish": lambda x: F.hardswish(x),
        "act_SiLU": lambda x: F.silu(x),
        "act_GELU": lambda x: F.gelu(x),
        "copy": lambda x: x.clone(),
    }
    return functions[case.op], x


def _copies(case: Case) -> int:
    return int(min(MAX_COPIES, max(1, ROTATED_BYTES // max(case.weights * BYTES[case.precision], 1))))


def _quantised(case: Case) -> tuple[Callable[[Any], Any], Any]:
    """A convolution or linear layer of 8-bit integers, requantised as it writes; weights packed beforehand, as in a deployed network."""
    import warnings

    import torch

    generator, s, n = torch.Generator().manual_seed(0), case.shape, case.batch

    def tensor(dtype: Any, *sizes: int) -> Any:
        zero = 128 if dtype == torch.quint8 else 0
        return torch.quantize_per_tensor(torch.randn(*sizes, generator=generator), 0.03, zero, dtype)

    operators = torch.ops.quantized
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch announces another form of these tensors for later versions
        if case.op == "linear":
            x = tensor(torch.quint8, n * s["tokens"], s["ins"])
            packed = [
                operators.linear_prepack(tensor(torch.qint8, s["outs"], s["ins"]), None) for _ in range(_copies(case))
            ]
            layer = operators.linear
        else:
            groups = s["ins"] if case.op == "conv_dw" else 1
            padding = 0 if s["kernel"] == s["stride"] else s["kernel"] // 2
            strides, paddings = [s["stride"]] * 2, [padding] * 2
            x = tensor(torch.quint8, n, s["ins"], s["size"], s["size"])
            sizes = s["outs"], s["ins"] // groups, s["kernel"], s["kernel"]
            packed = [
                operators.conv2d_prepack(tensor(torch.qint8, *sizes), None, strides, paddings, [1, 1], groups)
                for _ in range(_copies(case))
            ]
            layer = operators.conv2d
    weights = cycle(packed)
    return (lambda x: layer(x, next(weights), 0.1, 128)), x
