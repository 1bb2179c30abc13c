"""This project's C kernels on the machine one sits at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import durable, machine
from mico_runner.codegen import families
from mico_runner.codegen.lowering import lower
from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import BITS, SHAPE
from mico_runner.profiling.kernel_code import Compiler, Row, describe, version_of
from mico_runner.profiling.targets import Measurement, Target, register
from mico_runner.quant.qgraph import QGraph
from mico_runner.targets.host import CFLAGS, GCC, NATIVE, native_options
from mico_runner.targets.host_kernels import single_layer, time_kernels

QUIET = 0.1  # a kernel whose samples spread more than this was disturbed, and is timed again
ROUNDS = 4


@register("host")
class Host(Target):
    """Nanoseconds of one call of a C kernel on this machine: one core, caches warm, the median over the repeats.

    Disturbed kernels are timed again, a few times at most; of each kernel the calmest measurement counts. The kernels take the
    same time whatever their weights and activations are, so these are random.
    """

    unit = "ns"

    def conditions(self, tables: dict[str, pd.DataFrame], hardware: Hardware) -> dict[str, Any]:
        _check(hardware)
        about = {
            **machine.describe(),  # without a compiler, too: planning needs none, measuring says so
            "cflags": CFLAGS,
            "native": native_options() if version_of(GCC) else None,
        }
        return {**about, "kernels": self.kernels(tables, hardware, about)}

    def kernels(
        self, tables: dict[str, pd.DataFrame], hardware: Hardware, conditions: dict[str, Any]
    ) -> dict[str, dict[str, str]] | None:
        if (version := version_of(GCC)) is None:
            return None
        compiler = Compiler(GCC, version, tuple(CFLAGS.replace(NATIVE, conditions["native"]).split()))
        found = {}
        for kind, table in tables.items():
            programs = [lower(graph, **families("host")) for graph in _graphs(table)]
            found[kind] = describe([Row(program.calls, program) for program in programs], compiler)
        return found

    def measure(self, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path) -> Measurement:
        _check(hardware)
        graphs = _graphs(table)
        median, spread = np.zeros(len(graphs)), np.full(len(graphs), np.inf)
        for number in range(ROUNDS):
            disturbed = np.flatnonzero(spread > QUIET)
            if not len(disturbed):
                break
            folder = work / f"{table['kind'].iloc[0]}-{number}"
            durable.remove(folder)  # of an interrupted run: it may be damaged
            times = time_kernels([graphs[i] for i in disturbed], repeats, into=folder)
            for i, time in zip(disturbed, times, strict=True):
                if time.spread_ns / time.median_ns < spread[i]:
                    median[i], spread[i] = time.median_ns, time.spread_ns / time.median_ns
        return Measurement(np.maximum(1, np.round(median)).astype("int64"), spread)


def _graphs(table: pd.DataFrame) -> list[QGraph]:
    """A network of each row alone."""
    rng = np.random.default_rng(0)
    return [single_layer(rng=rng, **call) for call in table[["kind", *SHAPE, *BITS]].to_dict("records")]


def _check(hardware: Hardware) -> None:
    if hardware.batch != 1:
        raise UsageError(
            f"profile.target is host, whose kernels take one sample per call; hardware {hardware.name!r} has a "
            f"batch of {hardware.batch}"
        )
