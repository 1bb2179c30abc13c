"""A table in a text file, a sample each line: columns are inputs, targets, or facts of the samples."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico_runner.data import register
from mico_runner.data.dataset import LARGEST, Split
from mico_runner.data.files import read_text
from mico_runner.errors import UsageError, did_you_mean

LARGEST_WHOLE = 1 << 53  # up to which a float64 holds every whole number
_NO_VALUE = {"", "nan", "na", "n/a", "null", "none", "inf", "-inf"}  # in lower case: as what is missing is written
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


@register(
    "csv",
    own="a file",
    params={
        "target": {
            "anyof": [
                {"type": "string"},
                {"type": "list", "schema": {"type": "string"}, "minlength": 1},
            ],
            "required": True,
            "meta": {
                "help": "column that the network learns to tell, or columns",
                "text": "a column's name, or a list",
            },
        },
        "columns": {
            "type": "list",
            "schema": {"type": "string"},
            "minlength": 1,
            "nullable": True,
            "default": None,
            "meta": {"help": "columns of the inputs; null: all others of numbers"},
        },
        "delimiter": {"type": "string", "allowed": [",", ";", "\t", "|"], "default": ","},
    },
)
def load(
    files: list[Path], target: str | Sequence[str], columns: Sequence[str] | None = None, delimiter: str = ","
) -> tuple[Split, None]:
    """float32 inputs (N, columns), and targets: int64 of whole numbers, else float32; (N,) of a column, (N, columns) of a list.

    The first line names the columns. A target of text is a class, numbered in the order of the names. A column counts as one of numbers
    if its first cell that is not empty (or nan, null, none) is a number. What is neither input nor target is a fact of each sample,
    text. The file is text in UTF-8, perhaps compressed (gzip, xz).

    Raises UsageError, with line and column: no such column, a cell that is empty or no number where a number is needed.
    """
    (path,) = files
    table = _Table(path, delimiter)
    targets = [target] if isinstance(target, str) else list(target)
    table.check_names("target", targets)
    others = [name for name in table.names if name not in targets]
    if columns is None:
        inputs = [name for name in others if table.is_number(name)]
    else:
        inputs = list(columns)
        table.check_names("columns", inputs)
        if both := [name for name in inputs if name in targets]:
            raise UsageError(f"datasets.task.columns: found {both[0]!r}, the target; allowed: other columns of {path}")
    if not inputs:
        raise UsageError(f"{path}: found no column of numbers beside the target; allowed: one or more")
    values = np.stack([table.numbers(name).astype(np.float32) for name in inputs], axis=1)
    named = isinstance(target, str) and not table.is_number(target)
    if isinstance(target, str):
        wanted = _natural(table.numbers(target)) if not named else table.classes(target)
    else:
        wanted = _natural(np.stack([table.numbers(name) for name in targets], axis=1))
    about = {name: np.array(table.cells[name], object) for name in others if name not in inputs}
    return Split(values, wanted, about=about, named=named), None


def _natural(values: np.ndarray) -> np.ndarray:
    """Whole numbers as int64, others as float32."""
    whole = (values == np.rint(values)).all() and (np.abs(values) <= LARGEST_WHOLE).all()
    return values.astype(np.int64 if whole else np.float32)


@dataclass
class _Table:
    """Attributes: cells: text by column."""

    path: Path
    delimiter: str

    def __post_init__(self) -> None:
        rows = self._rows()
        line, self.names = next(rows, (1, []))
        if len(set(self.names)) < len(self.names) or "" in self.names or not self.names:
            found = ", ".join(self.names[:20]) or "nothing"
            raise UsageError(f"{self.path}:{line}: found the columns {found}; allowed: a name each, all different")
        self._lines: list[int] = []
        found_rows = []
        for line, row in rows:
            if len(row) != len(self.names):
                raise UsageError(
                    f"{self.path}:{line}: found {len(row)} cells; allowed: {len(self.names)}, as many as columns"
                )
            self._lines.append(line)
            found_rows.append(row)
        if not found_rows:
            raise UsageError(f"{self.path}: found no line below the names of the columns; allowed: one or more")
        self.cells = dict(zip(self.names, map(list, zip(*found_rows, strict=True)), strict=True))

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Cells without the space around them, and the line at which a row ends; empty lines are passed over."""
        reader = csv.reader(
            io.StringIO(read_text(self.path), newline=""),
            delimiter=self.delimiter,
            skipinitialspace=True,
            strict=True,
        )
        try:
            for row in reader:
                if any(map(str.strip, row)):
                    yield reader.line_num, list(map(str.strip, row))
        except csv.Error as error:
            raise UsageError(f"{self.path}:{reader.line_num}: {error}; allowed: cells as CSV has them") from None

    def check_names(self, key: str, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.names or names.count(name) > 1:
                known = ", ".join(self.names[:20]) + (", .." if len(self.names) > 20 else "")
                near = did_you_mean(name, self.names).rstrip(";")
                raise UsageError(f"datasets.task.{key}: found {name!r}; allowed: columns of {self.path}, {known}{near}")

    def is_number(self, name: str) -> bool:
        """Whether the first cell that says something is a number."""
        first = next((cell for cell in self.cells[name] if cell.lower() not in _NO_VALUE), "")
        return _NUMBER.fullmatch(first) is not None

    def numbers(self, name: str) -> np.ndarray:
        """float64 (N,)."""
        cells = self.cells[name]
        found = np.array([float(cell) if _NUMBER.fullmatch(cell) else np.nan for cell in cells])
        wrong = ~(np.abs(found) <= LARGEST)
        if wrong.any():
            row, more = int(wrong.argmax()), int(wrong.sum()) - 1
            others = f" (and {more} others in this column)" if more else ""
            what = repr(cells[row][:40]) if cells[row] else "nothing"
            raise UsageError(
                f"{self.path}:{self._lines[row]}: column {name!r}: found {what}{others}; allowed: a number, at most {LARGEST:.1e}"
            )
        return found

    def classes(self, name: str) -> np.ndarray:
        """int64 (N,): the places of the cells among all names in alphabetical order."""
        cells = self.cells[name]
        if "" in cells:
            line = self._lines[cells.index("")]
            raise UsageError(f"{self.path}:{line}: column {name!r}: found nothing; allowed: the name of a class")
        found: np.ndarray = np.unique(np.array(cells), return_inverse=True)[1]
        return found.astype(np.int64)
