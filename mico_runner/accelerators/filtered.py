"""Attention on two units in a pipeline: one filters the keys of a query by scores of few bits, the other attends to those that are left.

That is Energon's (Zhou et al., TCAD 2022): while a query is attended to, the keys of the next ones are filtered.
"""

from __future__ import annotations

import numpy as np


def cycles(filtering: np.ndarray, attending: np.ndarray) -> float:
    """Cycles until the last query is done.

    Args:
        filtering, attending: (queries,) cycles of each query on each unit, in order; a query waits for its own keys alone, and what is
            filtered waits in a queue as long as need be.
    """
    ready = np.cumsum(filtering)  # when the keys of a query are filtered
    behind = np.cumsum(attending[::-1])[::-1]  # what the other unit then still has to do, at least
    return float((ready + behind).max())
