"""Latency of networks on devices that are known by their curves."""

from __future__ import annotations

from mico_runner.records import dataclass


@dataclass(frozen=True)
class CurvesOf:
    """Attributes: curves: a device of `hardware/curves`, or the path of a file; precision: None for every one that it has."""

    curves: str
    precision: str | None


@dataclass(frozen=True)
class Estimate:
    """Networks predicted from curves that are there already.

    Attributes:
        networks: names of `calibration.networks`, and "model" for the spec's own.
        measured: path of a table of measured latencies of these networks; None: there is none.
    """

    devices: tuple[CurvesOf, ...]
    networks: tuple[str, ...]
    measured: str | None
