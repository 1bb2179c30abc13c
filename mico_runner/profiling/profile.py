"""A kernel-latency profile: which kernels, how long each takes on the target, and what the numbers depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.frozen_data import plain
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import COLUMNS, STORED_BITS, WEIGHTED, kernel_table
from mico_runner.ops.families import FAMILIES
from mico_runner.profiling.places import target_of
from mico_runner.profiling.samplers import SAMPLERS
from mico_runner.profiling.surroundings import check
from mico_runner.sections import Profile as Section
from mico_runner.targets.base import Measurement


@dataclass(frozen=True)
class Profile:
    """The kernel table of each kind with its `latency_<unit>`, and how calm the measurement was."""

    unit: str
    tables: dict[str, pd.DataFrame]
    measurements: dict[str, Measurement]

    def save(self, folder: Path) -> None:
        """One <kind>.csv per kind; the same profile gives the same bytes."""
        for kind, table in self.tables.items():
            table.to_csv(folder / f"{kind}.csv", index=False, lineterminator="\n")


def make(
    section: Section,
    hardware: Hardware,
    work: Path,
    scratch: str = "two_rows",
    each: Callable[..., Iterable[Any]] = map,
) -> Profile:
    """Sample the kernels that the spec's `profile` section asks for and time them on its target.

    Args:
        scratch: as `codegen.generate`.
        each: as `Target` takes it.

    Raises:
        UsageError: a range is empty or upside down, bits have no kernel, or the target cannot run a kernel.
    """
    target = target_of(section.target, scratch, each)
    profile = Profile(target.unit, {}, {})
    for kind in section.kernels:
        table = sample(kind, section, hardware.batch)
        measured = target.measure(table, hardware, section.repeats, work)
        profile.tables[kind] = table[COLUMNS].assign(**{f"latency_{target.unit}": measured.latency})
        profile.measurements[kind] = measured
    return profile


def sample(kind: str, section: Section, batch: int) -> pd.DataFrame:
    """Kernel table of one kind: the sampled shapes, each at every pair of the section's bit-widths; once where it has no weights."""
    ranges: dict[str, list[int]] = plain(section.kernels[kind])
    check(kind, ranges)
    rng = np.random.default_rng(
        [section.seed, FAMILIES[kind].stream]
    )  # one kind's shapes do not depend on the other kinds asked for
    ranges = {name: ranges[name] for name in FAMILIES[kind].ranges}
    shapes = SAMPLERS.get(section.sampler)(kind, ranges, section.shapes, rng)
    if any(b != int(b) for b in section.bits.weight):
        raise UsageError("profile.bits.weight: ternary weights (1.5) are stored and timed as 2 bits; list 2 instead")
    pairs = product(sorted(section.bits.activation), sorted(section.bits.weight))
    bits = [{"act_bits": a, "weight_bits": w} for a, w in pairs]
    if kind not in WEIGHTED:
        bits = [{"act_bits": STORED_BITS, "weight_bits": 0}]
    return kernel_table([{"kind": kind, "batch": batch} | s | b for s in shapes for b in bits])
