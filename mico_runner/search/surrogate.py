"""What each layer's bits add to the loss, learned from whole configurations: a Bayesian additive model.

loss(config) = loss(base) + sum over layers of effect[layer, choice] + interaction. Effects have a Gaussian prior that knows how
quantisation noise falls with bits: its power by 4^-bits, its amplitude by 2^-bits, for weights and for activations, with factors of
their own per layer and a free deviation per choice. What is known of one bit-width and one layer thus informs the others. A
configuration with several layers changed may miss its sum by a share of its own excess (the interactions), which counts as noise.
Losses are compared with that of the base; where cost limits kept the base from being evaluated, with that of the first configuration,
whose own interactions are then a part that the others share.
The scale of the prior and the size of the interactions are those of the highest marginal likelihood on a small grid.
(Gaussian process regression: Rasmussen and Williams 2006, algorithm 2.1.)
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from mico_runner.search.problem import LOSS, QUALITY, Metrics, Problem
from mico_runner.search.rounding import LOSS_DIGITS, significant
from mico_runner.search.space import Space

_DEVIATION = 0.3  # prior deviation of a choice from the noise law, as a share of a layer's own factor
_OWN = 0.5  # standard deviation of a layer's own factor on sensitivities, as a share of the common one
_SCALES = (0.03, 0.1, 0.3, 1.0, 3.0)  # prior standard deviations, in standard deviations of the data
_INTERACTIONS = (0.03, 0.1, 0.3)  # as a share of a configuration's excess loss
_DECIMALS = 6  # kept of effects, in standard deviations of the data: what is below is the rounding of a linear solver
_EXACT = 1e-4  # noise of a single-layer measurement, in standard deviations of the data


class AdditiveSurrogate:
    """Posterior of the effects; `fit` first.

    Attributes:
        mean, std: (layers, choices) posterior mean and standard deviation of each effect; both 0 at the base.
        base_loss: of the base, expected where it was not evaluated.
    """

    def __init__(self, space: Space, sensitivity: np.ndarray | None = None) -> None:
        """`sensitivity` (layers, choices): what is known of the effects beforehand, up to a factor; None: the law of noise alone."""
        self._space = space
        self._prior: _Dense | _Scaled = _Dense(_prior(space)) if sensitivity is None else _Scaled(space, sensitivity)
        self.mean: np.ndarray = np.zeros(space.mask.shape)
        self.std: np.ndarray = np.zeros(space.mask.shape)
        self.base_loss = 0.0

    def fit(self, configs: np.ndarray, loss: np.ndarray) -> None:
        """Learn from configurations (n, layers), n > 0, and their losses (n,)."""
        at_base = np.flatnonzero((configs == self._space.base).all(axis=1))
        origin = at_base[0] if len(at_base) else 0
        others = np.arange(len(configs)) != origin
        excess = loss[others] - loss[origin]
        above = 0.0 if len(at_base) else loss[origin] - loss.min()  # of the origin; the best loss stands for the base's
        unit = float(significant(np.sqrt(np.mean(excess**2)), LOSS_DIGITS)) if len(excess) else 0.0
        if unit == 0.0:
            unit = 1.0
        target, above = excess / unit, above / unit
        design = self._design(configs[others]) - self._design(configs[[origin]])
        several = (configs[others] != configs[origin]).sum(axis=1) > 1
        prior_fit = self._prior.between(design)
        best = (-np.inf, (np.empty((0, 0)), True), np.empty(0), 1.0)  # likelihood, factor, weights, scale
        for share in _INTERACTIONS:
            noise = _EXACT**2 + np.where(several, (share * np.abs(target + above)) ** 2 + (0.01 * share) ** 2, 0.0)
            shared = (share * above) ** 2 * np.outer(several, several)
            for scale in _SCALES:
                factor = cho_factor(scale**2 * prior_fit + np.diag(noise) + shared, lower=True)
                weights = cho_solve(factor, target)
                likelihood = round(float(-0.5 * target @ weights - np.log(np.diag(factor[0])).sum()), _DECIMALS)
                if likelihood > best[0]:
                    best = (likelihood, factor, weights, scale)
        _, factor, weights, scale = best
        cross = scale**2 * self._prior.with_effects(design)
        mean = cross @ weights
        variance = scale**2 * self._prior.variance - (cross * cho_solve(factor, cross.T).T).sum(axis=1)
        self.mean = unit * np.round(mean, _DECIMALS).reshape(self.mean.shape)
        self.std = unit * np.round(np.sqrt(np.maximum(variance, 0.0)), _DECIMALS).reshape(self.std.shape)
        self.base_loss = loss[origin] - self._excess(configs[[origin]])[0]

    def predict(self, configs: np.ndarray) -> np.ndarray:
        """(P,) expected loss."""
        return self.base_loss + self._excess(configs)

    def _excess(self, configs: np.ndarray) -> np.ndarray:
        """(P,) expected loss above the base's."""
        total: np.ndarray = self.mean[np.arange(configs.shape[1]), configs].sum(axis=1)
        return total

    def _design(self, configs: np.ndarray) -> np.ndarray:
        """(n, layers * choices) indicators."""
        layers, choices = self.mean.shape
        design = np.zeros((len(configs), layers * choices))
        np.put_along_axis(design, configs + np.arange(layers) * choices, 1.0, axis=1)
        return design


