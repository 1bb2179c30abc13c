"""Gates, `mico-run diff`, processes."""

from __future__ import annotations

from mico_runner.records import dataclass


@dataclass(frozen=True)
class Gate:
    """Limits of a metric, in its unit."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Diff:
    """What `mico-run diff` takes for a regression.

    Attributes:
        fail_on: rules, see `outputs.diff`.
        runs: the newest runs of one state that stand for each side.
        confidence: of the interval of the difference of their means.
    """

    fail_on: tuple[str, ...] = ()
    runs: int = 1
    confidence: float = 0.95


@dataclass(frozen=True)
class Executor:
    """Where steps run.

    Attributes:
        backend: "processes" of this machine, or "dask".
        jobs: processes that work at once; of a dask cluster at an address, it decides.
        threads: of torch in each; an input of what is trained and evaluated.
        address: of a dask scheduler, such as tcp://10.0.0.1:8786; None: a cluster of this machine.
    """

    backend: str
    jobs: int
    threads: int
    address: str | None
