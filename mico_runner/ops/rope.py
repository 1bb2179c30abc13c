"""rope: rotary position embedding, which turns pairs of values by an angle that grows with the place of their token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import clamp, shift_that_fits, shifted
from mico_runner.ops.base import Channels, Operator, Quantiser, Shapes, rescaled_constants, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import MULTIPLIER_BITS, OUTPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph

TURN_BITS = 20  # behind the point of a cosine
TERM_BITS = 60  # with what is turned, 58 at most, below 2^62


@torch.library.custom_op("mico::rope", mutates_args=())
def rope(x: torch.Tensor, head: int, base: float) -> torch.Tensor:
    """Tokens (N, T, heads * head): each pair (2i, 2i+1) of a head turned by place * base^(-2i / head) (Su et al. 2021)."""
    return _turned(x, head, base, 1.0)


def _turned(x: torch.Tensor, head: int, base: float, sign: float) -> torch.Tensor:
    cos, sin = (torch.from_numpy(each).to(x) for each in angles(x.shape[-2], head, base))
    pairs = x.reshape(*x.shape[:-1], -1, head // 2, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    cos, sin = cos[:, None], sign * sin[:, None]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x.shape)


@rope.register_fake
def _shape(x: torch.Tensor, head: int, base: float) -> torch.Tensor:
    return torch.empty_like(x)


def _context(ctx: Any, inputs: tuple[torch.Tensor, int, float], output: torch.Tensor) -> None:
    ctx.of = inputs[1:]


def _gradient(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
    """The same turn backwards."""
    head, base = ctx.of
    return _turned(grad, head, base, -1.0), None, None


rope.register_autograd(_gradient, setup_context=_context)


def angles(places: int, head: int, base: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines (places, head / 2) of angles in float32, as llama2.c has them: its networks were trained so."""
    powers = np.float32(base) ** (np.arange(0, head, 2, dtype=np.float32) / np.float32(head))
    turn = np.arange(places, dtype=np.float32)[:, None] * (np.float32(1) / powers)
    return np.cos(turn), np.sin(turn)


@register("rope")
class Rope(Operator):
    """y = turned(x) * `factor` + `term` over tokens (T, heads * `head`), pairs turned by place * `base`^(-2i / head).

    In integers, with cosines and sines C, S of 20 bits behind the point: of a pair a' = a C - b S, b' = a S + b C, then
    r = (a' * factor + term + 2^(shift-1)) >> shift, clamped. Constants: `cosine`, `sine` int32 (T, head / 2), `factor` int32 and `term`
    int64 (heads * head,). With a second input, the place, it turns that one token (1, heads * head) by the angles of that place.
    """

    ATEN = ("mico.rope.default",)
    ATTRS = ("head", "base", "factor", "term")
    WIDE = True
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 0.6  # half a step, and what 20 bits of the angles leave where both sides have 16

    def capture(self, call: Call) -> str:
        tensor = call.input("x")
        shape = call.builder.shapes[tensor]
        if len(shape) != 2 or shape[1] % call["head"] or call["head"] % 2:
            raise Refused(
                f"rope of shape {shape}, heads of {call['head']}; allowed: tokens (T, width), heads of one even width"
            )
        attrs = {"head": call["head"], "base": call["base"], "factor": np.ones(shape[1]), "term": np.zeros(shape[1])}
        return call.emit(self.name, [tensor], shape, attrs=attrs)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        factor, term = (torch.as_tensor(node.attrs[key], dtype=x[0].dtype) for key in ("factor", "term"))
        return _turned(x[0], node.attrs["head"], node.attrs["base"], 1.0) * factor + term

    def rescaled(self, node: Node, by: Channels) -> Node | None:
        return rescaled_constants(node, by)

    def wanted_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        return OUTPUT_BITS

    def quantise(self, q: Quantiser, step: Any) -> None:
        a = step.node.attrs
        tensor = q.read(step.node.inputs[0], OUTPUT_BITS)
        read, made = q.type_of(tensor), q.made(step)
        factor, term = a["factor"] * read.scale * 2.0**-TURN_BITS / made.scale, a["term"] / made.scale
        shift = shift_that_fits((MULTIPLIER_BITS, np.abs(factor).max()), (TERM_BITS, np.abs(term).max()))
        cos, sin = angles(q.shape_of(tensor)[0], a["head"], a["base"])
        constants = {
            "cosine": np.rint(cos * (1 << TURN_BITS)).astype(np.int32),
            "sine": np.rint(sin * (1 << TURN_BITS)).astype(np.int32),
            "factor": np.rint(np.ldexp(factor, shift)).astype(np.int32),
            "term": np.rint(np.ldexp(term, shift)).astype(np.int64),
        }
        q.add(step, (tensor,), attrs={"head": a["head"], "shift": shift}, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        cos, sin = (node.constants[key].astype(np.int64)[..., None, :] for key in ("cosine", "sine"))
        if len(x) == 2:
            cos, sin = (each[x[1][:, 0]][:, None] for each in (cos, sin))
        pairs = x[0].reshape(*x[0].shape[:-1], -1, node.attrs["head"] // 2, 2)
        a, b = pairs[..., 0], pairs[..., 1]
        turned = np.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(x[0].shape)
        acc = turned * node.constants["factor"] + node.constants["term"]
        return clamp(shifted(acc, np.array(node.attrs["shift"])), acc, made, node.relu_max)

    def for_token(self, node: QNode, place: str, tokens: int) -> QNode:
        return replace(node, inputs=(*node.inputs, place))

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        inputs, output = [to.buffer_of(tensor) for tensor in node.inputs], to.target(node)
        tokens, width = inputs[0].shape
        fields = {
            **{"tokens": tokens, "width": width, "head": node.attrs["head"], "input": inputs[0].tag},
            **{"places": len(node.constants["cosine"]), "place": inputs[1].tag if len(inputs) > 1 else inputs[0].tag},
            **{"shift": node.attrs["shift"], "output": c.output_range(node, output)},
        }
        to.emit(node, "rope_step" if len(inputs) > 1 else "rope", inputs, output, fields, tables=node.constants)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        constants, unit = node.constants, np.ldexp(1.0, -node.attrs["shift"]) * made.scale
        heads = len(constants["factor"]) // node.attrs["head"]
        cos, sin = (np.tile(np.repeat(constants[key], 2, 1), heads) for key in ("cosine", "sine"))
        factor = constants["factor"] * unit / read[0].scale
        partner = np.arange(len(factor)) ^ 1
        sign = np.where(np.arange(len(factor)) % 2, 1, -1)
        turned = to.add(
            "Mul", [to.add("Gather", [x[0], to.constant(partner)], axis=-1), to.constant(sin * sign * factor)]
        )
        kept = to.add("Mul", [x[0], to.constant(cos * factor)])
        return to.add("Add", [to.add("Add", [kept, turned]), to.constant(constants["term"] * unit)])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for tokens, heads, head in ((1, 1, 2), (9, 2, 4), (40, 3, 8)):
            factor, term = np.exp(rng.normal(size=heads * head) / 4), rng.normal(size=heads * head)
            attrs = {"head": head, "base": 10_000.0, "factor": factor, "term": term}
            yield sample(self.name, [(tokens, heads * head)], (tokens, heads * head), attrs)
