"""Tables and numbers of the report, as text that the template places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_HEADS = {
    "mape": "MAPE, %",
    "p90_ape": "90th percentile, %",
    "max_ape": "largest, %",
    "macs": "MACs",
    "bops": "bit operations",
    "energy": "energy, pJ",
    "edp": "energy x latency",
    "flash_bytes": "flash, bytes",
    "ram_bytes": "RAM, bytes",
    "validation_accuracy": "validation accuracy, %",
    "best_validation_accuracy": "best validation accuracy, %",
    "regret_points": "regret, points",
    "error_percent": "error, %",
    "change_percent": "change, %",
    "quality_points": "quality, points",
}


@dataclass(frozen=True)
class Table:
    """Column heads, rows of cells as text, whether each column is numeric (right-aligned), the rows to stress, the layer of each or ""."""

    head: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    marked: list[bool]
    layers: list[str]


def table(
    data: pd.DataFrame | None,
    mark: str | None = None,
    mark_if: tuple[str, Any] | None = None,
    layers: Sequence[str] | None = None,
) -> Table | None:
    """A data frame for the template; None and empty ones give None.

    Args:
        mark: column of 0 and 1 that is not shown; rows with 1 are stressed.
        mark_if: stress the rows whose column (first) has the value (second).
        layers: of the rows; by default their column `layer`, when it is the first.
    """
    if data is None or data.empty:
        return None
    stressed = [False] * len(data)
    if mark in data:
        stressed = [bool(value) for value in data[mark]]
        data = data.drop(columns=[mark])
    if mark_if:
        stressed = [value == mark_if[1] for value in data[mark_if[0]]]
    import pandas as pd

    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in data.dtypes]
    columns = [_aligned(data[name]) if n else map(_text, data[name]) for name, n in zip(data, numeric, strict=True)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    if layers is None:
        layers = data["layer"].astype(str).tolist() if data.columns[0] == "layer" else [""] * len(data)
    heads = [_HEADS.get(name, name.replace("_", " ")) for name in map(str, data)]
    return Table(heads, rows, numeric, stressed, list(layers))


def with_shapes(rows: pd.DataFrame, about: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of layers, their names first, with their shapes beside: "1 × 28 × 28 → 8 × 14 × 14".

    Args:
        rows: with a column layer.
        about: layer, in_shape, out_shape as `graph.layer_table` writes them; without these columns nothing is added.
    """
    if about is None or "layer" not in rows or not {"layer", "in_shape", "out_shape"} <= set(about):
        return rows
    shapes = {
        str(layer): f"{_shape(before)} → {_shape(after)}"
        for layer, before, after in zip(about["layer"], about["in_shape"], about["out_shape"], strict=True)
    }
    named = rows.astype({"layer": str})
    named["shape"] = [shapes.get(layer, "") for layer in named["layer"]]
    others = [name for name in rows if name != "layer"]
    return named[["layer", "shape", *others]]


def _shape(text: object) -> str:
    return " × ".join(part.strip() for part in str(text).strip("()[]").split(",") if part.strip())


def number(value: float | None) -> str:
    """Four to six digits that matter; thin spaces part the thousands; "–" when absent.

    >>> number(1234567), number(0.123456), number(3.0), number(98.765), number(None)
    ('1\u2009234\u2009567', '0.1235', '3', '98.77', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if float(value).is_integer() or abs(value) >= 10_000:
        return f"{value:,.0f}".replace(",", "\u2009")
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def bytes_text(value: float) -> str:
    """Bytes, or KiB from 10 000 bytes on.

    >>> bytes_text(812), bytes_text(45056)
    ('812 B', '44.0 KiB')
    """
    return f"{value:,.0f} B".replace(",", "\u2009") if value < 10_000 else f"{value / 1024:.1f} KiB"


def _aligned(column: pd.Series) -> list[str]:
    """The numbers of one column, all with as many decimals."""
    known = column.dropna()
    largest = known.abs().max() if len(known) else 0
    decimals = 0 if (known % 1 == 0).all() or largest >= 10_000 else 2 if largest >= 10 else 3
    return ["–" if math.isnan(v) else f"{v:,.{decimals}f}".replace(",", "\u2009") for v in column]


def _text(value: Any) -> str:
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)
