"""layer_norm, and its kin: group norm, instance norm, RMS norm and division by the L2 norm."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.affine import rescaled_constants
from mico_runner.ops.arithmetic import clamp, shift_that_fits, shifted
from mico_runner.ops.base import Channels, Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import INPUT_BITS, MULTIPLIER_BITS, OUTPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole
from mico_runner.ops.rows import lower_rows

FRACTION = 16  # bits behind the point of a normalised value
MEAN_BITS = 12  # behind the point of a mean of 8-bit integers; one less for each further bit of the input
DROPPED = 9  # bits of c that its product with the reciprocal has no room for
ROOT_BITS = 60  # of the sum of squares before its root is taken: the root has half as many
TERM_BITS = 40
MOST = 1 << 20  # elements of a row: products with the reciprocal stay below 2^62, which grows with their root


@register("layer_norm")
class LayerNorm(Operator):
    """y = (x - mean) / sqrt(mean((x - mean)^2) + `eps`) * `factor` + `term` over rows of the last dimension; no mean if not `centred`.

    In integers: c = 2^m q - mean, the mean with m bits behind the point, towards zero (0 if not centred); d = mean c^2 + eps, scaled up
    by a power of four to 60 bits; t = c / sqrt(d) with 16 bits behind the point, by one reciprocal of 61 bits for a row;
    r = (t * factor + term + 2^(shift-1)) >> shift, clamped. Constants: `factor` int32 and `term` int64 (n,). m, the attribute
    `mean_bits`, is 12 at up to 8 bits of the input, 4 at 16.
    """

    ATEN = ("layer_norm.default", "group_norm.default", "instance_norm.default", "rms_norm.default")
    ATTRS = ("eps", "factor", "term", "centred")
    WIDE = True
    ROWS = True
    PER_TOKEN = True
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 0.6  # half a step, and what the 16 bits leave where the output has as many

    def capture(self, call: Call) -> str:
        if call.target == "group_norm":
            return self._groups(call, int(call["num_groups"]))
        if call.target == "instance_norm":
            if not call["use_input_stats"] or call["running_mean"] is not None:
                raise Refused("an instance norm with stored statistics is not supported")
            return self._groups(call, call.builder.shapes[call.input("input")][0])
        tensor = call.input("input")
        shape, over = call.builder.shapes[tensor], tuple(call["normalized_shape"])
        if shape[len(shape) - len(over) :] != over:
            raise Refused(f"a norm over {over} of a tensor of shape {shape} is not supported")
        _check_length(prod(over))
        eps = call["eps"] if call["eps"] is not None else torch.finfo(torch.float32).eps
        factor, term = (
            np.full(prod(over), fill)
            if call.args.get(key) is None
            else np.asarray(call.constant(call[key])).reshape(-1)
            for key, fill in (("weight", 1.0), ("bias", 0.0))
        )
        rows = call.reshape(tensor, (*shape[: len(shape) - len(over)], prod(over)))
        attrs = {"eps": float(eps), "factor": factor, "term": term, "centred": call.target != "rms_norm"}
        found = call.emit(self.name, [rows], call.builder.shapes[rows], attrs=attrs)
        return call.reshape(found, shape)

    def _groups(self, call: Call, groups: int) -> str:
        """Each group is a row; the channels' own factors and terms come behind, as they differ within it."""
        tensor = call.input("input")
        shape = call.builder.shapes[tensor]
        size = prod(shape) // groups
        _check_length(size)
        attrs = {"eps": float(call["eps"]), "factor": np.ones(size), "term": np.zeros(size), "centred": True}
        rows = call.reshape(tensor, (groups, size))
        found = call.reshape(call.emit(self.name, [rows], (groups, size), attrs=attrs), shape)
        factor, term = (call.constant(call[key]) if call[key] is not None else None for key in ("weight", "bias"))
        if factor is None and term is None:
            return found
        each = (-1, *[1] * (len(shape) - 1))
        values = {
            "factor": np.float64(1) if factor is None else factor.reshape(each),
            "term": np.float64(0) if term is None else term.reshape(each),
            "below": None,
        }
        return call.builder.emit(f"{call.name}.affine", "affine", [found], shape, call.source, attrs=values)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        factor, term = (torch.as_tensor(node.attrs[key], dtype=x[0].dtype) for key in ("factor", "term"))
        centred = x[0] - x[0].mean(-1, keepdim=True) if node.attrs["centred"] else x[0]
        return centred * torch.rsqrt((centred**2).mean(-1, keepdim=True) + node.attrs["eps"]) * factor + term

    def rescaled(self, node: Node, by: Channels) -> Node | None:
        return rescaled_constants(node, by)

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], OUTPUT_BITS)
        read, made, a = q.type_of(tensor), q.made(step), step.node.attrs
        mean_bits = MEAN_BITS - max(0, read.bits - INPUT_BITS)
        factor, term = a["factor"] * 2.0**-FRACTION / made.scale, a["term"] / made.scale
        shift = shift_that_fits((MULTIPLIER_BITS, np.abs(factor).max()), (TERM_BITS, np.abs(term).max()))
        attrs = {
            "shift": shift,
            "centred": a["centred"],
            "mean_bits": mean_bits,
            "eps": round(min(a["eps"] * 4.0**mean_bits / read.scale**2, 2.0**ROOT_BITS)),
        }
        constants = {
            "factor": np.rint(np.ldexp(factor, shift)).astype(np.int32),
            "term": np.rint(np.ldexp(term, shift)).astype(np.int64),
        }
        q.add(step, (tensor,), attrs=attrs, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        q, a = x[0], node.attrs
        count = q.shape[-1]
        total = q.sum(-1, keepdims=True) if a["centred"] else np.zeros((1,), np.int64)
        c = (q << a["mean_bits"]) - np.sign(total) * ((np.abs(total) << a["mean_bits"]) // count)
        d = (c * c).sum(-1, keepdims=True) // count + a["eps"]
        up = sum((d < (1 << bits)).astype(np.int64) for bits in range(ROOT_BITS - 2, 0, -2))
        inverse = (1 << 61) // np.maximum(_root(d << (2 * up)), 1)
        t = np.sign(c) * (((np.abs(c) << up >> DROPPED) * inverse) >> (61 - DROPPED - FRACTION))
        acc = t * node.constants["factor"] + node.constants["term"]
        return clamp(shifted(acc, np.array(a["shift"])), acc, made, node.relu_max)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        length, a = len(node.constants["factor"]), node.attrs

        def emit(source: c.Buffer, output: c.Buffer) -> None:
            fields = {
                **{"rows": source.size // length, "length": length, "input": source.tag, "centred": int(a["centred"])},
                **{"mean_bits": a["mean_bits"], "shift": a["shift"], "output": c.output_range(node, output)},
            }
            tables = {**node.constants, "eps": np.array([a["eps"]], np.int64)}
            to.emit(node, "layer_norm", [source], output, fields, tables=tables)

        lower_rows(to, node, emit)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        step = np.ldexp(made.scale, -node.attrs["shift"])
        factor, term = (
            to.constant(node.constants[key] * s) for key, s in (("factor", step * 2.0**FRACTION), ("term", step))
        )
        minus = to.constant(whole(-1))
        centred = to.add("Sub", [x[0], to.add("ReduceMean", [x[0], minus])]) if node.attrs["centred"] else x[0]
        square = to.add("ReduceMean", [to.add("Mul", [centred, centred]), minus])
        eps = to.constant(float(node.attrs["eps"] * read[0].scale ** 2 / 4.0 ** node.attrs["mean_bits"]))
        root = to.add("Sqrt", [to.add("Add", [square, eps])])
        return to.add("Add", [to.add("Mul", [to.add("Div", [centred, root]), factor]), term])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, centred in (((12,), True), ((6, 8), True), ((6, 8), False), ((3, 4, 16), True)):
            factor, term = rng.normal(size=(2, shape[-1]))
            attrs = {"eps": 1e-5, "factor": factor, "term": term, "centred": centred}
            yield sample(self.name, [shape], shape, attrs)


def _check_length(count: int) -> None:
    if count > MOST:
        raise Refused(f"a norm over {count} elements may overflow 64 bits; at most {MOST}")


def _root(d: np.ndarray) -> np.ndarray:
    """floor(sqrt(d)) of int64: the float's root, corrected by at most one."""
    root = np.sqrt(d.astype(np.float64)).astype(np.int64)
    root -= root * root > d
    root += (root + 1) * (root + 1) <= d
    return root
