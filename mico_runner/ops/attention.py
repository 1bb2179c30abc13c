"""attention: causal attention of grouped queries, as decoders have it, from scores to the weighted values in one operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import e, log2, sqrt
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import MAX_SHIFT, clamp, shifted
from mico_runner.ops.base import Channels, Operator, Quantiser, Shapes, Undone, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import INPUT_BITS, MULTIPLIER_BITS, OUTPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole

POWER_BITS = 16  # behind the point of 2^-z
PLACE_BITS = 15  # behind the point of z: 5 choose an entry of the table, 10 lie between two
ENTRY_BITS = 5
MOST_Z = 31 << PLACE_BITS  # 2^-31 is nothing
FACTOR_BITS = 24
SCORE_BITS = 31  # of a sum of products of queries and keys
LATER = -1e9  # a score whose share is 0
AWAY = (
    0.75  # any factor but 1: ONNX Runtime 1.31 moves quantisation past a Reshape behind it, to another type than it had
)
MOST_OUT_SHIFT = 31  # with the bits of a part 61: rounding fits
PART_BITS = 30  # factor * 2^30 / sum of the powers times a sum of values stays below 2^62


@torch.library.custom_op("mico::causal_attention", mutates_args=())
def causal_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, kv_heads: int) -> torch.Tensor:
    """Queries (N, T, heads * d), keys and values (N, T, kv_heads * d): each head of queries reads the keys of head * kv_heads // heads.

    softmax(q k' / sqrt(d)) v of a token and those before it: (N, T, heads * d).
    """
    return _attention(q, k, v, heads, kv_heads)


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, kv_heads: int) -> torch.Tensor:
    def parted(x: torch.Tensor, count: int) -> torch.Tensor:
        return x.reshape(*x.shape[:-1], count, -1).transpose(-2, -3)

    of_q, of_k, of_v = parted(q, heads), parted(k, kv_heads), parted(v, kv_heads)
    shared = heads != kv_heads
    found = torch.nn.functional.scaled_dot_product_attention(of_q, of_k, of_v, is_causal=True, enable_gqa=shared)
    return found.transpose(-2, -3).reshape(q.shape)


@causal_attention.register_fake
def _shape(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, kv_heads: int) -> torch.Tensor:
    return torch.empty_like(q)


def _context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.heads = inputs[3:]


def _gradient(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    """By computing it once more."""
    with torch.enable_grad():
        read = [x.detach().requires_grad_() for x in ctx.saved_tensors]
        found = torch.autograd.grad(_attention(*read, *ctx.heads), read, grad)
    return (*found, None, None)


causal_attention.register_autograd(_gradient, setup_context=_context)


@register("attention")
class Attention(Operator):
    """softmax(q k' / sqrt(d)) v over a token and those before it, for `heads` of queries and `kv_heads` of keys and values.

    q (T, heads * d), k and v (T, kv_heads * d). In integers, for each token and head, over the tokens j up to it:
    s_j = sum of q k_j; z_j = ((max s - s_j) * multiplier + 2^(shift-1)) >> shift, at most 31 * 2^15: the exponent to base 2, 15 bits
    behind the point; e_j = 2^-z_j with 16 bits behind the point, from a table of 2^-f of 33 entries with 30 bits, linear between two;
    r = (sum of e_j v_j * p + half) >> (30 + out_shift), p = floor(factor * 2^30 / sum of e_j), clamped. Constant `power` int32 (33,);
    attributes `multiplier`, `shift`, `factor`, `out_shift`. Keys and values are stored at the two `kept_bits`, 8 or less, queries at 16,
    or as many as scores of 31 bits allow.
    With a fourth input, the place of the one token that it reads, keys and values of those before it lie in a cache of `cache` tokens:
    the samples of a batch are then tokens one after another.
    """

    ATEN: tuple[str, ...] = ("mico.causal_attention.default",)
    ATTRS: tuple[str, ...] = ("heads", "kv_heads", "kept_bits")
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 8.0  # half a step, and what the table and 16 bits of 2^-z leave where the output has 16 bits; 0.6 of 8

    def capture(self, call: Call) -> str:
        q, k, v = (call.input(key) for key in ("q", "k", "v"))
        sizes, heads, kv_heads = call.builder.shapes, call["heads"], call["kv_heads"]
        fits = len(sizes[q]) == 2 and heads % kv_heads == 0 and sizes[q][1] % heads == 0
        if not fits or sizes[k] != sizes[v] or sizes[k] != (sizes[q][0], sizes[q][1] // heads * kv_heads):
            raise Refused(
                f"attention of queries {sizes[q]}, {heads} heads, keys {sizes[k]} and values {sizes[v]}, {kv_heads} heads, is not supported"
            )
        attrs = {"heads": heads, "kv_heads": kv_heads, "kept_bits": (INPUT_BITS, INPUT_BITS)}
        return call.emit(self.name, [q, k, v], sizes[q], attrs=attrs)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return _attention(x[0], x[1], x[2], node.attrs["heads"], node.attrs["kv_heads"])

    def undoing(self, node: Node, at: int, by: Channels, shapes: Shapes) -> Undone | None:
        """Keys: a term adds the same to all scores of a query; queries get the inverse factors. Values: so does what is made of them."""
        if at == 0:
            return None
        heads, kv_heads = node.attrs["heads"], node.attrs["kv_heads"]
        factor, term = (
            np.repeat(each.reshape(kv_heads, -1), heads // kv_heads, 0).reshape(-1) for each in (by.factor, by.term)
        )
        if at == 2:
            return Undone(node, output=Channels(factor, term))
        return Undone(node, {node.inputs[0]: Channels(1 / factor, np.zeros_like(term))})

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        """Queries are not kept: they have 16 bits, so that only the keys' rounding is left in a score."""
        return int(node.attrs["kept_bits"][at - 1]) if at else OUTPUT_BITS

    def quantise(self, q: Quantiser, step: Any) -> None:
        a = step.node.attrs
        size = q.shape_of(step.node.inputs[0])[1] // a["heads"]
        bits = (min(OUTPUT_BITS, SCORE_BITS - INPUT_BITS - (size - 1).bit_length()), *a["kept_bits"])
        inputs = tuple(q.read(tensor, most) for tensor, most in zip(step.node.inputs, bits, strict=True))
        read, made = [q.type_of(tensor) for tensor in inputs], q.made(step)
        scores = read[0].scale * read[1].scale * log2(e) / sqrt(size)
        multiplier, shift = _scaled(scores * (1 << PLACE_BITS), MULTIPLIER_BITS, MAX_SHIFT)
        factor, out_shift = _scaled(read[2].scale / made.scale, FACTOR_BITS, MOST_OUT_SHIFT)
        attrs = {key: a[key] for key in ("heads", "kv_heads")}
        attrs |= {"multiplier": multiplier, "shift": shift, "factor": factor, "out_shift": out_shift}
        entries = np.arange((1 << ENTRY_BITS) + 1) / (1 << ENTRY_BITS)
        power = np.rint(2.0 ** (30 - entries)).astype(np.int32)
        q.add(step, inputs, attrs=attrs, constants={"power": power, **self.filters(step.node, read)})

    def filters(self, node: Node, read: list[QType]) -> dict[str, np.ndarray]:
        """Constants of what attends to some keys alone."""
        return {}

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        return _integer(node, x, made)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        """Scores in float64, exact; powers of all z from one table; the rest in whole numbers."""
        a = node.attrs
        heads, kv_heads = a["heads"], a["kv_heads"]
        every = torch.from_numpy(power_of(node, np.arange(MOST_Z + 1)).astype(np.float64))
        factor = a["multiplier"] * 2.0 ** -a["shift"]
        shift = PART_BITS + a["out_shift"]
        low, high = made.qmin, made.qmax if node.relu_max is None else min(made.qmax, node.relu_max)

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            q, k, v = (
                t.reshape(*t.shape[:2], count, -1).transpose(1, 2)
                for t, count in zip(x, (heads, kv_heads, kv_heads), strict=True)
            )
            k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
            later = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
            rows = []
            for head in range(heads):  # what one needs fits a cache
                scores = (q[:, head].double() @ k[:, head].double().mT).masked_fill_(later, -torch.inf)
                z = (scores.amax(-1, keepdim=True) - scores).mul_(factor).add_(0.5).floor_().clamp_(max=MOST_Z)
                powers = every[z.long()].masked_fill_(later, 0)
                part = (a["factor"] << PART_BITS) // powers.sum(-1, keepdim=True).long()
                acc = (powers @ v[:, head].double()).long()
                rows.append(((acc * part + (1 << (shift - 1))) >> shift).clamp_(low, high).float())
            return torch.cat(rows, -1)

        return kernel

    def for_token(self, node: QNode, place: str, tokens: int) -> QNode | None:
        return replace(node, inputs=(*node.inputs, place), attrs={**node.attrs, "cache": tokens})

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        inputs, output, a = [to.buffer_of(tensor) for tensor in node.inputs], to.target(node), node.attrs
        tokens, width = inputs[0].shape
        step = len(inputs) == 4
        tokens = a["cache"] if step else tokens
        fields = {
            **{"tokens": tokens, "heads": a["heads"], "kv_heads": a["kv_heads"], "head": width // a["heads"]},
            **{name: buffer.tag for name, buffer in zip(("q", "k", "v", "place"), inputs, strict=False)},
            **{key: a[key] for key in ("multiplier", "shift", "factor", "out_shift")},
            "output": c.output_range(node, output),
        }
        if step:
            inputs += [to.kept(f"{node.name}_{what}", tokens * inputs[1].size) for what in ("keys", "values")]
        kernel = "attention_step" if step else "attention"
        to.emit(node, kernel, inputs, output, fields, tables=node.constants, scratch_words=tokens)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        a, (tokens, width) = node.attrs, to.shape(node.inputs[0])
        heads, size = a["heads"], width // a["heads"]
        q, k, v = (
            to.add("Reshape", [to.add("Mul", [tensor, to.constant(AWAY)]), to.constant(whole(0, tokens, count, size))])
            for tensor, count in zip(x, (heads, a["kv_heads"], a["kv_heads"]), strict=True)
        )
        if heads != a["kv_heads"]:
            of_head = to.constant(np.arange(heads) * a["kv_heads"] // heads)
            k, v = (to.add("Gather", [tensor, of_head], axis=2) for tensor in (k, v))
        unit = np.ldexp(a["multiplier"] / log2(e), -a["shift"] - PLACE_BITS) / (read[0].scale * read[1].scale * AWAY**2)
        scores = to.add("Mul", [to.add("Einsum", [q, k], equation="bihd,bjhd->bhij"), to.constant(unit)])
        later = to.constant(np.triu(np.full((tokens, tokens), LATER), 1))
        shares = to.add("Softmax", [to.add("Add", [scores, later])], axis=-1)
        mixed = to.add("Einsum", [shares, v], equation="bhij,bjhd->bihd")
        factor = np.ldexp(float(a["factor"]), -a["out_shift"]) * made.scale / (read[2].scale * AWAY)
        return to.add("Mul", [to.add("Reshape", [mixed, to.constant(whole(0, tokens, width))]), to.constant(factor)])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for tokens, heads, kv_heads, size in ((1, 1, 1, 2), (7, 4, 2, 3), (40, 2, 1, 8)):
            attrs = {"heads": heads, "kv_heads": kv_heads, "kept_bits": (INPUT_BITS, INPUT_BITS)}
            keys = (tokens, kv_heads * size)
            yield sample(self.name, [(tokens, heads * size), keys, keys], (tokens, heads * size), attrs)


def _scaled(value: float, bits: int, most: int) -> tuple[int, int]:
    """A whole number of that many bits and the shift, up to `most`, that brings it back to `value`."""
    shift = int(np.clip(bits - int(np.frexp(value)[1]), 1, most))
    return min(round(np.ldexp(value, shift)), (1 << bits) - 1), shift


def _integer(node: QNode, x: list[np.ndarray], made: QType) -> np.ndarray:
    a = node.attrs
    heads, kv_heads = a["heads"], a["kv_heads"]
    if len(x) == 4:
        return _one_by_one(node, x, made)
    samples, tokens, width = x[0].shape
    q = x[0].reshape(samples, tokens, heads, -1).swapaxes(1, 2).astype(np.float64)
    k, v = (np.repeat(t.reshape(samples, tokens, kv_heads, -1).swapaxes(1, 2), heads // kv_heads, 1) for t in x[1:])
    scores = (q @ k.swapaxes(-1, -2).astype(np.float64)).astype(np.int64)  # exact: below 2^31
    seen = np.tril(np.ones((tokens, tokens), bool))
    shares = np.where(seen, powers(node, scores, np.where(seen, scores, np.iinfo(np.int64).min).max(-1)), 0)
    return weighted(node, shares, v, made).swapaxes(1, 2).reshape(samples, tokens, width)


def powers(node: QNode, scores: np.ndarray, most: np.ndarray) -> np.ndarray:
    """2^-z of scores (..., j), whose greatest are `most` (...)."""
    a = node.attrs
    z = shifted((most[..., None] - scores).clip(0, (1 << 31) - 1) * a["multiplier"], np.array(a["shift"]))
    return power_of(node, z.clip(0, MOST_Z))


def power_of(node: QNode, z: np.ndarray) -> np.ndarray:
    """2^-z, int64 with 16 bits behind the point, for z of 0 .. MOST_Z."""
    table = node.constants["power"].astype(np.int64)
    between = PLACE_BITS - ENTRY_BITS
    fraction = z & ((1 << PLACE_BITS) - 1)
    entry, rest = fraction >> between, fraction & ((1 << between) - 1)
    found = table[entry] - ((table[entry] - table[entry + 1]) * rest >> between)
    return shifted(found, 30 - POWER_BITS + (z >> PLACE_BITS))


def weighted(node: QNode, shares: np.ndarray, v: np.ndarray, made: QType) -> np.ndarray:
    """Shares (..., j), which are powers, and values (..., j, d) to integers of the output."""
    part = (node.attrs["factor"] << PART_BITS) // shares.sum(-1)
    acc = (shares.astype(np.float64) @ v.astype(np.float64)).astype(np.int64)  # exact: below 2^53
    found = shifted(acc * part[..., None], np.array(PART_BITS + node.attrs["out_shift"]))
    return clamp(found, found, made, node.relu_max)


def _one_by_one(node: QNode, x: list[np.ndarray], made: QType) -> np.ndarray:
    """Sample n is a token at its place p: it reads samples n - p .. n."""
    heads, kv_heads = node.attrs["heads"], node.attrs["kv_heads"]
    queries, places = x[0][:, 0], x[3][:, 0]
    rows = []
    for n, place in enumerate(places.tolist()):
        q = queries[n].reshape(heads, -1)
        k, v = (
            np.repeat(t[n - place : n + 1, 0].reshape(place + 1, kv_heads, -1).swapaxes(0, 1), heads // kv_heads, 0)
            for t in x[1:3]
        )
        scores = np.einsum("hd,hjd->hj", q, k)
        shares = powers(node, scores, scores.max(-1))
        rows.append(weighted(node, shares[:, None], v, made).reshape(1, 1, -1))
    return np.concatenate(rows)
