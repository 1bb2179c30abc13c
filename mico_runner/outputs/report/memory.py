"""The memory map in a report."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report.figures import INK, PALETTE, bar, grouped, mark, svg
from mico_runner.outputs.report.layers import owner
from mico_runner.outputs.report.tables import Table, bytes_text, table
from mico_runner.outputs.report.version import Version

_PALE = "3a"  # the boxes' opacity, in hexadecimal: dark text is readable on all of them, without colours, too


def kernels(version: Version) -> Table | None:
    """The kernel of each layer, and why."""
    return table(version.csv("codegen", "kernels.csv"))


def part(version: Version) -> dict[str, Any] | None:
    """What the template shows; None where no C was generated."""
    memory, sections = version.csv("codegen", "memory.csv"), version.csv("codegen", "sections.csv")
    if memory is None and sections is None:
        return None
    layers = list(version.assignment)
    owners = [owner(str(tensor), layers) for tensor in memory["tensor"]] if memory is not None else []
    tables = sections["section"].astype(str).str.rpartition(".")[0].tolist() if sections is not None else []
    return {
        "arena": Markup(_arena(memory, owners)) if memory is not None and len(memory) else None,
        "arena_table": table(memory, layers=owners),
        "flash": Markup(_flash(sections)) if sections is not None and len(sections) else None,
        "flash_table": table(sections, layers=tables),
    }


def _arena(memory: pd.DataFrame, owners: list[str]) -> str:
    """Each buffer as a box: from the first to the last kernel call that needs it, at its place in the arena.

    Args:
        owners: the layer that writes each, or "".
    """

    def draw(ax: Axes) -> None:
        top = (memory["offset"] + memory["bytes"]).max()
        for index, (row, layer) in enumerate(zip(memory.to_dict("records"), owners, strict=True)):
            width = row["last_node"] - row["first_node"] + 1
            at = (row["first_node"] - 0.5, row["offset"])
            color = PALETTE[index % len(PALETTE)]
            box = matplotlib.patches.Rectangle(at, width, row["bytes"], facecolor=color + _PALE, edgecolor=INK, lw=0.7)
            said = f"{row['tensor']}: {bytes_text(row['bytes'])} from byte {row['offset']}"
            box.set_url(mark(f"{said}\nkernel calls {row['first_node']} to {row['last_node']}", layer))
            ax.add_patch(box)
            if row["bytes"] > 0.05 * top:
                middle = (at[0] + width / 2, row["offset"] + row["bytes"] / 2)
                ax.text(*middle, row["tensor"], ha="center", va="center", fontsize=7.5, color=INK)
        ax.set_xlim(memory["first_node"].min() - 0.5, memory["last_node"].max() + 0.5)
        ax.set_ylim(0, top * 1.02)
        ax.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]  # it is a MaxNLocator
        ax.yaxis.set_major_formatter(grouped)
        ax.set(xlabel="kernel call", ylabel="offset in the arena, bytes")

    return svg("arena", (7.6, 3.1), draw)


def _flash(sections: pd.DataFrame) -> str:
    """Bytes of constant tables by layer (the part of the section's name before the last dot)."""
    names = sections["section"].str.rpartition(".")
    parted = pd.DataFrame({"layer": names[0], "part": names[2], "bytes": sections["bytes"]})
    parted.loc[parted["layer"] == "", "layer"] = parted["part"]
    layers, parts = list(dict.fromkeys(parted["layer"])), list(dict.fromkeys(parted["part"]))
    sums = parted.groupby(["layer", "part"])["bytes"].sum()

    def draw(ax: Axes) -> None:
        place, left = np.arange(len(layers))[::-1], np.zeros(len(layers))
        for index, name in enumerate(parts):
            width = np.array([sums.get((layer, name), 0) for layer in layers])
            boxes = ax.barh(place, width, 0.6, left=left, label=name, **bar(index))
            for box, layer, size in zip(boxes, layers, width, strict=True):
                box.set_url(mark(f"{layer}: {bytes_text(float(size))} of {name}", layer))
            left += width
        ax.set_yticks(place, layers)
        ax.set_xlabel("bytes")
        ax.xaxis.set_major_formatter(grouped)
        ax.grid(axis="y", visible=False)
        ax.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return svg("flash", (7.6, 1.3 + 0.32 * len(layers)), draw)
