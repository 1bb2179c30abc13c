"""affine: factors and terms that are constants, of the whole tensor, of each channel or of each element."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, operator, register
from mico_runner.ops.arithmetic import clamp, shift_that_fits, shifted
from mico_runner.ops.base import Channels, Operator, Quantiser, Shapes, sample
from mico_runner.ops.broadcast import period
from mico_runner.ops.capture import OTHER_VALUES, Call, Refused, as_doubles
from mico_runner.ops.draft import Draft
from mico_runner.ops.expand import expanded
from mico_runner.ops.fast import Kernel, clamper
from mico_runner.ops.folding import fold
from mico_runner.ops.node import MULTIPLIER_BITS, OUTPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.weighted import Weighted

TERM_BITS = 30
LEAST = -1e30  # and below, a term is as good as minus infinity
LEFT_OUT = -1e9


@register("affine")
class Affine(Operator):
    """y = factor * x + term; below zero factor * `below` * x + term where `below` is given: r = (q * factor + term + 2^(shift-1)) >> shift.

    Attributes: float64 arrays that are repeated over the shape without batch; `below` may be None. In integers, constants `factor`,
    `below` and `term`, int32 in the shape of these, and the attribute `shift`. One that alone reads a layer whose output channels it
    scales becomes part of its weights.
    """

    ATEN = ("rsub.Scalar", "neg.default", "prelu.default", "_prelu_kernel.default", "addcmul.default")
    ATTRS = ("factor", "term", "below")
    TAKES_RELU = True
    WIDE = True
    NO_KERNEL = "its kernel is not profiled"

    def capture(self, call: Call) -> str:
        if call.target == "neg":
            return emit_affine(call, call.input(), factor=-1.0)
        if call.target == "rsub":
            return emit_affine(call, call.input(), factor=-float(call["alpha"]), term=float(call["other"]))
        if call.target == "addcmul":
            return self._addcmul(call)
        if isinstance(call["weight"], str):
            raise Refused("the slopes must be parameters, not computed from the input")
        tensor, slope = call.input(), as_doubles(call["weight"])
        return emit_affine(call, tensor, below=slope.reshape(-1, *[1] * (call.rank(tensor) - 1)))

    def _addcmul(self, call: Call) -> str:
        """self + value * tensor1 * tensor2, where all but one tensor are constants."""
        term, *factors = (call.constant(call[key]) for key in ("self", "tensor1", "tensor2"))
        known = [factor for factor in factors if factor is not None]
        if term is None or len(known) != 1:
            raise Refused("only one of its three tensors may be computed from the input, and not the first")
        tensor = call["tensor1"] if factors[0] is None else call["tensor2"]
        return emit_affine(call, call.tensor(tensor), factor=known[0] * float(call["value"]), term=term)

    def rewrite(self, draft: Draft) -> bool:
        readers = draft.readers()
        makers = {n.output: n for n in draft.nodes}
        for node in draft.nodes:
            layer = makers.get(node.inputs[0]) if node.op == self.name and node.attrs["below"] is None else None
            if layer is None or layer.weight is None or readers[layer.output] > 1:
                continue
            shape, of = draft.shapes[layer.output], operator(layer.op)
            if not isinstance(of, Weighted):
                continue
            each = np.stack([np.broadcast_to(node.attrs[key], shape) for key in ("factor", "term")])
            channels = np.moveaxis(each, 1 + of.channel_axis(shape), 1).reshape(2, len(layer.weight), -1)
            if (channels == channels[:, :, :1]).all():
                fold(draft, layer, node, np.zeros(len(layer.weight)), *channels[:, :, 0])
                return True
        return False

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        factor, term = (torch.as_tensor(node.attrs[key], dtype=x[0].dtype) for key in ("factor", "term"))
        if node.attrs["below"] is None:
            return x[0] * factor + term
        below = torch.as_tensor(node.attrs["below"], dtype=x[0].dtype)
        return torch.where(x[0] < 0, x[0] * below, x[0]) * factor + term

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], OUTPUT_BITS)
        ratio, made = q.type_of(tensor).scale, q.made(step)
        a = step.node.attrs
        below = np.float64(1.0) if a["below"] is None else a["below"]
        factor, term = a["factor"] * ratio / made.scale, a["term"] / made.scale
        slopes = max(np.abs(factor).max(), np.abs(factor * below).max())
        shift = shift_that_fits((MULTIPLIER_BITS, slopes), (TERM_BITS, np.abs(term).max()))
        raw = {"factor": factor, "term": term} | ({} if a["below"] is None else {"below": factor * below})
        limit = 2**31 - 1
        constants = {
            key: np.clip(np.rint(np.ldexp(value, shift)), -limit, limit)
            .astype(np.int32)
            .reshape(np.shape(value) or (1,))
            for key, value in raw.items()
        }
        q.add(step, (tensor,), attrs={"shift": shift}, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        k = {key: value.astype(np.int64) for key, value in node.constants.items()}
        factor = np.where(x[0] < 0, k.get("below", k["factor"]), k["factor"])
        acc = x[0] * factor + k["term"]
        return clamp(shifted(acc, np.array(node.attrs["shift"])), acc, made, node.relu_max)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        scale = 2.0 ** -node.attrs["shift"]
        k = {key: torch.from_numpy(v.astype(np.float64) * scale) for key, v in node.constants.items()}
        clamped, below = clamper(made, node.relu_max), k.get("below")

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            q = x[0].double()
            factor = k["factor"] if below is None else torch.where(q < 0, below, k["factor"])
            found = torch.empty(q.shape)
            clamped(q * factor + k["term"], found)
            return found

        return kernel

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        k = node.constants
        values = np.stack(
            [np.broadcast_to(k.get(key, k["factor"]), source.shape) for key in ("factor", "below", "term")]
        )
        short, run = period(values, source.shape)
        fields = {
            **{"size": output.size, "input": source.tag, "shift": node.attrs["shift"]},
            **{"run": run, "count": short.shape[1], "output": c.output_range(node, output)},
        }
        tables = dict(zip(("factor", "below", "term"), np.ascontiguousarray(short), strict=True))
        if "below" not in k:
            fields["below"] = 0
            del tables["below"]
        to.emit(node, "affine", [source], output, fields, tables=tables)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """In steps of the input: factor * q + term."""
        step = np.ldexp(made.scale, -node.attrs["shift"])
        k = {
            key: to.constant(value * step / (1.0 if key == "term" else read[0].scale))
            for key, value in node.constants.items()
        }
        factor = k["factor"]
        if "below" in k:
            is_below = to.add("Less", [x[0], to.constant(0.0)])
            factor = to.add("Where", [is_below, k["below"], factor])
        return to.add("Add", [to.add("Mul", [x[0], factor]), k["term"]])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, over in (((3, 4, 5), ()), ((3, 4, 5), (3, 1, 1)), ((6, 4), (6, 4)), ((6, 4), (4,))):
            for below in (None, rng.normal(size=over)):
                attrs = {"factor": rng.normal(size=over), "term": rng.normal(size=over), "below": below}
                yield sample(self.name, [shape], shape, attrs)


def emit_affine(call: Call, tensor: str, factor: Any = 1.0, term: Any = 0.0, below: Any = None) -> str:
    """A node for the call, whose constants are repeated over the tensor's shape, or the tensor over theirs.

    Terms of minus infinity, or as good as it, are LEFT_OUT: masks of attention have them, and softmax takes both for nothing.
    """
    if (np.asarray(term) <= LEAST).any():
        term = np.where(np.asarray(term) <= LEAST, LEFT_OUT, term)
        call.node.meta[OTHER_VALUES] = True
    values = [None if v is None else np.asarray(v, np.float64) for v in (factor, term, below)]
    known = [value for value in values if value is not None]
    if not all(np.isfinite(value).all() for value in known):
        raise Refused("its constants are not finite")
    tensor = expanded(call, tensor, np.broadcast_shapes(call.builder.shapes[tensor], *(value.shape for value in known)))
    shape = call.builder.shapes[tensor]
    attrs = dict(zip(Affine.ATTRS, values, strict=True))
    whole = all(value is None or value.ndim == 0 for value in values)
    if whole:
        return call.builder.elementwise(call.name, "affine", [tensor], call.source, attrs=attrs)
    return call.emit("affine", [tensor], shape, attrs=attrs)


def rescaled_constants(node: Node, by: Channels) -> Node:
    """A node that multiplies its output by the attribute `factor` and adds `term`, with others."""
    changed = {"factor": node.attrs["factor"] * by.factor, "term": node.attrs["term"] * by.factor + by.term}
    return replace(node, attrs=node.attrs | changed)
