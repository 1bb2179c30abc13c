"""This project's C kernels on the machine one sits at."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import machine
from mico_runner.codegen.emit import KERNELS
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.profiling.targets import Measurement, Target, register
from mico_runner.simulate.host import CFLAGS
from mico_runner.simulate.host_kernels import single_layer, time_kernels

QUIET = 0.1  # a kernel whose samples spread more than this was disturbed, and is timed again
ROUNDS = 4


@register("host")
class Host(Target):
    """Nanoseconds of one call of a C kernel on this machine: one core, caches warm, the median over the repeats.

    Disturbed kernels are timed again, a few times at most; of each kernel the calmest measurement counts. The kernels take the
    same time whatever their weights and activations are, so these are random.
    """

    unit = "ns"

    def conditions(self) -> dict[str, Any]:
        return {
            **machine.describe(),  # without a compiler, too: planning needs none, measuring says so
            "cflags": CFLAGS,
            "kernels_sha256": kernel_version(),
        }

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        if hardware.batch != 1:
            raise UsageError(
                f"profile.target is host, whose kernels take one sample per call; hardware {hardware.name!r} has a "
                f"batch of {hardware.batch}"
            )
        rng = np.random.default_rng(0)
        calls = table[["kind", *SHAPE, *BITS]].to_dict("records")
        graphs = [single_layer(rng=rng, **call) for call in calls]
        median, spread = np.zeros(len(graphs)), np.full(len(graphs), np.inf)
        for number in range(ROUNDS):
            disturbed = np.flatnonzero(spread > QUIET)
            if not len(disturbed):
                break
            folder = work / f"{table['kind'].iloc[0]}-{number}"
            times = time_kernels([graphs[i] for i in disturbed], repeats, into=folder)
            for i, time in zip(disturbed, times, strict=True):
                if time.spread_ns / time.median_ns < spread[i]:
                    median[i], spread[i] = time.median_ns, time.spread_ns / time.median_ns
        return Measurement(np.maximum(1, np.round(median)).astype("int64"), spread)


def kernel_version(*more: Path) -> str:
    """sha256 of the C kernels' sources, and of `more` files that measurements depend on."""
    digest = hashlib.sha256()
    for source in [*sorted(KERNELS.iterdir()), *sorted(more)]:
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
