"""One function per ATen operator: what it becomes in the IR. An operator that is not here is an error, never skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from mico_runner.graph.builder import Builder
from mico_runner.graph.ir import WEIGHTED

BATCH = 2  # of the captured sample; not 1, so that an operator that mixes samples shows in the shapes


class Refused(Exception):
    """Why a call cannot be expressed; `frontend` adds the node and the source line."""


class Padded(NamedTuple):
    """A tensor with zeros to be put around it by the convolution that reads it (torch order: last dimension first)."""

    tensor: str
    pad: tuple[int, ...]


@dataclass
class Call:
    """One ATen call: its arguments by schema name; tensors are names (`str`), weights are torch tensors."""

    node: torch.fx.Node
    builder: Builder
    path: str  # of the module that made the call, "" for one in the user's own forward
    source: str
    args: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.args[key]

    @property
    def shape(self) -> tuple[int, ...]:
        """Output shape without batch; refuses an output that does not keep the batch in front."""
        value = self.node.meta["val"]
        shape = (value[0] if isinstance(value, list | tuple) else value).shape
        if not all(type(s) is int for s in shape):
            raise Refused(f"dynamic shape {tuple(shape)}; shapes must be fixed")
        if len(shape) < 2 or shape[0] != BATCH:
            raise Refused(f"the batch must stay the first dimension and leave another: shape {tuple(shape)}")
        return tuple(shape[1:])

    def tensor(self, value: Any) -> str:
        """The name of an input tensor; refuses constants and pending paddings."""
        if isinstance(value, Padded):
            raise Refused("zero padding is supported only in front of a convolution")
        if not isinstance(value, str):
            raise Refused("both operands must be tensors computed from the input, not constants")
        return value

    def input(self, key: str = "self") -> str:
        return self.tensor(self.args[key])

    def rank(self, tensor: str) -> int:
        return len(self.builder.shapes[tensor])

    def emit(self, op: str, inputs: list[str], shape: tuple[int, ...], **fields: Any) -> str:
        return self.builder.emit(self.name, op, inputs, shape, self.source, **fields)

    def reshape(self, tensor: str, shape: tuple[int, ...]) -> str:
        return self.builder.reshape(tensor, shape, self.source)

    @property
    def name(self) -> str:
        """The module's path, else torch's name for the call, kept clear of module paths."""
        return self.path or self.builder.free(self.node.name)


Lowering = Callable[[Call], Any]
LOWERINGS: dict[str, Lowering] = {}


def lowers(*targets: str) -> Callable[[Lowering], Lowering]:
    def add(function: Lowering) -> Lowering:
        LOWERINGS.update({f"aten.{t}": function for t in targets})
        return function

    return add


def bind(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name, defaults filled in from the operator's schema."""
    schema = target._schema.arguments
    bound = {a.name: a.default_value for a in schema if a.has_default_value()}
    bound.update({a.name: value for a, value in zip(schema, args, strict=False)})
    return {**bound, **kwargs}


def _array(value: torch.Tensor | None) -> np.ndarray | None:
    if value is None:
        return None
    if not isinstance(value, torch.Tensor):
        raise Refused("weights and bias must be parameters, not computed from the input")
    return np.array(value.detach().numpy(), dtype=np.float32, order="C")


