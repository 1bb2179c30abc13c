"""Attention of a quantised decoder filtered by rounds of scores of few bits: which keys are left, and what that saves.

The operator is `ops.filtered_attention`; everything else of the network stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mico_runner.ops.filtered_attention import Round, attends, filtered, parted, survivors
from mico_runner.quant.executor import Executor
from mico_runner.quant.qgraph import QGraph

SHARE_BITS = 16  # behind the point of the powers that values are multiplied by


@dataclass(frozen=True)
class Kept:
    """Keys of one layer that its queries score.

    Attributes:
        layer: name of the node.
        width: elements of a query, and of a key.
        bits: of queries and keys in each round, and in the last score.
        value_bits: of the values.
        keys: int64 (rounds + 1, N, heads, T): how many keys each query scores in each round, and in the last score.
    """

    layer: str
    width: int
    bits: tuple[tuple[int, int], ...]
    value_bits: int
    keys: np.ndarray

    @property
    def density(self) -> np.ndarray:
        """(heads,): share of the keys that is left."""
        found: np.ndarray = self.keys[-1].sum((0, 2)) / self.keys[0].sum((0, 2))
        return found

    @property
    def bit_products(self) -> float:
        """Products of bits: of all scores, and of the shares, of 16 bits, with the values."""
        scored = sum(a * b * float(keys.sum()) for (a, b), keys in zip(self.bits, self.keys, strict=True))
        return self.width * (scored + SHARE_BITS * self.value_bits * float(self.keys[-1].sum()))

    @property
    def plain_bit_products(self) -> float:
        """The same where all keys are attended to."""
        a, b = self.bits[-1]
        return self.width * float(self.keys[0].sum()) * (a * b + SHARE_BITS * self.value_bits)


def with_filters(graph: QGraph, rounds: Mapping[str, Sequence[Round]]) -> QGraph:
    """The network with these rounds in its layers of attention, by name; others stay as they are."""
    nodes = [
        filtered(node, rounds[node.name], [graph.tensors[t].type for t in node.inputs]) if node.name in rounds else node
        for node in graph.nodes
    ]
    return replace(graph, nodes=tuple(nodes))


def layers(graph: QGraph) -> list[str]:
    """Names of the layers of attention that can be filtered, in order."""
    return [node.name for node in graph.nodes if attends(node)]


def run(graph: QGraph, inputs: np.ndarray) -> tuple[np.ndarray, list[Kept]]:
    """Integer outputs for inputs (N, T), and the keys of each filtered layer, in order."""
    nodes = [node for node in graph.nodes if attends(node) and "filters" in node.constants]
    read = list(dict.fromkeys(tensor for node in nodes for tensor in node.inputs))
    seen = replace(graph, outputs=(graph.output, *read))
    output, *rest = Executor(seen).run_many([inputs])
    values = dict(zip(read, rest, strict=True))
    found = []
    for node in nodes:
        q, k, _ = parted(node, [values[tensor].astype(np.int64) for tensor in node.inputs])
        types = [graph.tensors[tensor].type.bits for tensor in node.inputs]
        filters = node.constants["filters"]
        bits = [(types[0] - a, types[1] - b) for a, b, _ in filters.tolist()]
        keys = np.stack([mask.sum(-1) for mask in survivors(filters, q, k)])
        found.append(Kept(node.name, q.shape[-1], (*bits, (types[0], types[1])), types[2], keys))
    return output, found
