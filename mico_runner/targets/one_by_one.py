"""Kernels of a table on a target that runs networks: each in a program of its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mico_runner import codegen, durable
from mico_runner.targets.board_kernels import END, networks

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware
    from mico_runner.targets.base import Target


def measured(
    target: Target, table: pd.DataFrame, hardware: Hardware, repeats: int, work: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """Latency of every row of a kernel table and its spread, as in `Measurement`; what is deterministic runs once."""
    times: list[list[float]] = []
    for graphs, images in networks(table):
        for graph, image in zip(graphs, images, strict=True):
            folder = work / f"{table['kind'].iloc[0]}-{len(times)}"
            durable.remove(folder)  # of an interrupted run: it may be damaged
            core = hardware.core if target.runtime == "baremetal" else None
            codegen.generate(graph, folder / "c", target.runtime, core, target.scratch)
            runs = [
                target.run(folder / "c", image, hardware, folder) for _ in range(1 if target.deterministic else repeats)
            ]
            times.append([sum(latency for node, latency in ran.layers.items() if node != END) for ran in runs])
            shutil.rmtree(folder)
    low, middle, high = np.percentile(np.array(times, float), [25, 50, 75], axis=1)
    return middle, None if target.deterministic else (high - low) / middle
