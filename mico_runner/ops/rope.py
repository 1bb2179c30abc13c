"""rope: rotary position embedding, which turns pairs of values by an angle that grows with the place of their token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.affine import rescaled_constants
from mico_runner.ops.arithmetic import clamp, shift_that_fits, shifted
from mico_runner.ops.base import Channels, Operator, Quantiser, Shapes, Undone, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import MULTIPLIER_BITS, OUTPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph

TURN_BITS = 20  # behind the point of a cosine
READ_BITS = 18  # of what is turned
TERM_BITS = 60  # with what is turned, 61 at most, below 2^62


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
    """y = turned(x * `read_factor` + `read_term`) * `factor` + `term` over tokens (T, heads * `head`).

    Pairs are turned by place * `base`^(-2i / head).

    In integers, each x is first brought to 18 bits, p = (x * read_factor + read_term + 2^(read_shift-1)) >> read_shift; with cosines and
    sines C, S of 20 bits behind the point, of a pair a' = a C - b S, b' = a S + b C, then
    r = (a' * factor + term + 2^(shift-1)) >> shift, clamped. Constants: `cosine`, `sine` int32 (T, head / 2), `read_factor`, `factor`
    int32 and `read_term`, `term` int64 (heads * head,). With a second input, the place, it turns that one token (1, heads * head) by the
    angles of that place. It reads at `read_bits`: keys that are kept at few bits are rounded before they are turned, each channel with its
    own step and mean, which turning would mix (Hooper et al., "KVQuant", NeurIPS 2024, section 3.2).
    """

    ATEN = ("mico.rope.default",)
    ATTRS = ("head", "base", "read_factor", "read_term", "factor", "term", "read_bits")
    WIDE = True
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 0.8  # half a step, and what 18 bits of what is turned and 20 of the angles leave where both sides have 16

    def capture(self, call: Call) -> str:
        tensor = call.input("x")
        shape = call.builder.shapes[tensor]
        if len(shape) != 2 or shape[1] % call["head"] or call["head"] % 2:
            raise Refused(
                f"rope of shape {shape}, heads of {call['head']}; allowed: tokens (T, width), heads of one even width"
            )
        none = {"factor": np.ones(shape[1]), "term": np.zeros(shape[1])}
        attrs = {"head": call["head"], "base": call["base"], **none, "read_bits": OUTPUT_BITS}
        attrs |= {f"read_{key}": value for key, value in none.items()}
        return call.emit(self.name, [tensor], shape, attrs=attrs)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        of_read, read_term, factor, term = (
            torch.as_tensor(node.attrs[key], dtype=x[0].dtype) for key in ("read_factor", "read_term", "factor", "term")
        )
        return _turned(x[0] * of_read + read_term, node.attrs["head"], node.attrs["base"], 1.0) * factor + term

    def rescaled(self, node: Node, by: Channels) -> Node | None:
        return rescaled_constants(node, by)

    def undoing(self, node: Node, at: int, by: Channels, shapes: Shapes) -> Undone | None:
        factor = node.attrs["read_factor"] / by.factor
        read = {"read_factor": factor, "read_term": node.attrs["read_term"] - factor * by.term}
        return Undone(replace(node, attrs=node.attrs | read))

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        return int(node.attrs["read_bits"])

    def quantise(self, q: Quantiser, step: Any) -> None:
        a = step.node.attrs
        tensor = q.read(step.node.inputs[0], a["read_bits"])
        read, made = q.type_of(tensor), q.made(step)
        most = np.abs(a["read_factor"]) * read.scale * max(read.qmax, -read.qmin) + np.abs(a["read_term"])
        unit = float(most.max()) * 2.0 ** (1 - READ_BITS)
        of_read, read_shift = _shifted_up(a["read_factor"] * read.scale / unit, a["read_term"] / unit)
        of_made, shift = _shifted_up(a["factor"] * unit * 2.0**-TURN_BITS / made.scale, a["term"] / made.scale)
        cos, sin = angles(q.shape_of(tensor)[0], a["head"], a["base"])
        constants = {
            key: np.rint(of * (1 << TURN_BITS)).astype(np.int32) for key, of in (("cosine", cos), ("sine", sin))
        }
        constants |= {f"read_{key}": value for key, value in of_read.items()} | of_made
        attrs = {"head": a["head"], "read_shift": read_shift, "shift": shift}
        q.add(step, (tensor,), attrs=attrs, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        cos, sin = (node.constants[key].astype(np.int64)[..., None, :] for key in ("cosine", "sine"))
        if len(x) == 2:
            cos, sin = (each[x[1][:, 0]][:, None] for each in (cos, sin))
        read_acc = x[0] * node.constants["read_factor"].astype(np.int64) + node.constants["read_term"]
        pairs = shifted(read_acc, np.array(node.attrs["read_shift"])).reshape(
            *x[0].shape[:-1], -1, node.attrs["head"] // 2, 2
        )
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
            **{key: node.attrs[key] for key in ("read_shift", "shift")},
            "output": c.output_range(node, output),
        }
        to.emit(node, "rope_step" if len(inputs) > 1 else "rope", inputs, output, fields, tables=node.constants)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        constants, unit = node.constants, np.ldexp(1.0, -node.attrs["shift"]) * made.scale
        of_read, read_term = (
            np.ldexp(constants[f"read_{key}"].astype(float), -node.attrs["read_shift"]) for key in ("factor", "term")
        )
        heads = len(constants["factor"]) // node.attrs["head"]
        cos, sin = (np.tile(np.repeat(constants[key], 2, 1), heads) for key in ("cosine", "sine"))
        factor = constants["factor"] * unit
        turning = to.add("Mul", [x[0], to.constant(of_read / read[0].scale)])
        turning = to.add("Add", [turning, to.constant(read_term)])
        partner = np.arange(len(factor)) ^ 1
        sign = np.where(np.arange(len(factor)) % 2, 1, -1)
        turned = to.add(
            "Mul", [to.add("Gather", [turning, to.constant(partner)], axis=-1), to.constant(sin * sign * factor)]
        )
        kept = to.add("Mul", [turning, to.constant(cos * factor)])
        return to.add("Add", [to.add("Add", [kept, turned]), to.constant(constants["term"] * unit)])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for tokens, heads, head in ((1, 1, 2), (9, 2, 4), (40, 3, 8)):
            attrs: dict[str, Any] = {"head": head, "base": 10_000.0, "read_bits": OUTPUT_BITS}
            for key in ("read_", ""):
                attrs[f"{key}factor"] = np.exp(rng.normal(size=heads * head) / 4)
                attrs[f"{key}term"] = rng.normal(size=heads * head)
            yield sample(self.name, [(tokens, heads * head)], (tokens, heads * head), attrs)


def _shifted_up(factor: np.ndarray, term: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """Factors as int32 and terms as int64, and the shift that brings both back."""
    shift = shift_that_fits((MULTIPLIER_BITS, np.abs(factor).max()), (TERM_BITS, np.abs(term).max()))
    whole = {key: np.rint(np.ldexp(each, shift)) for key, each in (("factor", factor), ("term", term))}
    return {"factor": whole["factor"].astype(np.int32), "term": whole["term"].astype(np.int64)}, shift