def loss_limit(problem: Problem, metrics: Metrics) -> float | None:
    """The loss that stands for the quality constraint: where it best parts the evaluations that keep it from the others.

    Between the two neighbours of the parting quality is taken as linear in loss. None without such a constraint, or
    while nothing misses it.
    """
    floors = [c.min for c in problem.constraints if c.metric == QUALITY]
    if not floors or (metrics[QUALITY] >= max(floors)).all():
        return None
    loss = metrics.get(LOSS, -metrics[QUALITY])
    order = np.argsort(loss, kind="stable")
    loss, above = loss[order], metrics[QUALITY][order] - max(floors)
    missed_below = np.concatenate([[0], np.cumsum(above < 0)])
    kept_from = (above >= 0).sum() - np.concatenate([[0], np.cumsum(above >= 0)])
    at = int(np.argmin(missed_below + kept_from))  # the first `at` count as keeping it
    if at in (0, len(loss)):
        return float(loss[0] if at == 0 else loss[-1])
    left, right = above[at - 1], above[at]
    share = left / (left - right) if left >= 0 > right else 0.5
    return float(loss[at - 1] + share * (loss[at] - loss[at - 1]))


class _Dense:
    """A prior covariance (effects, effects) of all effects as it is."""

    def __init__(self, covariance: np.ndarray) -> None:
        self._covariance = covariance
        self.variance: np.ndarray = np.diag(covariance)

    def between(self, design: np.ndarray) -> np.ndarray:
        """(n, n) of sums of effects, the rows of a design (n, effects)."""
        found: np.ndarray = design @ self._covariance @ design.T
        return found

    def with_effects(self, design: np.ndarray) -> np.ndarray:
        """(effects, n) of each effect with the sums."""
        found: np.ndarray = self._covariance @ design.T
        return found


class _Scaled:
    """That of effects known up to a factor that all layers share, one of each layer, and a deviation of each: never written out."""

    def __init__(self, space: Space, sensitivity: np.ndarray) -> None:
        rows = np.arange(len(space.layers))
        known = np.where(space.mask, sensitivity - sensitivity[rows, space.base][:, None], 0.0)
        self._known = known / max(np.abs(known).max(), 1e-300)
        free = _DEVIATION * (np.abs(self._known) + 1e-3)
        free[rows, space.base] = 0.0
        self._free = free.ravel() ** 2
        self.variance: np.ndarray = self._known.ravel() ** 2 * (1 + _OWN**2) + self._free

    def between(self, design: np.ndarray) -> np.ndarray:
        by_layer = self._by_layer(design)
        whole = by_layer.sum(axis=1)
        found: np.ndarray = np.outer(whole, whole) + _OWN**2 * by_layer @ by_layer.T + design * self._free @ design.T
        return found

    def with_effects(self, design: np.ndarray) -> np.ndarray:
        by_layer = self._by_layer(design)
        factors = by_layer.sum(axis=1)[None] + _OWN**2 * by_layer.T  # (layers, n)
        found: np.ndarray = (self._known[:, :, None] * factors[:, None]).reshape(len(self._free), -1)
        found += self._free[:, None] * design.T
        return found

    def _by_layer(self, design: np.ndarray) -> np.ndarray:
        """(n, layers) what the known effects of each layer add up to."""
        layers, choices = self._known.shape
        found: np.ndarray = (design.reshape(len(design), layers, choices) * self._known).sum(axis=2)
        return found


def _prior(space: Space) -> np.ndarray:
    """(layers * choices, layers * choices) prior covariance of the effects, for a scale of 1."""
    layers, choices = space.mask.shape
    bits = np.array(space.choices, dtype=float)  # (choices, 2)
    features = np.empty((layers, choices, 4))
    for layer in range(layers):
        full = bits[space.base[layer]]
        for column, power in enumerate((4.0, 2.0)):
            features[layer, :, 2 * column : 2 * column + 2] = power**-bits - power**-full
    features /= np.maximum(np.abs(np.where(space.mask[..., None], features, 0.0)).max(axis=(0, 1)), 1e-12)
    flat = features.reshape(layers * choices, 4)
    same_layer = np.kron(np.eye(layers), np.ones((choices, choices)))
    free = np.abs(features).max(axis=2) + 0.01
    free[np.arange(layers), space.base] = 0.0
    return flat @ flat.T * (1 + same_layer) + np.diag((_DEVIATION * free.ravel()) ** 2)
