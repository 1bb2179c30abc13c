"""resize: bilinear and bicubic interpolation to another size, and averages over windows that share rows and columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import multiplier_and_shift, requantise
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.fast import Kernel, requantiser
from mico_runner.ops.node import INPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph

WEIGHT_BITS = (
    10  # of an axis: a product of both and 8 bits of activation fits 32 bits, overshoot of bicubic ones included
)
MOST_SUM = 1 << (31 - INPUT_BITS)  # of the weights of a window: times 8 bits of activation it fits 32 bits


@register("resize")
class Resize(Operator):
    """acc = sum over rows and columns of w_row * w_column * q, requantised; the weights of an axis are whole, their sums alike.

    They sum to 2^10, but for the mode `area`, whose windows have 1 / n as weights: there to the least number that every n divides.
    Constants: `rows` (out_h, in_h) and `columns` (out_w, in_w), int32, what torch's interpolation makes of each row and column.
    """

    ATEN = (
        "upsample_bilinear2d.vec",
        "upsample_bilinear2d.default",
        "upsample_bicubic2d.vec",
        "upsample_bicubic2d.default",
    )
    ATTRS = ("size", "mode", "align_corners")
    NO_KERNEL = "its kernel is not profiled"
    BOUND_READ = 1.0  # the weights are rounded to 10 bits

    def capture(self, call: Call) -> str:
        tensor = call.tensor(call.args["input"] if "input" in call.args else call["self"])
        size, mode = call.shape[1:], "bicubic" if "bicubic" in call.target else "bilinear"
        attrs = {"size": size, "mode": mode, "align_corners": bool(call["align_corners"])}
        if size == call.builder.shapes[tensor][1:]:
            return tensor
        return call.emit(self.name, [tensor], call.shape, attrs=attrs)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        a = node.attrs
        rows, columns = (torch.from_numpy(m).to(x[0].dtype) for m in _matrices(a, tuple(x[0].shape[2:])))
        return rows @ x[0] @ columns.T

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], INPUT_BITS)
        made, mode = q.made(step), step.node.attrs["mode"]
        whole = [
            _windows(m) if mode == "area" else _whole(m) for m in _matrices(step.node.attrs, q.shape_of(tensor)[1:])
        ]
        factor = q.type_of(tensor).scale / made.scale / int(whole[0][0].sum()) / int(whole[1][0].sum())
        constants = {"rows": whole[0], "columns": whole[1], **multiplier_and_shift(np.array([factor]))}
        q.add(step, (tensor,), attrs={}, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        rows, columns = (node.constants[key].astype(np.int64) for key in ("rows", "columns"))
        return requantise(rows @ x[0] @ columns.T, node, made)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        rows, columns = (torch.from_numpy(node.constants[key].astype(np.float64)) for key in ("rows", "columns"))
        requant = requantiser(node, made)
        return lambda x: requant(rows @ x[0].double() @ columns.T)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        channels, _, in_w = c.image(node, source)
        tables: dict[str, np.ndarray] = {}
        taps = {}
        for key in ("rows", "columns"):
            tables[f"{key}_at"], tables[f"{key}_weight"] = _taps(node.constants[key])
            taps[f"{key}_taps"] = tables[f"{key}_at"].shape[1]
        fields = {
            **{"in_w": in_w, "channels": channels, "out_h": output.shape[1], "out_w": output.shape[2], **taps},
            **{"input": source.tag, "scale": c.scale(node), "output": c.output_range(node, output)},
        }
        to.emit(node, "resize", [source], output, fields, tables=tables)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """As matrices over rows and columns, with the weights as they were rounded: whichever way its pixels lie."""
        whole = (node.constants[key] for key in ("rows", "columns"))
        rows, columns = (to.constant(weights / weights[0].sum()) for weights in whole)
        return to.add("MatMul", [to.add("MatMul", [rows, x[0]]), to.add("Transpose", [columns], perm=[1, 0])])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for mode, align in (("bilinear", False), ("bilinear", True), ("bicubic", False)):
            for size in ((8, 10), (3, 9)):
                attrs = {"size": size, "mode": mode, "align_corners": align}
                yield sample(self.name, [(3, 4, 5)], (3, *size), attrs)
        for size in ((3, 2), (7, 4)):
            attrs = {"size": size, "mode": "area", "align_corners": None}
            yield sample(self.name, [(3, 4, 5)], (3, *size), attrs)


def average(call: Call, tensor: str, size: tuple[int, int]) -> str:
    """Averages over as many windows, which cover the image and overlap where its size is no multiple of theirs.

    Raises Refused: their sums may not fit 32 bits.
    """
    channels, *source = call.builder.shapes[tensor]
    attrs = {"size": size, "mode": "area", "align_corners": None}
    sums = [int(_windows(m)[0].sum()) for m in _matrices(attrs, (source[0], source[1]))]
    if sums[0] * sums[1] > MOST_SUM:
        raise Refused(f"adaptive pooling from {tuple(source)} to {size}: its sums may overflow 32 bits")
    return call.emit("resize", [tensor], (channels, *size), attrs=attrs)


def _matrices(attrs: dict[str, Any], size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """What each output row and column is made of: (out_h, in_h) and (out_w, in_w)."""
    made = []
    for axis in range(2):
        one = torch.eye(size[axis], dtype=torch.float64)[None, None]  # rows are cases, columns the axis
        target = (size[axis], attrs["size"][axis])
        made.append(
            F.interpolate(one, target, mode=attrs["mode"], align_corners=attrs["align_corners"])[0, 0].T.numpy()
        )
    return made[0], made[1]


def _whole(weights: np.ndarray) -> np.ndarray:
    """In steps of 2^-10, each row's sum kept at 1: the largest takes what rounding leaves."""
    found: np.ndarray = np.rint(weights * 2**WEIGHT_BITS).astype(np.int32)
    found[np.arange(len(found)), weights.argmax(1)] += 2**WEIGHT_BITS - found.sum(1)
    return found


def _windows(weights: np.ndarray) -> np.ndarray:
    """Equal weights over the taps of each window, as whole numbers with one sum for all windows: exact."""
    taps = (weights != 0).sum(1, keepdims=True)
    return np.where(weights != 0, np.lcm.reduce(taps[:, 0]) // taps, 0).astype(np.int32)


def _taps(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The entries that are not zero, (out, taps): index and weight; shorter rows are filled up with weights of zero."""
    taps = int((weights != 0).sum(1).max())
    at: np.ndarray = np.argsort(weights == 0, axis=1, kind="stable")[:, :taps]
    found: np.ndarray = np.take_along_axis(weights, at, axis=1)
    return at.astype(np.int32), found.astype(np.int32)
