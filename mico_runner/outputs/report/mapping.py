"""The report's figures on how layers run on a simulated accelerator: cycles and energy by part, the roofline, mappings as loops."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner import hardware
from mico_runner.outputs.report.figures import INK, MUTED, PALETTE, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version

_ABOUT = ("limit", "dataflow", "passes", "groups_together", "loop_order", "mapping", "mappings_seen", "mappings")
_LOOPS = 5  # layers whose mapping is shown as loops: those of most cycles


def part(version: Version) -> list[dict[str, object]]:
    """How layers run on simulated accelerators, each with a title: of `simulate`, and of `codesign`'s best designs."""
    found = [(kind, version.csv("simulate", f"{kind}.csv")) for kind in hardware.simulated_kinds()]
    layers = version.csv("codesign", "layers.csv")
    if layers is not None and "network" in layers:
        each = layers.groupby(["network", "objective"])
        found += [(", ".join(map(str, key)), of.reset_index(drop=True)) for key, of in each]
    shown = [(title, section(trace)) for title, trace in found]
    return [{"title": title} | about for title, about in shown if about is not None]


def section(trace: pd.DataFrame | None) -> dict[str, object] | None:
    """What the template shows of a trace that `steps.traces` wrote; None of an earlier run, without shapes.

    Args:
        trace: a row per layer.
    """
    if trace is None or not {"shape", "energy_pj", "dram_bits", "peak", "bandwidth"} <= set(trace):
        return None
    return {
        "table": table(parts(trace)),
        "energy": Markup(svg("energy_by_part", (9.4, 3.2), lambda ax: _energy(ax, trace))),
        "roofline": Markup(svg("roofline", (7.6, 4.1), lambda ax: _roofline(ax, trace))),
        "loops": [] if "mapping" not in trace else nests(trace),
    }


def parts(trace: pd.DataFrame) -> pd.DataFrame:
    """A row per layer: shape, bits, cycles by cause, utilisation, energy by level in pJ, how far above the bounds these are in %, what
    limits it, its mapping; those that the accelerator has."""
    shares = [str(c) for c in trace if str(c).endswith("_cycles")]
    shown = trace[["layer", "shape", "weight_bits", "act_bits", "cycles", *shares, "utilisation"]].copy()
    shown = pd.concat([shown, trace[["energy_pj", *_levels(trace)]]], axis=1)
    for name, value in (("cycles", "cycles"), ("energy", "energy_pj")):
        if f"{name}_bound" in trace:
            shown[f"{name}_above_bound_%"] = 100 * (trace[value] / trace[f"{name}_bound"] - 1)
    return shown.assign(**{name: trace[name] for name in _ABOUT if name in trace})


def nests(trace: pd.DataFrame) -> list[dict[str, str]]:
    """The mappings of the layers that take most cycles, as nested loops."""
    slowest = trace.sort_values("cycles", ascending=False, kind="stable").head(_LOOPS)
    return [
        {"layer": str(row["layer"]), "shape": str(row["shape"]), "nest": nest(str(row["mapping"]))}
        for row in slowest.to_dict("records")
    ]


def nest(mapping: str) -> str:
    """A mapping, as `accelerators.spatial.describe` writes it, as loops.

    >>> print(nest("dram: M4; l2: [C8] P2; spad: -"))
    dram
      for m in 4
        l2
          side by side: c in 8
            for p in 2
              spad
    """
    lines, depth = [], 0

    def put(text: str) -> None:
        nonlocal depth
        lines.append("  " * depth + text)
        depth += 1

    for memory in mapping.split("; "):
        name, loops = memory.split(": ", 1)
        put(name)
        for loop in re.findall(r"\[?[A-Z]\d+\]?", loops):
            dimension, bound = loop.strip("[]")[0].lower(), loop.strip("[]")[1:]
            put(f"{'side by side: ' if loop.startswith('[') else 'for '}{dimension} in {bound}")
    return "\n".join(lines)


def _levels(trace: pd.DataFrame) -> list[str]:
    return [str(c) for c in trace if str(c).endswith("_pj") and c != "energy_pj"]


def _energy(ax: Axes, trace: pd.DataFrame) -> None:
    place, below = np.arange(len(trace)), np.zeros(len(trace))
    for number, name in enumerate(_levels(trace) or ["energy_pj"]):
        height = trace[name].to_numpy(float) / 1e6
        label = name.removesuffix("_pj").replace("_", " ")
        ax.bar(place, height, bottom=below, width=0.8, color=PALETTE[number % len(PALETTE)], label=label)
        below += height
    ax.set(ylabel="energy, µJ", xlim=(-0.6, len(trace) - 0.4))
    ax.set_xticks(place, [str(name) for name in trace["layer"]], rotation=90, fontsize=7)
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8.5)


def _roofline(ax: Axes, trace: pd.DataFrame) -> None:
    """Each layer by what it multiplies per bit of DRAM traffic, and per cycle, under the roofs of array and memory."""
    reuse, speed = trace["macs"] / trace["dram_bits"], trace["macs"] / trace["cycles"]
    across = np.geomspace(reuse.min() / 2, reuse.max() * 2, 60)
    slope, peaks = trace["bandwidth"].iloc[0], sorted(set(trace["peak"].round(3)))
    for peak in peaks:
        roof = np.full(len(across), peak) if np.isnan(slope) else np.minimum(peak, slope * across)
        ax.plot(across, roof, color=INK, lw=1)
    ax.scatter(reuse, speed, s=22, color=PALETTE[0], zorder=3)
    for at in trace["cycles"].nlargest(3).index:
        point = (reuse[at], speed[at])
        text = str(trace["layer"][at])
        ax.annotate(text, point, (5, -9), textcoords="offset points", fontsize=8, color=MUTED)
    ax.set(xscale="log", yscale="log", xlabel="multiplications per bit of DRAM traffic")
    ax.set(ylabel="multiplications per cycle")
