"""The report's figure on what a search has learnt of the layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report_figures import INK, svg

_WRITTEN = 200  # cells whose numbers are still readable


def sensitivity(table: pd.DataFrame) -> Markup:
    """Heat map, layers by bits: what each choice adds to the loss of the most bits.

    Args:
        table: columns layer, weight_bits, act_bits, loss; a row for each choice that a layer may take.
    """
    names = [f"w{w:g} a{a:g}" for w, a in zip(table["weight_bits"], table["act_bits"], strict=True)]
    added = table.assign(bits=names).pivot(index="layer", columns="bits", values="loss")
    added = added.loc[table["layer"].drop_duplicates().tolist(), list(dict.fromkeys(names))]
    values = added.to_numpy(float)

    def draw(ax: Axes) -> None:
        most = max(float(np.nanmax(np.abs(values))), 1e-300)
        ax.imshow(values, cmap="YlOrRd", vmin=0, vmax=most, aspect="auto")
        ax.set_xticks(
            range(values.shape[1]), [str(name) for name in added.columns], rotation=0 if values.shape[1] < 9 else 90
        )
        ax.set_yticks(range(len(values)), [str(name) for name in added.index])
        ax.grid(visible=False)
        if values.size <= _WRITTEN:
            for row, column in np.argwhere(np.isfinite(values)):
                shade = "white" if values[row, column] > 0.6 * most else INK
                text = f"{values[row, column]:.2g}"
                ax.text(column, row, text, ha="center", va="center", fontsize=8, color=shade)

    return Markup(svg("sensitivity", (max(4.0, 0.75 * values.shape[1] + 1.6), 0.32 * len(values) + 0.9), draw))
