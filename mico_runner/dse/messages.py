"""Message passing over a program's graph, in torch.

Messages are passed as in Simple Graph Convolution (Wu et al., ICML 2019): the mean over neighbours, without weights to learn. What reaches
a node from the pragmas is multiplied with what reaches it from the operations: how much work of a kind lies near how much parallelism.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mico_runner.data.hls_designs import PRAGMA, ProgramGraph
from mico_runner.dse.loops import factor

HOPS = (2, 4, 8)
OPERATIONS = (("fmul", "mul"), ("fadd", "add", "fsub", "sub"), ("fdiv", "sdiv"), ("load",), ("store",), ("br", "icmp"))
FLAT, COARSE = "flatten", ("", "on")
VALUES = 4  # per pragma: log2 of the unrolling, log2 of the tile, flattened, coarsely pipelined


def near(graph: ProgramGraph) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the pragmas, and (hops, operations, pragmas) how near each is to operations of each kind."""
    n = len(graph.texts)
    both = np.concatenate([graph.edges, graph.edges[:, ::-1], np.repeat(np.arange(n)[:, None], 2, axis=1)])
    weights = 1.0 / np.bincount(both[:, 0], minlength=n)[both[:, 0]]
    passing = torch.sparse_coo_tensor(
        torch.tensor(both.T.copy()), torch.tensor(weights), (n, n), check_invariants=True
    ).coalesce()
    names = tuple(graph.pragmas)
    start = torch.zeros(n, len(names) + len(OPERATIONS), dtype=torch.float64)
    for i, name in enumerate(names):
        start[graph.pragmas[name], i] = 1.0
    for i, words in enumerate(OPERATIONS):
        kind = [text in words and kind != PRAGMA for text, kind in zip(graph.texts, graph.kinds, strict=True)]
        start[:, len(names) + i] = torch.tensor(kind, dtype=torch.float64)
    found, state = [], start
    for hop in range(1, max(HOPS) + 1):
        state = torch.sparse.mm(passing, state)
        if hop in HOPS:
            found.append((state[:, len(names) :].T @ state[:, : len(names)]).numpy())
    return names, np.array(found)


def of_points(graph: ProgramGraph, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(designs, hops * operations * VALUES) features that every kernel has."""
    names, weights = near(graph)
    values = np.array(
        [[_values(name, point.get(name)) for name in names] for point in points]
    )  # designs, pragmas, VALUES
    found: np.ndarray = np.einsum("hop,dpv->dhov", weights, values).reshape(len(points), -1)
    return found


def _values(name: str, value: Any) -> tuple[float, float, float, float]:
    number = float(np.log2(factor(value)))
    pipe = "PIPE" in name
    return (
        number if "PARA" in name else 0.0,
        number if "TILE" in name else 0.0,
        float(pipe and value == FLAT),
        float(pipe and value in COARSE),
    )
