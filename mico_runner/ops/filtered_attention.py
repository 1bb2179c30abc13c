"""filtered_attention: causal attention to those keys alone that pass rounds of scores of few bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from mico_runner.ops import c, operator, register
from mico_runner.ops.attention import MOST_Z, PART_BITS, Attention, power_of, powers, weighted
from mico_runner.ops.base import Operator, Shapes
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import Node, QNode, QType

UNIT = 64  # of a threshold's place between two scores
ALL = -UNIT  # a place at which every key passes
Round = tuple[int, int]  # bits of queries and keys, place of the threshold


@register("filtered_attention")
class FilteredAttention(Attention):
    """`attention` to the keys that pass `rounds` of scores of few bits (Energon, Zhou et al., TCAD 2022).

    A round (bits, place) scores the keys that have passed so far by the upper bits of queries and keys: s_j = sum of (q >> a) (k_j >> b),
    a and b such that so many bits are left. With their number n, sum and greatest s, a key passes where
    64 n s_j >= place n max + (64 - place) sum: between the mean, at place 0, and the greatest, at 64, which always passes. Of a place
    below 0 the least stands for the greatest, and -place for it. Constant `filters` int32 (rounds, 3): a, b, place. Everything else is
    `attention`, over the keys that pass. On real numbers nothing is filtered: what does not pass has next to no share.
    """

    ATEN = ()
    ATTRS = ("heads", "kv_heads", "kept_bits", "rounds")
    onnx = Operator.onnx  # it has no form there

    def filters(self, node: Node, read: list[QType]) -> dict[str, np.ndarray]:
        return {"filters": filters_of(node.attrs["rounds"], read)}

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        samples, tokens, width = x[0].shape
        q, k, v = parted(node, x)
        seen = survivors(node.constants["filters"], q, k)[-1]
        scores = (q.astype(np.float64) @ k.swapaxes(-1, -2).astype(np.float64)).astype(np.int64)  # exact: below 2^31
        shares = np.where(seen, powers(node, scores, np.where(seen, scores, np.iinfo(np.int64).min).max(-1)), 0)
        return weighted(node, shares, v, made).swapaxes(1, 2).reshape(samples, tokens, width)

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        """As `attention` does, whole numbers in float64."""
        a = node.attrs
        every = torch.from_numpy(power_of(node, np.arange(MOST_Z + 1)).astype(np.float64))
        factor, shift = a["multiplier"] * 2.0 ** -a["shift"], PART_BITS + a["out_shift"]
        low, high = made.qmin, made.qmax if node.relu_max is None else min(made.qmax, node.relu_max)
        together = a["heads"] // a["kv_heads"]

        def kernel(x: list[torch.Tensor]) -> torch.Tensor:
            counts = (a["heads"], a["kv_heads"], a["kv_heads"])
            q, k, v = (
                t.double().reshape(*t.shape[:2], count, -1).transpose(1, 2) for t, count in zip(x, counts, strict=True)
            )
            rows = []
            for head in range(a["heads"]):
                queries, keys, values = q[:, head], k[:, head // together], v[:, head // together]
                seen = torch.ones(queries.shape[-2], queries.shape[-2], dtype=torch.bool).tril()
                for less_q, less_k, place in node.constants["filters"].tolist():
                    coarse = (queries / 2**less_q).floor() @ (keys / 2**less_k).floor().mT
                    seen = seen & _passes(coarse, seen, place)
                scores = (queries @ keys.mT).masked_fill_(~seen, -torch.inf)
                z = (scores.amax(-1, keepdim=True) - scores).mul_(factor).add_(0.5).floor_().clamp_(max=MOST_Z)
                shares = every[z.long()].masked_fill_(~seen, 0)
                part = (a["factor"] << PART_BITS) // shares.sum(-1, keepdim=True).long()
                acc = (shares @ values).long()
                rows.append(((acc * part + (1 << (shift - 1))) >> shift).clamp_(low, high).float())
            return torch.cat(rows, -1)

        return kernel

    def for_token(self, node: QNode, place: str, tokens: int) -> QNode | None:
        return None

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        inputs, output, a = [to.buffer_of(tensor) for tensor in node.inputs], to.target(node), node.attrs
        tokens, width = inputs[0].shape
        fields = {
            **{"tokens": tokens, "heads": a["heads"], "kv_heads": a["kv_heads"], "head": width // a["heads"]},
            **{name: buffer.tag for name, buffer in zip("qkv", inputs, strict=True)},
            **{key: a[key] for key in ("multiplier", "shift", "factor", "out_shift")},
            "output": c.output_range(node, output),
            "rounds": len(node.constants["filters"]),
        }
        to.emit(node, "filtered_attention", inputs, output, fields, tables=node.constants, scratch_words=2 * tokens)

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        """At places where all keys pass, as on real numbers."""
        for number, (node, shapes) in enumerate(Attention().samples(rng)):
            rounds = ((2, ALL), (4, ALL))[: number + 1]
            yield replace(node, op=self.name, attrs={**node.attrs, "rounds": rounds}), shapes


def attends(node: QNode) -> bool:
    """Whether a node is attention over a whole sequence, filtered or not."""
    return isinstance(operator(node.op), Attention) and len(node.inputs) == 3


def filters_of(rounds: Sequence[Round], read: Sequence[QType]) -> np.ndarray:
    """int32 (rounds, 3), the constant `filters`, for queries and keys of these types."""
    rows = [(max(read[0].bits - bits, 0), max(read[1].bits - bits, 0), place) for bits, place in rounds]
    return np.array(rows, np.int32).reshape(-1, 3)


def filtered(node: QNode, rounds: Sequence[Round], read: Sequence[QType]) -> QNode:
    """An integer node of `attention`, or one that filters, with these rounds; `read` are the types of its inputs."""
    return replace(node, op="filtered_attention", constants={**node.constants, "filters": filters_of(rounds, read)})


def parted(node: QNode, x: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys and values (N, heads, T, d) of inputs (N, T, heads * d): each head has the keys that it reads."""
    heads, kv_heads = node.attrs["heads"], node.attrs["kv_heads"]
    q, k, v = (
        t.reshape(*t.shape[:2], count, -1).swapaxes(1, 2)
        for t, count in zip(x, (heads, kv_heads, kv_heads), strict=True)
    )
    return q, np.repeat(k, heads // kv_heads, 1), np.repeat(v, heads // kv_heads, 1)


def survivors(filters: np.ndarray, q: np.ndarray, k: np.ndarray) -> list[np.ndarray]:
    """bool (N, heads, T, T): the keys of each query that are there, and that pass each round; of queries and keys (N, heads, T, d)."""
    tokens = q.shape[-2]
    found = [np.broadcast_to(np.tril(np.ones((tokens, tokens), bool)), (*q.shape[:2], tokens, tokens))]
    for less_q, less_k, place in filters.tolist():
        scores = (q >> less_q).astype(np.float64) @ (k >> less_k).swapaxes(-1, -2).astype(np.float64)
        passes = _passes(torch.from_numpy(scores), torch.from_numpy(found[-1].copy()), place).numpy()
        found.append(found[-1] & passes)
    return found


def _passes(scores: torch.Tensor, seen: torch.Tensor, place: int) -> torch.Tensor:
    """Whether scores (..., T, T), whole numbers in float64, are at the threshold or above; exact: all terms are below 2^53."""
    count = seen.sum(-1, keepdim=True).double()
    total = (scores * seen).sum(-1, keepdim=True)
    end = scores.masked_fill(~seen, torch.inf if place < 0 else -torch.inf)
    end = end.amin(-1, keepdim=True) if place < 0 else end.amax(-1, keepdim=True)
    return UNIT * count * scores >= abs(place) * count * end + (UNIT - abs(place)) * total
