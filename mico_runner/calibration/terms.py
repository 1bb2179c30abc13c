"""The physical terms of an operator's latency: a fixed launch per operator class, compute terms, memory terms.

    latency = Σ launch[class] + Σ coefficient · term,   every coefficient at least 0

Compute terms per dense class are MACs, MACs per input and per output channel, and the reduction length: together a saturating efficiency,
1 / efficiency = 1 + a / channels in + b / channels out + c / outputs. Memory terms are weights and elements moved.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

COMPUTE = ("conv_k3", "conv_std", "conv_pw", "conv_dw", "linear", "matmul", "attention")
DENSE = {"conv": ("conv_k3", "conv_std"), "conv_pw": ("conv_pw",), "linear": ("linear",)}
MATRIX = ("linear", "matmul", "attention", "einsum", "mha")
COSTLY = ("SiLU", "Hardswish", "GELU")  # activation functions with a transcendental or several passes
CACHED_ELEMENTS = 2**19  # 2 MiB of 32-bit elements: what the private cache of a current core holds
PREFIXES = ("act_", "scalar_", "view_", "conv_")


def family(op: str) -> str:
    """The group of operator classes whose typical launch stands in for a class without measurements."""
    if op == "mha":
        return op  # a module of many kernels: its launch stands for no single one
    kinds = (p for p in PREFIXES if op.startswith(p) or f"{op}_" == p)  # "view" is any of the views
    return next(kinds, "matrix" if op in MATRIX else "other")


def launches(operators: pd.DataFrame, classes: list[str], rows: int) -> np.ndarray:
    """Launches of each class, float64 (rows, classes)."""
    op, count = operators["op"].to_numpy(), operators["launches"].to_numpy(float)
    return _sum(operators, np.column_stack([(op == name) * count for name in classes]), rows)


def unknown_launches(operators: pd.DataFrame, classes: list[str], families: list[str], rows: int) -> np.ndarray:
    """Launches of classes outside `classes`, by family, float64 (rows, families)."""
    known = operators["op"].isin(classes).to_numpy()
    kind = operators["op"].map(family).to_numpy()
    count = operators["launches"].to_numpy(float) * ~known
    return _sum(operators, np.column_stack([(kind == name) * count for name in families]), rows)


def work(operators: pd.DataFrame, rows: int) -> tuple[np.ndarray, list[str]]:
    """Compute and memory terms, float64 (rows, terms), and their names."""
    op = operators["op"].to_numpy()
    macs, weights, elements = (operators[c].to_numpy(float) for c in ("macs", "weights", "elements"))
    terms: dict[str, np.ndarray] = {f"macs {name}": (op == name) * macs for name in COMPUTE}
    for name, classes in DENSE.items():
        dense = np.isin(op, classes)
        for side in ("in_channels", "out_channels"):
            channels = operators[side].to_numpy(float)
            terms[f"macs per {side} {name}"] = np.where(channels > 0, dense * macs / np.maximum(channels, 1), 0.0)
        terms[f"reduction {name}"] = dense * operators["reduction"].to_numpy(float)
    terms["weights"] = weights
    convolution = np.char.startswith(op.astype(str), "conv_")
    own = {"conv": convolution, "matrix": np.isin(op, MATRIX)} | {n: op == n for n in ("pool", "maxpool", "norm", "bn")}
    for name, rows_of in own.items():
        terms[f"elements {name}"] = rows_of * elements
    terms["elements other"] = ~np.any(list(own.values()), axis=0) * elements
    terms["elements streamed"] = np.maximum(elements - CACHED_ELEMENTS, 0)
    for name in COSTLY:
        terms[f"elements {name}"] = (op == f"act_{name}") * elements
    return _sum(operators, np.column_stack(list(terms.values())), rows), list(terms)


def work_names() -> list[str]:
    """Names of the terms of `work`, in its order."""
    empty = pd.DataFrame(
        {c: [] for c in ("row", "op", "macs", "weights", "elements", "in_channels", "out_channels", "reduction")}
    )
    return work(empty.astype({"op": str, "row": int}), 0)[1]


def sizes(operators: pd.DataFrame, rows: int) -> np.ndarray:
    """log(1 + count / scale) of MACs, weights and elements of each subgraph, float64 (rows, 3): the axes of the regime curves."""
    counts = _sum(operators, operators[["macs", "weights", "elements"]].to_numpy(float), rows)
    return np.log1p(counts / np.array([1e6, 1e3, 1e3]))


def _sum(operators: pd.DataFrame, values: np.ndarray, rows: int) -> np.ndarray:
    position = operators["row"].to_numpy()
    return (
        sparse.csr_matrix((np.ones(len(position)), (position, np.arange(len(position)))), (rows, len(position)))
        @ values
    )
