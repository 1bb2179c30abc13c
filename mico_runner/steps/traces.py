"""What a simulated accelerator knows of each layer: what steps write, and the report shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mico_runner import accelerators
from mico_runner.accelerators import spatial, streaming
from mico_runner.codesign import bounds
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import kernel_table

if TYPE_CHECKING:
    from mico_runner.graph.ir import Graph
    from mico_runner.steps.base import StepContext


def explained(device: Hardware, table: pd.DataFrame) -> pd.DataFrame:
    """The cost of each layer with what explains it.

    Args:
        table: kernel table with layers' names, bits filled in.

    Returns:
        The table's columns, then
        shape: in words, images with their padding;
        those of `Accelerator.simulate`: cycles and energy by part, what limits them, utilisation, the mapping;
        peak: multiplications per cycle that the array could do at these bits; bandwidth: bits per cycle of the outermost memory (absent
        where nothing limits it);
        cycles_bound, energy_bound (pJ): what no mapping of an array with an architecture can beat; other accelerators' schedules are all
        seen.
    """
    table = table.reset_index(drop=True)
    trace = accelerators.of(device).simulate(table)
    found = pd.concat([table, pd.Series([_shape(row) for row in table.itertuples()], name="shape"), trace], axis=1)
    found["peak"] = found["macs"] / (found["cycles"] * found["utilisation"])
    found["bandwidth"] = streaming.bandwidth(device)
    found["bandwidth"] = found["bandwidth"].replace(np.inf, np.nan)
    array = device.architecture
    if array is not None:
        sides = np.array([array.rows]), np.array([array.columns])
        layers = [spatial.layer_of(row) for row in table.itertuples()]
        found["cycles_bound"] = [float(bounds.least_cycles(layer, array, *sides)[0]) for layer in layers]
        found["energy_bound"] = [float(bounds.least_energy(layer, array, *sides)[0]) for layer in layers]
    return found


def report_streamed(ctx: StepContext, network: Graph, device: Hardware, step: str) -> None:
    """streamed.csv and a metric: the energy of kernels without weights, which no limit and no ratio counts."""
    from mico_runner import graph
    from mico_runner.kernel_table import STORED_BITS

    rows = [row | {"act_bits": STORED_BITS} for row in graph.kernel_rows(network, device.batch)]
    found = streaming.streamed(device, kernel_table(rows))
    found.to_csv(ctx.dir / "streamed.csv", index=False)
    kinds = ", ".join(sorted(set(found["kind"])))
    if found["energy_pj"].isna().any():
        ctx.log(f"{kinds}: their energy is not known, as {device.name} states none of its memories")
        return
    total = float(found["energy_pj"].sum())
    ctx.metric(f"{step}.streamed_energy", total, "pJ", "lower", tolerance="1%")
    if len(found):
        ctx.log(f"{kinds}: {total:.4g} pJ through the outermost memory, beside the layers' energy")


def _shape(row: object) -> str:
    get = {name: getattr(row, name) for name in ("in_channels", "out_channels", "in_h", "in_w", "out_h", "out_w")}
    about = {name: getattr(row, name) for name in ("batch", "kernel_h", "kernel_w", "stride", "groups")}
    before, after = (" × ".join(str(get[f"{end}_{name}"]) for name in ("channels", "h", "w")) for end in ("in", "out"))
    taps, stride = f"{about['kernel_h']} × {about['kernel_w']}", about["stride"]
    more = [taps if stride == 1 else f"{taps} / {stride}"]
    more += [f"{about['groups']} groups"] if about["groups"] > 1 else []
    more += [f"{about['batch']} at once"] if about["batch"] > 1 else []
    return f"{before} → {after}, {', '.join(more)}"
