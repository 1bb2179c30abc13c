"""Random search: the baseline that every other algorithm must beat."""

from __future__ import annotations

import numpy as np

from mico_runner.search import register
from mico_runner.search.base import Searcher

_BATCH = 64


@register("random", params={})
class RandomSearch(Searcher):
    """Uniform draws from the configurations within the cost constraints, without repetition."""

    def ask(self, n: int) -> np.ndarray:
        return self.sampler.draw(min(n, _BATCH), self.seen)
