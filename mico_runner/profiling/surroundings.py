"""What the latencies of a profile depend on besides the spec: asked by every plan, which loads no arrays for a simulator's."""

from __future__ import annotations

from mico_runner.accelerators import ACCELERATORS
from mico_runner.errors import UsageError
from mico_runner.frozen_data import plain
from mico_runner.hardware import Hardware, simulated_kinds
from mico_runner.ops.families import FAMILIES
from mico_runner.profiling.samplers import CHOICES, SPANS
from mico_runner.profiling.sources import simulator_conditions
from mico_runner.sections import Profile


def conditions(section: Profile, hardware: Hardware, scratch: str = "two_rows") -> dict[str, object]:
    """What the latencies of `profile.make` with the same arguments depend on besides these (`Target.conditions`). Raises as `make`."""
    if section.target in simulated_kinds():  # of a cost model: its source alone, whatever the kernels
        for kind in section.kernels:
            check(kind, plain(section.kernels[kind]))
        return {**simulator_conditions(ACCELERATORS.info(section.target).file)}
    from mico_runner.profiling.places import target_of
    from mico_runner.profiling.profile import sample

    tables = {kind: sample(kind, section, hardware.batch) for kind in section.kernels}
    return target_of(section.target, scratch).conditions(tables, hardware)


def check(kind: str, ranges: dict[str, list[int]]) -> None:
    """Raises UsageError: a range is missing, empty or upside down."""
    for name in FAMILIES[kind].ranges:
        where = f"profile.kernels.{kind}.{name}"
        if name not in ranges:
            raise UsageError(f"{where} is missing; needed: {', '.join(FAMILIES[kind].ranges)}")
        values = ranges[name]
        if name in SPANS and not (len(values) == 2 and 1 <= values[0] <= values[1]):
            raise UsageError(f"{where} is {values}; allowed: [low, high] with 1 <= low <= high")
        if name in CHOICES and not (values and min(values) >= 1):
            raise UsageError(f"{where} is {values}; allowed: a list of whole numbers from 1")