def _doubles(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy()


def _pair(values: Any) -> tuple[int, int]:
    values = [values] if isinstance(values, int) else list(values)
    return (int(values[0]), int(values[-1]))


@lowers("conv2d.default", "conv2d.padding", "conv1d.default", "conv1d.padding")
def conv(call: Call) -> str:
    weight, groups = call["weight"], int(call["groups"])
    if not isinstance(weight, torch.Tensor):
        raise Refused("the weights of a convolution must be parameters, not computed from the input")
    one_d = "conv1d" in str(call.node.target)
    stride, dilation = _pair(call["stride"]), _pair(call["dilation"])
    pad = _conv_padding(call["padding"], [int(k) for k in weight.shape[2:]], dilation)
    around = call["input"].pad if isinstance(call["input"], Padded) else ()
    tensor = call["input"].tensor if around else call.input("input")
    if call.rank(tensor) != len(pad) + 1:
        raise Refused(f"it needs inputs of shape {'(N, C, L)' if one_d else '(N, C, H, W)'}")
    if around:
        pad, channels = _with_zeros_around(pad, around)
        weight = _without_zero_channels(weight, channels, call.builder.shapes[tensor][0], groups)
    shape = call.shape
    if one_d:
        c, length = call.builder.shapes[tensor]
        tensor = call.reshape(tensor, (c, 1, length))
        weight, stride, dilation, pad = weight.unsqueeze(2), (1, stride[1]), (1, dilation[1]), [0, *pad]
        shape = (shape[0], 1, shape[1])
    attrs = {"stride": stride, "padding": tuple(pad), "dilation": dilation, "groups": groups}
    output = call.emit("conv2d", [tensor], shape, attrs=attrs, weight=_array(weight), bias=_array(call["bias"]))
    return call.reshape(output, call.shape)


def _with_zeros_around(pad: list[int], around: tuple[int, ...]) -> tuple[list[int], tuple[int, int]]:
    """A convolution's padding with the zeros in front of it added, and how many channels of zeros stand before and behind."""
    pairs = list(zip(around[::2], around[1::2], strict=True))
    pairs += [(0, 0)] * (len(pad) + 1 - len(pairs))
    spatial = pairs[: len(pad)]
    if any(low != high for low, high in spatial):
        raise Refused(f"asymmetrical padding {list(around)} is not supported; pad all sides of a dimension alike")
    return [p + low for p, (low, _) in zip(pad, spatial[::-1], strict=True)], pairs[len(pad)]


def _without_zero_channels(weight: torch.Tensor, zeros: tuple[int, int], channels: int, groups: int) -> torch.Tensor:
    """The weights of a convolution less those that meet channels of zeros."""
    if any(zeros) and groups != 1:
        raise Refused("padding of the channels in front of a grouped convolution is not supported")
    return weight[:, zeros[0] : zeros[0] + channels] if any(zeros) else weight


def _conv_padding(padding: Any, kernel: list[int], dilation: tuple[int, int]) -> list[int]:
    if padding == "valid":
        return [0] * len(kernel)
    if padding != "same":
        return list(_pair(padding))[: len(kernel)]
    total = [d * (k - 1) for k, d in zip(kernel, dilation[-len(kernel) :], strict=True)]
    if any(t % 2 for t in total):
        raise Refused(f"padding 'same' of kernel {kernel} is asymmetrical, which is not supported; use odd kernels")
    return [t // 2 for t in total]


@lowers("linear.default")
def linear(call: Call) -> str:
    if not isinstance(call["weight"], torch.Tensor):
        raise Refused("the weights of a linear layer must be parameters, not computed from the input")
    if call["weight"].ndim != 2:
        raise Refused(f"the weights of a linear layer must be a matrix; found shape {tuple(call['weight'].shape)}")
    return call.emit(
        "linear", [call.input("input")], call.shape, weight=_array(call["weight"]), bias=_array(call["bias"])
    )


@lowers("pad.default", "constant_pad_nd.default")
def pad(call: Call) -> Padded | str:
    if call.args.get("mode", "constant") != "constant" or call["value"] not in (None, 0, 0.0):
        mode = call.args.get("mode", "constant")
        raise Refused(f"padding mode {mode!r} with value {call['value']} is not supported; allowed: zeros")
    if min(call["pad"]) < 0:
        raise Refused(f"negative padding {list(call['pad'])} is not supported")
    if call.shape == call.builder.shapes[call.input()]:  # also refuses a padding of the batch
        return call.input()
    return Padded(call.input(), tuple(call["pad"]))


@lowers("_native_batch_norm_legit_no_training.default")
def batch_norm(call: Call) -> list[str]:
    """(x - mean) * factor + beta per channel, factor = gamma / sqrt(var + eps): `folding` makes weights of it.

    Which layer it can be folded into is open until all readers of that layer are known. It is put before the reshape that
    made its input where that keeps the channels apart, so that it stands next to the layer.
    """
    tensor = call.input("input")
    given = [call[key] for key in ("running_mean", "running_var", "weight", "bias")]
    if not all(isinstance(value, torch.Tensor) for value in given if value is not None):
        raise Refused("the statistics of a batch norm must be stored, not computed from the input")
    mean, var = _doubles(call["running_mean"]), _doubles(call["running_var"])
    gamma = np.ones_like(mean) if call["weight"] is None else _doubles(call["weight"])
    beta = np.zeros_like(mean) if call["bias"] is None else _doubles(call["bias"])
    with np.errstate(all="ignore"):
        factor = gamma / np.sqrt(var + call["eps"])
    if not np.isfinite(factor).all():
        at = int(np.flatnonzero(~np.isfinite(factor))[0])
        raise Refused(
            f"the factor gamma / sqrt(variance + eps) of channel {at} is not finite: variance {var[at]:g}, eps {call['eps']:g}"
        )
    values, shape = {"mean": mean, "factor": factor, "beta": beta}, call.builder.shapes[tensor]
    root = call.builder.root(tensor)
    before, channels = call.builder.producer.get(root), call.builder.shapes[root][0]
    if channels % len(mean) == 0 and (channels == len(mean) or (before is not None and before.op in WEIGHTED)):
        tensor, values = root, {key: value.repeat(channels // len(mean)) for key, value in values.items()}
    output = call.emit("batch_norm", [tensor], call.builder.shapes[tensor], attrs=values)
    return [call.reshape(output, shape)]


@lowers("batch_norm.default", "_native_batch_norm_legit.no_stats", "_native_batch_norm_legit_functional.default")
def batch_statistics(call: Call) -> None:
    raise Refused(
        "it normalises with the statistics of the batch at hand (training=True, track_running_stats=False or an instance norm);"
        " only stored statistics are supported"
    )


@lowers("relu.default", "relu6.default", "hardtanh.default", "clamp.default", "clamp_min.default")
def relu(call: Call) -> str:
    low: float | None = 0.0
    high: float | None = None
    target = str(call.node.target)
    if "relu" not in target:
        low = call.args.get("min", call.args.get("min_val"))
        high = call.args.get("max", call.args.get("max_val"))
    if "relu6" in target:
        high = 6.0
    if low is None or low != 0 or high not in (None, 6.0):
        raise Refused(f"clamping to [{low}, {high}] is not supported; allowed: [0, inf) and [0, 6]")
    top = None if high is None else 6.0
    return call.builder.elementwise(call.name, "relu", [call.input()], call.source, attrs={"max": top})


@lowers("max_pool2d.default", "max_pool1d.default", "avg_pool2d.default", "avg_pool1d.default")
def pool(call: Call) -> str:
    is_max, one_d = "max_pool" in str(call.node.target), "pool1d" in str(call.node.target)
    kernel = _pair(call["kernel_size"])
    stride = _pair(call["stride"]) if call["stride"] else kernel
    padding = _pair(call["padding"])
    if is_max and _pair(call["dilation"]) != (1, 1):
        raise Refused(f"dilation {call['dilation']} in pooling is not supported")
    if not is_max and any(padding) and not call["count_include_pad"]:
        raise Refused("count_include_pad=False with padding is not supported")
    if call.args.get("divisor_override") not in (None, kernel[0] * kernel[1]):
        raise Refused("divisor_override is not supported")
    tensor, shape = call.input(), call.shape
    if call.rank(tensor) != (2 if one_d else 3):
        raise Refused(f"it needs inputs of shape {'(N, C, L)' if one_d else '(N, C, H, W)'}")
    if one_d:
        kernel, stride, padding = (1, kernel[1]), (1, stride[1]), (0, padding[1])
        tensor = call.reshape(tensor, (shape[0], 1, call.builder.shapes[tensor][1]))
        shape = (shape[0], 1, shape[1])
    size = call.builder.shapes[tensor][1:]
    floor = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(size, kernel, stride, padding, strict=True))
    if floor != shape[1:]:
        raise Refused(f"ceil_mode makes windows that overhang an input of {size}; only whole windows are supported")
    attrs = {"kernel": kernel, "stride": stride, "padding": padding}
    output = call.emit("max_pool2d" if is_max else "avg_pool2d", [tensor], shape, attrs=attrs)
    return call.reshape(output, call.shape)


@lowers("adaptive_avg_pool2d.default", "adaptive_avg_pool1d.default")
def adaptive_avg_pool(call: Call) -> str:
    tensor, shape = call.input(), call.shape
    size = call.builder.shapes[tensor]
    if any(n % m for n, m in zip(size[1:], shape[1:], strict=True)):
        raise Refused(
            f"adaptive pooling from {size[1:]} to {shape[1:]}: the input size must be a multiple of the output"
        )
    return _average(call, tensor, tuple(n // m for n, m in zip(size[1:], shape[1:], strict=True)))


@lowers("mean.dim")
def mean(call: Call) -> str:
    tensor = call.input()
    rank = call.rank(tensor)
    dims = sorted(d % (rank + 1) for d in call["dim"] or [])
    if (rank, dims) not in [(3, [2, 3]), (2, [2])]:
        raise Refused(
            f"mean over dimensions {dims} is not supported; allowed: the spatial ones (global average pooling)"
        )
    return _average(call, tensor, call.builder.shapes[tensor][1:])


def _average(call: Call, tensor: str, window: tuple[int, ...]) -> str:
    """avg_pool2d with stride = window, on (C, H, W) or (C, L)."""
    size = call.builder.shapes[tensor]
    if len(size) == 2:
        size, window = (size[0], 1, size[1]), (1, *window)
    tensor = call.reshape(tensor, size)
    shape = (size[0], size[1] // window[0], size[2] // window[1])
    attrs = {"kernel": window, "stride": window, "padding": (0, 0)}
    return call.reshape(call.emit("avg_pool2d", [tensor], shape, attrs=attrs), call.shape)


@lowers("add.Tensor")
def add(call: Call) -> str:
    operands = [call.tensor(call["self"]), call.tensor(call["other"])]
    shapes = [call.builder.shapes[t] for t in operands]
    if call["alpha"] != 1 or shapes[0] != shapes[1]:
        raise Refused(f"only sums of two tensors of one shape are supported; found {shapes}, alpha {call['alpha']}")
    return call.builder.elementwise(call.name, "add", operands, call.source)


@lowers("cat.default")
def concat(call: Call) -> str:
    tensors = [call.tensor(t) for t in call["tensors"]]
    axis = call["dim"] % (call.rank(tensors[0]) + 1) - 1
    if axis < 0:
        raise Refused("concatenation over the batch is not supported")
    return call.emit("concat", tensors, call.shape, attrs={"axis": axis})


@lowers("view.default", "_unsafe_view.default", "reshape.default", "flatten.using_ints", "unflatten.int")
@lowers("squeeze.default", "squeeze.dim", "squeeze.dims", "unsqueeze.default")
def reshape(call: Call) -> str:
    return call.reshape(call.input(), call.shape)


@lowers("permute.default", "transpose.int", "t.default")
def permute(call: Call) -> str:
    """Allowed where no element moves: the dimensions larger than 1 keep their order."""
    tensor = call.input()
    shape = (BATCH, *call.builder.shapes[tensor])
    order = list(range(len(shape)))
    if "dims" in call.args:
        order = [d % len(shape) for d in call["dims"]]
    else:
        i, j = (call.args.get(k, default) for k, default in (("dim0", 0), ("dim1", 1)))
        order[i], order[j] = order[j], order[i]
    moved = [d for d in order if shape[d] > 1]
    if moved != sorted(moved):
        raise Refused(f"reordering the dimensions of {shape[1:]} moves elements, which is not supported")
    return call.reshape(tensor, call.shape)


@lowers("dropout.default", "feature_dropout.default", "alpha_dropout.default", "alias.default", "clone.default")
@lowers("contiguous.default", "detach.default", "lift_fresh.default", "_to_copy.default", "to.dtype")
def identity(call: Call) -> str:
    if call.args.get("train"):
        raise Refused("dropout with training=True is random in eval mode, too")
    if call.node.meta["val"].dtype != torch.float32:
        raise Refused(f"a conversion to {call.node.meta['val'].dtype} is not supported; tensors are float32")
    tensor: str = call.args["input"] if "input" in call.args else call.args["self"]
    return tensor


@lowers("_assert_tensor_metadata.default")
def assertion(call: Call) -> None:
    """What stands before a `.float()`; torch.export has seen to it."""
