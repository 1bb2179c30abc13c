"""What a reproduction finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Figure(NamedTuple):
    """A metric of the step: its value, unit, which way is better, and the loss that `diff` allows."""

    value: float
    unit: str
    direction: str = "info"
    tolerance: float | str = 0.0


@dataclass(frozen=True)
class Outcome:
    """How closely a model comes to a table of runs.

    Attributes:
        figures: by name, which becomes reproduce.NAME.
        tables: by the name of the file, without .csv.
        notes: lines for the log.
    """

    figures: Mapping[str, Figure]
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...] = ()
