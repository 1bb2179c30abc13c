"""The energy of trainings that recur."""

from __future__ import annotations

from collections.abc import Mapping

from mico_runner.records import dataclass


@dataclass(frozen=True)
class TraceFiles:
    """A recorded training of one's own: its name, and the paths of the two files of `data.training_traces`."""

    name: str
    runs: str
    power: str


@dataclass(frozen=True)
class TraceJob:
    """A training of every trace by its names there, and the value of its metric that it must reach.

    Attributes:
        batch: the default batch size, which reaches the target.
        max_epochs: after which a run that has not reached it is given up.
    """

    name: str
    dataset: str
    network: str
    optimizer: str
    target: float
    max_epochs: int
    batch: int


@dataclass(frozen=True)
class OwnTraining:
    """A training that runs on this machine.

    Attributes:
        file, entry: a Python file and its generator function, see `tune.training`.
        params: of the entry, besides `batch` and `seed`.
        better: "higher" or "lower" values of what the entry yields.
    """

    name: str
    file: str
    entry: str
    params: Mapping[str, object]
    batches: tuple[int, ...]
    batch: int
    target: float
    better: str
    max_epochs: int


@dataclass(frozen=True)
class TuneBudget:
    """How often the job recurs."""

    runs: int


@dataclass(frozen=True)
class Tune:
    """Batch size and power limit of a training that recurs.

    Attributes:
        traces: names of the catalog; files: traces of one's own.
        jobs: of each trace.
        eta: 1 counts energy alone, 0 time alone.
        seeds: repetitions on traces, of which the median counts.
        compare: further policies.
    """

    traces: tuple[str, ...]
    files: tuple[TraceFiles, ...]
    jobs: tuple[TraceJob, ...]
    training: OwnTraining | None
    eta: float
    budget: TuneBudget
    seeds: int
    policy: str
    compare: tuple[str, ...]
