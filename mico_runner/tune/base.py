"""The contract between a recurring training, what chooses its batch size, and what runs both.

Order of calls: `running.recur` asks the policy for a batch (`ask`) and starts a run of the job with it. The first run of a batch profiles
every power limit inside its first epoch (`Run.first`); all later epochs have the limit that was cheapest (`Run.epoch`). Before every epoch
the policy says whether the run goes on (`goes_on`); at its end it observes what came of it (`tell`). A recurrence ends with a run that
reaches the target: what was spent on runs that did not is part of its cost.

Cost (Zeus, You et al., NSDI 2023, equation 2): eta x energy + (1 - eta) x highest power x time, in joules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choices:
    """What may be chosen for a job.

    Attributes:
        batches: batch sizes, ascending.
        default: the batch size that is known to reach the target.
        max_epochs: after which a run that has not reached the target is given up.
        max_power: of the device, W: its highest power limit.
    """

    batches: tuple[int, ...]
    default: int
    max_epochs: int
    max_power: float


@dataclass(frozen=True)
class Rate:
    """Seconds and joules of an epoch."""

    seconds: float
    joules: float


Rates = Mapping[float, Rate]  # by power limit, W


@dataclass(frozen=True)
class Price:
    """What energy and time are worth: eta 1 counts energy alone, 0 time alone."""

    eta: float
    max_power: float

    def __call__(self, spent: Rate) -> float:
        """Cost in joules."""
        return self.eta * spent.joules + (1 - self.eta) * self.max_power * spent.seconds

    def cheapest(self, rates: Rates) -> float:
        """The power limit (W) whose epoch costs least; the highest of equals."""
        return min(sorted(rates, reverse=True), key=lambda limit: self(rates[limit]))

    def epoch(self, rates: Rates) -> float:
        """Cost of an epoch at the cheapest limit, in joules."""
        return self(rates[self.cheapest(rates)])


@dataclass(frozen=True)
class Epoch:
    """What an epoch took, and whether the target was reached at its end; `finished`: it was not given up in its middle."""

    spent: Rate
    reached: bool
    finished: bool = True


class Run(ABC):
    """One training at one batch size."""

    @abstractmethod
    def first(self, slice_seconds: float | None, price: Price, goes_on: Callable[[float], bool]) -> tuple[Epoch, Rates]:
        """The first epoch, with every power limit in turn, then the cheapest; and an epoch's rates at each limit.

        Args:
            slice_seconds: how long each limit is tried, at most its even share of the epoch. None: each has its even share, and rates
                are known before, as in the published simulation, where a run that is not begun costs nothing.
            goes_on: asked with the cost of an epoch once it is known; False gives the epoch up.
        """

    @abstractmethod
    def epoch(self, limit: float) -> Epoch:
        """A later epoch at a power limit, W."""

    def close(self) -> None:  # noqa: B027 (most have nothing to end)
        """End the run, whether or not it has reached its target."""


class Job(ABC):
    """A training that recurs."""

    choices: Choices

    @abstractmethod
    def start(self, batch: int, rng: np.random.Generator) -> Run:
        """A new run; all its randomness comes from `rng`."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        epochs: that were finished.
        cost: of the run, in joules as `Price` counts.
        epoch_cost: of one more epoch at the cheapest limit; None when it was not found out.
        total: `cost` with that of the runs before it in the same recurrence.
    """

    reached: bool
    epochs: int
    cost: float
    epoch_cost: float | None
    total: float


class Policy(ABC):
    """Chooses the batch size of every run.

    `SLICE_SECONDS`: how long each power limit is profiled, see `Run.first`.
    """

    SLICE_SECONDS: float | None = 15.0

    def __init__(self, choices: Choices, runs: int, rng: np.random.Generator) -> None:
        """`runs`: how often the job will recur."""
        self.choices = choices
        self.runs = runs
        self.rng = rng

    @abstractmethod
    def ask(self, recurrence: int) -> int:
        """The batch of the next run of a recurrence, counted from 0."""

    @abstractmethod
    def goes_on(self, batch: int, epochs: int, epoch_cost: float) -> bool:
        """Whether the run that was asked for trains one epoch more.

        Args:
            epochs: that are finished, fewer than `choices.max_epochs`.
            epoch_cost: of an epoch at the cheapest limit.
        """

    @abstractmethod
    def tell(self, batch: int, outcome: Outcome) -> None:
        """Learn how the run ended."""

    @abstractmethod
    def chosen(self) -> int:
        """The batch that is best by all that was observed."""
