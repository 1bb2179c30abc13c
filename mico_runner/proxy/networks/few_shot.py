"""A device that measures few networks: which ones, and what they say about all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.proxy.networks.choosing import CHOOSERS
from mico_runner.proxy.networks.prior import Prior, one_hot, prior
from mico_runner.proxy.networks.process import Posterior, posterior

FEWEST_ROWS = 2  # of a source device: one latency says nothing about operations
SPREAD = 3.0  # times what the sources show, of what none shows, when networks are chosen; by source devices that were left out


@dataclass(frozen=True)
class Space:
    """A search space as its source devices know it.

    Attributes:
        features: of all networks, centred, float64 (networks, features).
        prior: of a new device's costs.
    """

    features: np.ndarray
    prior: Prior

    def choose(self, candidates: np.ndarray, count: int, how: str, rng: np.random.Generator) -> np.ndarray:
        """Which of the candidates (positions of networks) to measure, positions of networks (count,)."""
        covariance = self.prior.known + SPREAD * self.prior.own
        return candidates[CHOOSERS[how](self.features[candidates], covariance, count, rng)]

    def learn(self, measured: np.ndarray, latency: np.ndarray) -> Posterior:
        """The device that measured these networks (positions), latency (measured,)."""
        return posterior(self.features[measured], latency, self.prior)


def space(architecture: np.ndarray, latency: Sequence[np.ndarray], rows: np.ndarray) -> Space:
    """What the source devices' latencies of some networks say.

    Args:
        architecture: of all networks, int64 (networks, positions).
        latency: of each source device, float64 (networks,), nan where it was not measured.
        rows: positions of the networks whose latencies are used.

    Raises UsageError: a source has fewer than two latencies there.
    """
    operations = int(architecture.max()) + 1
    features = one_hot(architecture, operations)
    known = [each[rows] for each in latency]
    for number, each in enumerate(known):
        if np.isfinite(each).sum() < FEWEST_ROWS:
            found = f"source device {number} has {int(np.isfinite(each).sum())} latencies of the networks learned from"
            raise UsageError(f"{found}; allowed: {FEWEST_ROWS} or more")
    return Space(features - features[rows].mean(axis=0), prior(features[rows], known, operations))
