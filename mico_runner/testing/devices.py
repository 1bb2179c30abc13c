"""Devices and the accelerators that some of them are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner import accelerators, hardware
from mico_runner.accelerators import ACCELERATORS
from mico_runner.hardware import kinds
from mico_runner.hardware.formulas import evaluate
from mico_runner.kernel_table import kernel_table
from mico_runner.profiling.places import target_of

TRAFFIC = ["weight_read_bits", "act_read_bits", "output_read_bits", "output_write_bits"]
FIGURES = ("clock_hz", "flash_bytes", "ram_bytes")  # that a device may have


def check_device(device: str | Path) -> None:
    """Try a device file: every figure of it has a source, and 8 bits are among its bits, which relative limits refer to.

    Args:
        device: a name of the package's, or a path.

    Raises:
        AssertionError: what does not hold.
        UsageError: the file is wrong.
    """
    found = hardware.load(device)
    given = {"batch", "weight_bits", "activation_bits", *(key for key in FIGURES if getattr(found, key))}
    assert set(found.sources) == given, f"device {found.name!r}: sources of {set(found.sources)}, figures {given}"
    both = set(found.weight_bits) & set(found.activation_bits)
    assert 8 in both, f"device {found.name!r}: 8 bits of weights and activations are what limits refer to"


def check_accelerator(kind: str, device: str | Path, folder: Path) -> None:
    """Try a kind of accelerator on one of its devices.

    - Its decorator states only what its devices have, in formulas that can be computed.
    - Cycles are the sum of their causes, and the traffic with DRAM that of its parts; nothing is negative.
    - As a target of `profile` it says what latencies depend on, and measures its own cycles.

    Args:
        device: a name of the package's, or a path.
        folder: for files of the profile.

    Raises:
        AssertionError: what does not hold.
        UsageError: the device file is wrong, or it does not run linear layers at 8 x 4 bits.
    """
    _check_statement(kind)
    about = hardware.load(device)
    where = f"accelerator {kind!r} on {about.name!r}"
    assert kind in ACCELERATORS.names() and about.kind == kind, f"{where}: the device is of kind {about.kind!r}"
    simulator, table = accelerators.of(about), linear_layers()
    trace = simulator.simulate(table)
    assert np.array_equal(simulator.cycles(table), trace["cycles"]), f"{where}: cycles() are not those of simulate()"
    causes = [column for column in map(str, trace) if column.endswith("_cycles")]
    assert (trace["cycles"] == trace[causes].sum(axis=1)).all(), f"{where}: cycles are not the sum of {causes}"
    assert (trace["dram_bits"] == trace[TRAFFIC].sum(axis=1)).all(), f"{where}: dram_bits are not the sum of {TRAFFIC}"
    assert (trace["cycles"] > 0).all() and (trace[TRAFFIC] >= 0).all(axis=None), f"{where}: cycles or traffic negative"
    target = target_of(kind)
    target.conditions({"linear": table}, about)
    latency = target.measure(table, about, 1, folder).latency
    assert np.array_equal(latency, trace["cycles"]), f"{where}: as a target it measures something else"


def linear_layers() -> pd.DataFrame:
    """Eight linear layers of 16 samples at 4 bits of weights and 8 of activations."""
    shape: dict[str, object] = {"kind": "linear", "batch": 16, "out_channels": 40, "act_bits": 8, "weight_bits": 4}
    return kernel_table([{**shape, "in_channels": 30 * n} for n in range(1, 9)])


def _check_statement(kind: str) -> None:
    about = kinds.accelerators()[kind].meta
    figures = dict.fromkeys(about.get("optional", {}), 0.0) | dict.fromkeys(about.get("parameters", {}), 8.0)
    where = f"accelerator {kind!r}"
    assert set(about.get("units", ())) <= set(figures), f"{where}: units {about['units']} are no parameters"
    for name, formula, text in about.get("rules", ()):
        assert name in {"", *figures}, f"{where}: the rule {formula!r} is of {name!r}, no parameter"
        evaluate(formula, figures)
        text.format(**figures)
    for tensor, formula in about.get("tiles", {}).items():
        assert f"{tensor}_sram_bytes" in figures, f"{where}: a tile of {tensor!r}, which has no memory"
        assert evaluate(formula, figures) > 0, f"{where}: the tile of {tensor!r} has no bits"
