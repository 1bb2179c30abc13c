"""Costs that fall when bits rise: on real accelerators padding makes some wider bit-widths faster."""

from __future__ import annotations

from typing import Any

import numpy as np

from mico_runner.search.space import Space


def report_non_monotone(space: Space, table: np.ndarray) -> list[dict[str, object]]:
    """The pairs of choices where no bit-width is narrower, one is wider, and the cost is lower all the same.

    Args:
        table: (layers, choices) costs.

    Returns:
        A row per layer and pair: layer, weight_bits, activation_bits, cost; wider_weight_bits, wider_activation_bits, wider_cost;
        saving (share of the narrower one's cost). Largest saving first.
    """
    bits = np.array(space.choices, dtype=float)
    wider = (bits[:, None] <= bits[None]).all(axis=2) & (bits[:, None] < bits[None]).any(axis=2)
    rows = []
    for index, (layer, allowed) in enumerate(zip(space.layers, space.mask, strict=True)):
        cost = table[index]
        cheaper = wider & allowed[:, None] & allowed[None] & (cost[None] < cost[:, None])
        for narrow, wide in np.argwhere(cheaper):
            row: dict[str, Any] = {"layer": layer}
            for prefix, choice in (("", narrow), ("wider_", wide)):
                weight, activation = space.choices[choice]
                row |= {f"{prefix}weight_bits": weight, f"{prefix}activation_bits": activation}
                row[f"{prefix}cost"] = float(cost[choice])
            rows.append(row | {"saving": float(1 - cost[wide] / cost[narrow])})
    return sorted(rows, key=lambda row: -row["saving"])
