"""How much of the space of objectives a front dominates."""

from __future__ import annotations

import numpy as np

from mico_runner.search.problem import MEASURED, Problem
from mico_runner.search.running import SearchResult


def hypervolume(problem: Problem, result: SearchResult, worst: float, best: float) -> float:
    """Share of the box between a reference and the ideal that the front dominates, 0 to about 1.

    The reference has the worst quality and the costs of the most bits; the ideal has the best quality and no costs. Points beyond the
    reference dominate nothing. (E. Zitzler, L. Thiele, "Multiobjective Optimization Using Evolutionary Algorithms", PPSN 1998.)

    Args:
        worst, best: quality that says nothing, and that of the float network, as goodness: more is better.
    """
    import pygmo

    base = problem.free(problem.space.base[None])
    reference, ideal = [], []
    for o in problem.objectives:
        if o.metric in MEASURED:
            reference.append(-worst)
            ideal.append(-best)
        else:
            reference.append(max(o.sign * float(base[o.metric][0]), 0.0))
            ideal.append(min(o.sign * float(base[o.metric][0]), 0.0))
    low, high = np.array(ideal), np.array(reference)
    points = (problem.minimised(result.metrics)[result.front] - low) / np.maximum(high - low, 1e-300)
    points = points[(points < 1).all(axis=1)]
    if not len(points) or points.shape[1] == 1:
        return float(np.max(1 - points, initial=0.0))
    return float(pygmo.hypervolume(points).compute(np.ones(points.shape[1])))
