"""softmax."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, operator, register
from mico_runner.ops.affine import LEFT_OUT
from mico_runner.ops.arithmetic import clamp, shifted
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.draft import Draft
from mico_runner.ops.node import INPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole
from mico_runner.ops.permute import permuted
from mico_runner.ops.rows import lower_rows

NOTHING = -64.0  # a term up to which a score is left out: its share is below e^-64 of one without
EXP_BITS = 24  # of e^0 in the table
FACTOR_BITS = 24
PART_BITS = 38  # so that factor * 2^38 fits 62 bits


@register("softmax")
class Softmax(Operator):
    """e_i = exp(-scale * (max - q_i)) from a table of 24 bits, p = factor * 2^38 / sum e, r_i = e_i * p / 2^(38 + shift), rounded, clamped.

    Over the last dimension. Attribute: `kept`, None or bool (rows, length), repeated over the rows of the input: elements that are not
    kept are no part of the row, and 0 in the output, as masks of attention ask for. Constants: `exp`, int32 (256,), by the distance from
    the row's maximum, and `kept` where it is given, uint8; attributes `factor`, which is 2^shift / output scale, and `shift`.
    """

    ATEN = ("softmax.int", "_softmax.default")
    ATTRS = ("kept",)
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 0.55  # half a step, and what the table leaves

    def capture(self, call: Call) -> str:
        """Another dimension is put last, and back."""
        tensor = call.input()
        rank, axis = call.rank(tensor), call.axis(call["dim"])
        if axis < 0:
            raise Refused("softmax over the batch is not supported")
        order = (*(d for d in range(rank) if d != axis), axis)
        moved = permuted(call, tensor, order)
        found = call.emit(self.name, [moved], call.builder.shapes[moved], attrs={"kept": None})
        return permuted(call, found, tuple(np.argsort(order).tolist()))

    def rewrite(self, draft: Draft) -> bool:
        """Scores that a term leaves out become `kept`: a type that held that term would have no steps left for the others."""
        readers, makers = draft.readers(), {n.output: n for n in draft.nodes}
        for node in draft.nodes:
            if node.op != self.name or node.attrs["kept"] is not None:
                continue
            between = makers.get(node.inputs[0])
            view = between if between is not None and operator(between.op).VIEW else None
            masks = makers.get(view.inputs[0]) if view is not None else between
            if (
                masks is None
                or masks.op != "affine"
                or any(readers[n.output] > 1 for n in (masks, view) if n is not None)
            ):
                continue
            left = np.asarray(masks.attrs["term"] <= NOTHING)
            shape = draft.shapes[node.inputs[0]]
            kept = ~np.broadcast_to(left, draft.shapes[masks.output]).reshape(shape)
            if left.any() and kept.any(-1).all():
                self._mask(draft, node, masks, left, kept)
                return True
        return False

    def _mask(self, draft: Draft, node: Node, masks: Node, left: np.ndarray, kept: np.ndarray) -> None:
        """Give `kept` to the softmax, and take these terms from the affine node, or all of it where nothing else is in it."""
        one = np.where(left, 1.0, masks.attrs["factor"])
        attrs = masks.attrs | {"factor": one, "term": np.where(left, 0.0, masks.attrs["term"])}
        at = draft.nodes.index(node)
        draft.nodes[at] = replace(node, attrs={"kept": mask_rows(kept)})
        draft.nodes[draft.nodes.index(masks)] = replace(masks, attrs=attrs)
        draft.origin.pop(masks.output, None)
        if masks.attrs["below"] is None and (one == 1).all() and not attrs["term"].any():
            draft.read_instead(masks.output, masks.inputs[0])

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        if node.attrs["kept"] is None:
            return x[0].softmax(-1)
        kept = torch.from_numpy(node.attrs["kept"])
        rows = x[0].reshape(len(x[0]), -1, *kept.shape)
        return rows.masked_fill(~kept, -torch.inf).softmax(-1).reshape(x[0].shape)

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], INPUT_BITS)
        read, made = q.type_of(tensor), q.made(step)
        exp = exp_table(read)
        shift = FACTOR_BITS - int(np.frexp(1 / made.scale)[1])
        factor = int(np.rint(np.ldexp(1 / made.scale, shift)))
        kept = step.node.attrs["kept"]
        masks = {} if kept is None else {"kept": kept.astype(np.uint8)}
        q.add(step, (tensor,), attrs={"factor": factor, "shift": shift}, constants={"exp": exp, **masks})

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        kept = node.constants.get("kept", np.ones((1, x[0].shape[-1]), np.uint8)).astype(bool)
        rows = x[0].reshape(len(x[0]), -1, *kept.shape)
        most = np.where(kept, rows, read[0].qmin).max(-1, keepdims=True)
        e = np.where(kept, node.constants["exp"].astype(np.int64)[np.where(kept, most - rows, 0)], 0).reshape(
            x[0].shape
        )
        total = e.sum(-1, keepdims=True)
        part = (node.attrs["factor"] << PART_BITS) // total
        found = shifted(e * part, np.array(PART_BITS + node.attrs["shift"]))
        return clamp(found, found, made, node.relu_max)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        exp, length = node.constants["exp"], to.buffer_of(node.inputs[0]).shape[-1]
        masks = {key: node.constants[key] for key in ("kept",) if key in node.constants}
        none: c.Fields = {} if masks else {"kept": 0}

        def emit(source: c.Buffer, output: c.Buffer) -> None:
            fields = {
                **{"rows": source.size // length, "length": length, "input": source.tag},
                **{
                    "factor": node.attrs["factor"],
                    "shift": node.attrs["shift"],
                    "output": c.output_range(node, output),
                },
                **{"kept_rows": len(masks["kept"]) if masks else 0, **none},
            }
            to.emit(node, "softmax", [source], output, fields, tables={"exp": exp, **masks})

        lower_rows(to, node, emit)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        if "kept" not in node.constants:
            return to.add("Softmax", x, axis=-1)
        kept = node.constants["kept"]
        rows = to.add(
            "Reshape", [x[0], to.constant(whole(-1, prod(to.shape(node.inputs[0])) // kept.size, *kept.shape))]
        )
        found = to.add("Softmax", [to.add("Add", [rows, to.constant(np.where(kept, 0.0, LEFT_OUT))])], axis=-1)
        return to.add("Reshape", [found, to.constant(whole(-1, *to.shape(node.inputs[0])))])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        plain: tuple[tuple[int, ...], ...] = ((10,), (6, 7), (3, 4, 5))
        for shape in plain:
            yield sample(self.name, [shape], shape, {"kept": None})
        for shape, masked in (((5, 5), (5, 5)), ((3, 4, 5), (4, 5)), ((2, 3, 4, 5), (12, 5)), ((3, 4, 5), (1, 5))):
            kept = rng.random(masked) < 0.5
            kept[np.arange(len(kept)), rng.integers(0, masked[1], len(kept))] = True
            yield sample(self.name, [shape], shape, {"kept": kept})


def mask_rows(kept: np.ndarray) -> np.ndarray:
    """The least rows, bool (rows, length), that a mask (..., length) repeats."""
    while kept.ndim > 2 and (kept == kept[:1]).all():
        kept = kept[0]
    return np.ascontiguousarray(kept.reshape(-1, kept.shape[-1]))


def exp_table(read: QType) -> np.ndarray:
    """exp(-scale * i) for distances of 0 to 255 steps, 24 bits behind the point, int32."""
    steps = np.arange(1 << INPUT_BITS)
    found: np.ndarray = np.rint(np.exp(-read.scale * steps) * (1 << EXP_BITS)).astype(np.int32)
    return found
