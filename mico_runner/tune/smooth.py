"""A policy that learns from one batch size about its neighbours."""

from __future__ import annotations

import numpy as np

from mico_runner.tune import register
from mico_runner.tune.base import Choices, Outcome, Policy
from mico_runner.tune.curves import Curve, Seen

SAMPLES = 512  # of the posterior at each decision
REACH = 1.1  # octaves: a batch is tried when one so near has reached the target
TAIL = 3  # degrees of freedom of a run's scatter: single runs are far off more often than a normal distribution says
SCATTER = 0.15  # least standard deviation of the logarithm of a run's epochs
GIVEN_UP = 2.0  # a run beyond all that was expected is stopped at this multiple of the cheapest batch's cost


@register("smooth")
class Smooth(Policy):
    """Thompson sampling of smooth curves over the batch size; batches that cannot pay for their trial are pruned.

    Epochs to the target and the cost of an epoch are Gaussian processes over log2 of the batch. A batch next to one that has worked is
    tried when the cost that it is expected to save in the recurrences that are left is more than its trial's. Of these and the best so
    far, the one runs that is cheapest in a sample of the posterior. The same rule is asked again after every epoch, with the cost of an
    epoch and the epochs so far known: a run is stopped when to start over with the best batch is worth more.
    """

    def __init__(self, choices: Choices, runs: int, rng: np.random.Generator) -> None:
        super().__init__(choices, runs, rng)
        self._octaves = np.log2(np.array(choices.batches, dtype=float))
        self._start = float(np.log2(choices.default))
        self._epochs: list[Seen] = []
        self._costs: dict[int, float] = {}  # of an epoch, by batch
        self._reached: set[int] = set()
        self._missed: set[int] = set()  # never reached the target in all epochs
        self._left = runs  # recurrences after this one
        self._drawn = np.empty((0, 0))  # (samples, batches) mean epochs
        self._of_epoch = np.empty((0, 0))  # (samples, batches) cost of an epoch
        self._best: int | None = None  # index of the best batch so far
        self._fresh = 0.0  # expected cost of a new run with it

    def ask(self, recurrence: int) -> int:
        self._left = self.runs - recurrence - 1
        if not self._reached:
            return self.choices.default
        self._sample()
        best = self._best_index()
        costs = self._drawn * self._of_epoch
        worth = [best]
        for i, batch in enumerate(self.choices.batches):
            near = min(abs(self._octaves[i] - np.log2(other)) for other in self._reached)
            if i != best and near <= REACH and batch not in self._missed and self._pays(i, 0, None):
                worth.append(i)
        return self.choices.batches[min(worth, key=lambda i: costs[0, i])]

    def goes_on(self, batch: int, epochs: int, epoch_cost: float) -> bool:
        if self._best is None:  # the default's first run
            return True
        return self._pays(self.choices.batches.index(batch), epochs, epoch_cost)

    def tell(self, batch: int, outcome: Outcome) -> None:
        if outcome.epoch_cost is not None:
            self._costs[batch] = outcome.epoch_cost
        self._epochs.append(Seen(float(np.log2(batch)), max(outcome.epochs, 1), outcome.reached))
        if outcome.reached:
            self._reached.add(batch)
            self._missed.discard(batch)
        elif outcome.epochs >= self.choices.max_epochs and batch not in self._reached:
            self._missed.add(batch)

    def chosen(self) -> int:
        self._sample()
        return self.choices.batches[self._best_index()]

    def _best_index(self) -> int:
        means = (self._drawn * self._of_epoch).mean(axis=0)
        indices = [i for i, batch in enumerate(self.choices.batches) if batch in self._reached]
        self._best = min(indices, key=lambda i: means[i])
        per_epoch = self._of_epoch[:, self._best]
        run = np.minimum(self._run_epochs[:, self._best], self.choices.max_epochs) * per_epoch
        self._fresh = float(np.minimum(run, (1 + GIVEN_UP) * run.mean()).mean())
        return self._best

    def _sample(self) -> None:
        """Draw both curves from their posteriors."""
        epochs = Curve.of_epochs(self._start, self._epochs)
        costs = Curve.of_costs(self._start, self._costs)
        self._scatter = max(epochs.scatter, SCATTER)
        self._drawn = np.exp(epochs.draw(self._octaves, SAMPLES, self.rng))
        self._of_epoch = np.exp(costs.draw(self._octaves, SAMPLES, self.rng))
        noise = self.rng.standard_t(TAIL, self._drawn.shape) * self._scatter
        self._run_epochs = np.maximum(np.rint(self._drawn * np.exp(np.clip(noise, -3, 3))), 1)

    def _pays(self, i: int, epochs: int, epoch_cost: float | None) -> bool:
        """Whether a run, with so many epochs behind it, is worth its next one: what it may save later beside what it costs more."""
        best = self._best
        assert best is not None
        again = self._fresh
        most = self.choices.max_epochs
        per_epoch = self._of_epoch[:, i] if epoch_cost is None else np.full(SAMPLES, epoch_cost)
        still = self._run_epochs[:, i] > epochs
        if not still.any():
            return epochs * float(per_epoch[0]) <= GIVEN_UP * again
        run_epochs, per_epoch = self._run_epochs[still, i], per_epoch[still]
        rest = (np.minimum(run_epochs, most) - epochs) * per_epoch + np.where(run_epochs > most, again, 0.0)
        rest = np.minimum(rest, (1 + GIVEN_UP) * again)  # a run that goes badly will be stopped
        saved = self._drawn[still, best] * self._of_epoch[still, best] - self._drawn[still, i] * per_epoch
        gain = 0.0 if i == best else float(np.maximum(saved, 0).mean()) * self._left
        return (i == best and not epochs) or float(rest.mean()) - again <= gain
