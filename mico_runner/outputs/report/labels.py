"""What a point or a layer of a figure says of itself."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from mico_runner.outputs.report.tables import bytes_text, number
from mico_runner.tasks.base import Measure

COSTS = {
    "latency": "latency",
    "energy": "energy, pJ",
    "edp": "energy x latency",
    "flash_bytes": "flash, bytes",
    "ram_bytes": "RAM, bytes",
    "bops": "bit operations",
}


def point_label(row: Mapping[Hashable, Any], measure: Measure, unit: str, bits: str) -> str:
    """Quality, costs and bits of an evaluated network, a line each.

    Args:
        row: of front.csv, evaluations.csv or uniform.csv.
        unit: of latencies.
    """
    lines = [f"validation {measure.name} {measure.text(row[f'validation_{measure.name}'])}"]
    for cost, name in COSTS.items():
        if cost not in row or row[cost] != row[cost]:  # absent, or no number
            continue
        of = f" {unit}" if cost == "latency" else ""
        text = bytes_text(row[cost]) if cost.endswith("_bytes") else number(row[cost])
        name, _, in_unit = name.partition(", ")
        of = f" {in_unit}" if in_unit and in_unit != "bytes" else of
        ratio = row.get(f"{cost}_ratio")
        share = f" ({100 * ratio:.1f} % of 8-bit's)" if ratio is not None and ratio == ratio else ""
        lines.append(f"{name} {text}{of}{share}")
    return "\n".join([*lines, bits]) if bits else "\n".join(lines)


def bits_of(row: Mapping[Hashable, Any]) -> str:
    """The bits of a row's layers (columns `<layer>.w`, `<layer>.a`), layers with the same bits together.

    >>> bits_of({"order": 3, "a.w": 2.0, "a.a": 8.0, "b.w": 4.0, "b.a": 4.0, "c.w": 2.0, "c.a": 8.0})
    'w2 a8: a, c\\nw4 a4: b'
    """
    layers: dict[str, list[str]] = {}
    for name in (str(key)[:-2] for key in row if str(key).endswith(".w")):
        layers.setdefault(f"w{row[f'{name}.w']:g} a{row[f'{name}.a']:g}", []).append(name)
    return "\n".join(f"{bits}: {', '.join(names)}" for bits, names in layers.items())
