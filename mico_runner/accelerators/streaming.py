"""Kernels without weights beside an array: what pooling, sums and the like move.

No array is modelled for them: each reads its tensors from the outermost memory once and writes its result there, which is what they
cost at least where they are not part of the layer before them. Their few operations cost nothing beside that.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mico_runner.hardware import Hardware
from mico_runner.kernel_table import WEIGHTED
from mico_runner.ops.families import FAMILIES


def streamed(device: Hardware, table: pd.DataFrame) -> pd.DataFrame:
    """Traffic and energy of a kernel table's rows without weights.

    Returns:
        A row for each of these: layer, kind, dram_bits (reads and writes of the outermost memory), energy_pj (NaN: the
        profile states no `dram_pj_per_bit` and `sram_pj_per_bit`).
    """
    rows = table[~table["kind"].isin(WEIGHTED)]
    reads = np.array([FAMILIES[kind].reads for kind in rows["kind"]], dtype=np.int64)
    size = rows["batch"] * rows["act_bits"]
    read = size * rows["in_channels"] * rows["in_h"] * rows["in_w"] * reads
    written = size * rows["out_channels"] * rows["out_h"] * rows["out_w"]
    per_read, per_written = _per_bit(device)
    energy = read * per_read + written * per_written
    found = {"layer": rows["layer"], "kind": rows["kind"], "dram_bits": read + written, "energy_pj": energy}
    return pd.DataFrame(found).reset_index(drop=True)


def bandwidth(device: Hardware) -> float:
    """Bits per cycle of the outermost memory, reads and writes together, infinite where nothing limits it."""
    if device.architecture is None:
        return float(device.value("dram_bits_per_cycle")) if "dram_bits_per_cycle" in device.parameters else np.inf
    outer = device.architecture.stores[0]
    return float(np.min([outer.shared, outer.read + outer.write]))


def _per_bit(device: Hardware) -> tuple[float, float]:
    """pJ of a bit read from, and of one written to, the outermost memory, and the one next to the array where it has no levels; NaN: not
    stated."""
    if device.architecture is not None:
        outer = device.architecture.stores[0]
        return outer.read_pj, outer.write_pj
    missing = [name for name in ("dram_pj_per_bit", "sram_pj_per_bit") if name not in device.parameters]
    if missing:
        return float("nan"), float("nan")
    both = device.value("dram_pj_per_bit") + device.value("sram_pj_per_bit")
    return both, both
