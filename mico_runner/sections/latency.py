"""Kernel profiles, latency predictors, the calibration of a machine."""

from __future__ import annotations

from collections.abc import Mapping

from mico_runner.records import dataclass
from mico_runner.sections.bits import Bits


@dataclass(frozen=True)
class CurveFit:
    """How efficiency curves are fitted.

    Attributes:
        smooth: p of the p-norm of compute and memory time; None: the larger of both.
    """

    shapes: tuple[str, ...]
    folds: int
    smooth: float | None


@dataclass(frozen=True)
class EfficiencyCurves:
    fit: CurveFit


@dataclass(frozen=True)
class Predictor:
    """A latency predictor by the names of its parts."""

    strategy: str
    features: str
    regressor: str
    params: Mapping[str, object]


@dataclass(frozen=True)
class LearningCurve:
    """Attributes: rows: sizes of the profile; repeats: draws per size."""

    rows: tuple[int, ...]
    repeats: int


@dataclass(frozen=True)
class Validation:
    """Attributes: group_by: what no two folds share: "shape", or names of columns."""

    protocols: tuple[str, ...]
    group_by: str | tuple[str, ...]
    folds: int


@dataclass(frozen=True)
class Proxy(Predictor):
    """The predictor that is used, those that are validated beside it, and how."""

    compare: tuple[Predictor, ...]
    learning_curve: LearningCurve | None
    validation: Validation
    seed: int


@dataclass(frozen=True)
class BitPairs:
    """Every pair of these is timed."""

    weight: tuple[Bits, ...]
    activation: tuple[int, ...]


@dataclass(frozen=True)
class Ranges:
    """Sizes of the kernels of one kind: (lowest, highest) of each that the kind has.

    Attributes:
        in_h: pixels of a side, padding included.
        kernel, stride: the values themselves.
    """

    in_channels: tuple[int, int] | None = None
    out_channels: tuple[int, int] | None = None
    in_h: tuple[int, int] | None = None
    kernel: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Profile:
    """A kernel-latency profile to be made.

    Attributes:
        shapes: per kind of kernel.
        kernels: by kind, of `ops.families`.
        repeats: timings of one kernel, whose median counts.
    """

    target: str
    sampler: str
    shapes: int
    bits: BitPairs
    kernels: Mapping[str, Ranges]
    repeats: int
    seed: int


@dataclass(frozen=True)
class Calibrate:
    """Micro-benchmarks of this machine.

    Attributes:
        budget: "quick" or "full".
        threads: of torch.
        write_to: folder for a copy of the profile.
        compare: a previous profile.
        networks: predicted, then measured: names of `calibration.networks`, and "model" for the spec's own.
    """

    seed: int
    budget: str
    operations: tuple[str, ...]
    precisions: tuple[str, ...]
    batches: tuple[int, ...]
    threads: int
    write_to: str | None
    compare: str | None
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Device:
    """A measured device as its data set calls it, and the batch sizes that are learned from."""

    device: str
    precision: str
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Verify:
    """Networks left out of what the latency of their device is learned from.

    Attributes:
        data: a name of the catalog, or the path of a file of one's own, see `data.subgraphs`.
        batch: whose latency is estimated.
        write_to: folder for a copy of the curves.
        runs: of one machine that was measured twice.
    """

    data: str
    devices: tuple[Device, ...]
    batch: int
    write_to: str | None
    runs: tuple[tuple[str, str], ...]
