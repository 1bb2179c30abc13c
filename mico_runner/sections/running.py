"""Gates, `mico-run diff`, processes."""

from __future__ import annotations

from dataclasses import dataclass


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
        backend: "processes".
        jobs: processes that work at once.
        threads: of torch in each; an input of what is trained and evaluated.
    """

    backend: str
    jobs: int
    threads: int
