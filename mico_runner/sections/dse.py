"""Designs of high-level synthesis."""

from __future__ import annotations

from mico_runner.records import dataclass


@dataclass(frozen=True)
class Dse:
    """Cycles of designs from few labels, each kernel left out in turn.

    Attributes:
        table: a name of the catalog.
        file: path of an archive of one's own instead, see `data.hls_designs`; None: the table.
        least: valid designs that a kernel must have to take part.
        labels: of the kernel left out, each number by itself.
        predictors: "own" learns from these labels alone, "pooled" from the other kernels, too; "chosen" as own, but it says which
            designs are labelled.
        seeds: which labels, and the predictors' own draws.
    """

    table: str
    file: str | None
    least: int
    labels: tuple[int, ...]
    predictors: tuple[str, ...]
    seeds: int
