"""The operators that a torch module runs, with the counts of `calibration.operators`: what a calibrated machine predicts latency from.

Read from the calls themselves on one forward pass, so functions count as modules do. An operator that is not known is an error, never
a silent zero.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.ops import by_aten
from mico_runner.ops.base import Operator

# aten operator -> class; operators that only look at a tensor in another way cost one call and no traffic.
ELEMENTWISE = {
    **dict.fromkeys(("add", "add_", "sub", "rsub", "div", "div_"), "add"),
    **dict.fromkeys(
        ("mul", "mul_", "pow", "rsqrt", "neg", "sigmoid", "sigmoid_", "cos", "sin", "hardsigmoid", "hardsigmoid_"),
        "mul",
    ),
    **dict.fromkeys(("relu", "relu_", "clamp_min", "clamp_min_"), "act_ReLU"),
    **dict.fromkeys(("hardtanh", "hardtanh_"), "act_ReLU6"),
    **dict.fromkeys(("hardswish", "hardswish_"), "act_Hardswish"),
    **dict.fromkeys(("silu", "silu_"), "act_SiLU"),
    "gelu": "act_GELU",
    "_softmax": "softmax",
    **dict.fromkeys(
        ("clone", "_to_copy", "copy_", "cat", "stack", "embedding", "contiguous", "constant_pad_nd"), "copy"
    ),
    **dict.fromkeys(("native_layer_norm", "native_group_norm"), "norm"),
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "_batch_norm_impl_index"),
        "bn",
    ),
    **dict.fromkeys(("mean", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "avg_pool2d"), "pool"),
}
# fmt: off
VIEWS = {
    "view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze", "detach", "alias",
    "split", "chunk", "unbind", "as_strided", "_reshape_alias", "split_with_sizes", "reshape", "arange", "lift_fresh", "unflatten",
}
# fmt: on
SILENT = "aten::empty"  # memory that the operator which asked for it writes: part of that call


def capture(module: Any, inputs: tuple[Any, ...]) -> pd.DataFrame:
    """Operators of one forward pass in the order of their calls; all have `row` 0. Raises UsageError for an unknown operator."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    rows: list[dict[str, object]] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if func._schema.name != SILENT:
                rows.append(_row(func, args, result))
            return result

    with torch.no_grad(), Recorder():  # inference mode would hand composite operators over whole
        module(*inputs)
    return pd.DataFrame(rows).assign(row=0)


def _row(func: Any, args: tuple, result: Any) -> dict[str, object]:
    name = func._schema.name.removeprefix("aten::")
    out = result[0] if isinstance(result, (tuple, list)) else result
    if name in VIEWS:
        return _counts("view")
    if name in ELEMENTWISE:
        tensors = [a for a in args for a in (a if isinstance(a, (list, tuple)) else [a]) if hasattr(a, "numel")]
        if ELEMENTWISE[name] in ("bn", "norm", "copy"):
            return _counts(ELEMENTWISE[name], elements=2 * out.numel())  # parameters and indices are small beside it
        return _counts(ELEMENTWISE[name], elements=sum(t.numel() for t in tensors) + out.numel())
    known: dict[str, Callable[[], dict[str, object]]] = {
        "convolution": lambda: _convolution(args[0], args[1], args[3], out),
        "_convolution": lambda: _convolution(args[0], args[1], args[3], out),
        "mkldnn_convolution": lambda: _convolution(args[0], args[1], args[4], out),
        "addmm": lambda: _matrix(args[1], args[2], out),
        "mm": lambda: _matrix(args[0], args[1], out),
        "mkldnn_linear": lambda: _matrix(args[0], args[1].t(), out),
        "linear": lambda: _matrix(args[0], args[1].t(), out),
        "max_pool2d_with_indices": lambda: _counts("maxpool", elements=_numel(args[0], out)),
        "bmm": lambda: _counts("matmul", macs=out.numel() * args[0].shape[-1], elements=_numel(args[0], args[1], out)),
        "_scaled_dot_product_flash_attention_for_cpu": lambda: _attention(*args[:3], out),
        "_scaled_dot_product_flash_attention": lambda: _attention(*args[:3], out),
        "_scaled_dot_product_efficient_attention": lambda: _attention(*args[:3], out),
    }
    if name in known:
        return known[name]()
    if (of := by_aten().get(str(func))) is not None:
        return _registered(of, args, out)
    called, others = str(func).rpartition(".")[0], ", ".join(sorted({*known, *ELEMENTWISE}))
    raise UsageError(
        f"latency estimate: operator {called} is not calibrated; known: {others}, and the calls of registered operators"
        " (mico-run list operators)"
    )


def _registered(of: Operator, args: tuple, out: Any) -> dict[str, object]:
    """A call that an operator of the registry takes: a view, a copy, or what `calibrate.operations` has under its name."""
    if of.VIEW:
        return _counts("view")
    tensors = [a for a in args for a in (a if isinstance(a, (list, tuple)) else [a]) if hasattr(a, "numel")]
    return _counts("copy" if of.KEEPS_TYPE else of.name, elements=_numel(*tensors, out))


def _numel(*tensors: Any) -> int:
    return sum(t.numel() for t in tensors)


def _counts(
    op: str,
    macs: float = 0,
    weights: float = 0,
    elements: float = 0,
    reduction: float = 0,
    ins: float = 0,
    outs: float = 0,
) -> dict:
    return {
        "op": op,
        "launches": 1,
        "macs": float(macs),
        "weights": float(weights),
        "elements": float(elements),
        "reduction": float(reduction),
        "in_channels": float(ins),
        "out_channels": float(outs),
    }


def _convolution(x: Any, weight: Any, stride: Any, out: Any) -> dict[str, object]:
    outs, per_group, *kernel = weight.shape
    reduction, ins = per_group * prod(kernel), x.shape[1]
    counts = {"macs": out.numel() * reduction, "weights": weight.numel(), "elements": _numel(x, out)}
    if per_group == 1 and ins == outs and prod(kernel) > 1:
        return _counts("conv_dw", **counts)
    plain = list(kernel) == [3, 3] and list(stride) == [1, 1]
    op = "conv_pw" if prod(kernel) == 1 else "conv_k3" if plain else "conv_std"
    return _counts(op, **counts, reduction=reduction, ins=ins, outs=outs)


def _matrix(x: Any, weight: Any, out: Any) -> dict[str, object]:
    ins, outs = weight.shape
    return _counts("linear", out.numel() * ins, weight.numel(), _numel(x, out), ins, ins, outs)


def _attention(query: Any, key: Any, value: Any, out: Any) -> dict[str, object]:
    macs = query.numel() * key.shape[-2] + out.numel() * key.shape[-2]
    return _counts("attention", macs=macs, elements=_numel(query, key, value, out))
