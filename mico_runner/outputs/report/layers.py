"""The layers in a report: the bits of each, and what the page shows of the one that it follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report.figures import INK, bar, mark, svg
from mico_runner.outputs.report.tables import bytes_text, number, table, with_shapes
from mico_runner.outputs.report.version import Version


def part(version: Version) -> dict[str, Any] | None:
    """What the template shows; None where the layers have no bits."""
    assignment = version.assignment
    if not assignment:
        return None
    names = list(assignment)
    weights, activations = ([float(bits[i]) for bits in assignment.values()] for i in (0, 1))
    rows = pd.DataFrame({"layer": names, "weight_bits": weights, "act_bits": activations})
    about = version.layers
    if about is not None:
        about = about.rename(columns={"latency": f"8-bit latency, {version.unit}"})
        keep = ["layer", *(c for c in ("op", "macs", "params", f"8-bit latency, {version.unit}") if c in about)]
        rows = with_shapes(rows.merge(about[keep], on="layer", how="left"), about)
    return {"figure": Markup(bits(names, weights, activations)), "table": table(rows)}


def bits(layers: list[str], weights: list[float], activations: list[float]) -> str:
    """Weight and activation bits of each layer, as bars."""

    def draw(ax: Axes) -> None:
        place = np.arange(len(layers))
        for number_, (offset, values, label) in enumerate(
            ((-0.2, weights, "weights"), (0.2, activations, "activations"))
        ):
            bars = ax.bar(place + offset, values, 0.38, label=label, **bar(number_))
            ax.bar_label(bars, [f"{v:g}" for v in values], fontsize=8, color=INK, padding=1)
            for box, layer, value in zip(bars, layers, values, strict=True):
                box.set_url(mark(f"{layer}: {value:g} bits of {label}", layer))
        long = max(map(len, layers)) * len(layers) > 80
        ax.set_xticks(place, layers, rotation=90 if long else 0)
        ax.set(ylabel="bits", yticks=[0, 2, 4, 6, 8], ylim=(0, 9.4))
        ax.grid(axis="x", visible=False)
        ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return svg("bits", (7.6, 2.7), draw)


def facts(version: Version) -> dict[str, list[tuple[str, str]]]:
    """Layer with bits -> what the run knows of it: (topic, text), in the order of the sections."""
    found: dict[str, list[tuple[str, str]]] = {}
    about, learnt = version.layers, version.csv("search", "sensitivity.csv")
    times, kernels = version.csv("simulate", "layers.csv"), version.csv("codegen", "kernels.csv")
    tables, memory = version.csv("codegen", "sections.csv"), version.csv("codegen", "memory.csv")
    layers = list(version.assignment)
    for layer, (weight, activation) in version.assignment.items():
        said = [("bits", f"{weight:g} for weights, {activation:g} for activations")]
        for row in _of(about, layer):
            shape = with_shapes(pd.DataFrame([{"layer": layer}]), about)
            said += [("shape", str(shape["shape"].iloc[0]))] if "shape" in shape else []
            said += [("MACs", number(row["macs"])), ("weights", number(row["params"]))]
            if row.get("latency") == row.get("latency") is not None:
                said.append(("latency at 8 bits", f"{number(row['latency'])} {version.unit}"))
        costs = [f"w{row['weight_bits']:g} a{row['act_bits']:g} {row['loss']:+.2g}" for row in _of(learnt, layer)]
        said += [("adds to the loss", ", ".join(costs))] if costs else []
        for row in _of(times, layer):
            unit = row.get("unit", version.unit)
            said += [
                (name, f"{number(row[column])} {unit}")
                for column, name in (("predicted", "latency predicted"), ("measured", "latency measured"))
                if row.get(column) == row.get(column) is not None
            ]
        said += [("kernel", f"{row['kernel']}: {row['reason']}") for row in _of(kernels, layer)]
        if tables is not None:
            own = tables[tables["section"].astype(str).str.rpartition(".")[0] == layer]["bytes"].sum()
            said.append(("flash", f"{bytes_text(float(own))} of tables"))
        if memory is not None:
            owners = [owner(str(tensor), layers) for tensor in memory["tensor"]]
            own = memory[[each == layer for each in owners]]["bytes"].sum()
            said.append(("RAM", f"{bytes_text(float(own))} for its output and workspace"))
        found[layer] = said
    return found


def owner(tensor: str, layers: Sequence[str]) -> str:
    """The layer that writes a buffer of the arena; "": none of them does.

    >>> owner("conv1_out", ["conv1", "conv1.down"]), owner("conv1_down.scratch", ["conv1", "conv1.down"]), owner("in", ["i"])
    ('conv1', 'conv1.down', '')
    """
    name = _plain(tensor)
    own = [layer for layer in layers if name.startswith(f"{_plain(layer)}_")]
    return max(own, key=len, default="")


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _of(rows: pd.DataFrame | None, layer: str) -> list[dict[Any, Any]]:
    return [] if rows is None else rows[rows["layer"].astype(str) == layer].to_dict("records")
