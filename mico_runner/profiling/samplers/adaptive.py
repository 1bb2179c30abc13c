"""Shapes that tell most about all others, chosen before any is measured."""

from __future__ import annotations

import numpy as np

from mico_runner.profiling.samplers import register
from mico_runner.profiling.samplers.lhs import lhs

CANDIDATES = 8  # per shape that is wanted
MOST_CANDIDATES = 400  # their covariance is a square of them


@register("adaptive")
def adaptive(kind: str, ranges: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Of a Latin hypercube's shapes those that leave least unknown of the rest (`proxy.adaptive.next_shapes`)."""
    from mico_runner.kernel_table import STORED_BITS, WEIGHTED, kernel_table
    from mico_runner.proxy.adaptive import next_shapes

    candidates: list[dict[str, int]] = lhs(kind, ranges, max(count, min(CANDIDATES * count, MOST_CANDIDATES)), rng)
    if len(candidates) <= count:
        return candidates
    bits = {"act_bits": STORED_BITS, "weight_bits": STORED_BITS if kind in WEIGHTED else 0}
    chosen = next_shapes(kernel_table([{"kind": kind, **each, **bits} for each in candidates]), count)
    return [candidates[position] for position in chosen]
