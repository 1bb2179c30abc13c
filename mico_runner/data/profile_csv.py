"""The CSV file of a kernel-latency profile, read and checked row by row in plain Python: `validate` reads it without pandas.

The first line names the columns: those of the kernel table and one latency. Everything that is wrong is said at once, with line and
column; what is only strange (one kernel with two latencies) is a warning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.data.files import lines_of, read_text
from mico_runner.data.profile_rules import LATENCY_RANGE, row_problem, warnings
from mico_runner.errors import did_you_mean
from mico_runner.kernel_table import BITS, COLUMNS, DERIVED, KINDS, NEEDED
from mico_runner.yaml_schema import Problem, SchemaErrors, show
from mico_runner.yaml_source import Place

if TYPE_CHECKING:
    from mico_runner.data.catalog import Entry
    from mico_runner.hardware import Hardware

UNITS = ("cycles", "instructions", "ns", "us", "ms")
_FIELD = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^,]*)(?:,|$)')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOST_COLUMNS = 100  # that are looked at one by one
_WHOLE_DIGITS = 15  # digits of a whole number that a float64 holds exactly


@dataclass
class Rows:
    """A checked file.

    Attributes:
        columns: values by name; whole numbers, `kind` as text, `latency` as numbers.
        lines: where each row stands.
        warnings: what looks wrong and is not refused.
    """

    unit: str
    columns: dict[str, list[Any]]
    lines: list[int]
    warnings: list[Problem] = field(default_factory=list)


def read(path: Path, device: Hardware | None = None, layout: Entry | None = None) -> Rows:
    """Read a profile's CSV file.

    Args:
        device: whose latency unit and bit-widths the file must have; None: any.
        layout: the catalog's entry of a file with columns of its own, or with the kernel table's and the entry's unit.

    Raises:
        SchemaErrors, UsageError: the file cannot be read, or its form, columns or values are wrong; all problems of its rows at once.
    """
    return _File(path, device, layout).rows()


class _File:
    def __init__(self, path: Path, device: Hardware | None, layout: Entry | None) -> None:
        self.path, self.device, self.layout = path, device, layout
        self.lines = lines_of(read_text(path))
        self.positional = layout is not None and bool(
            layout.columns
        )  # columns by position, whatever the file calls them
        self.header: list[str] = []  # names as the file writes them; empty when it is positional
        self.problems: list[Problem] = []

    def fail(self, line: int, column: int | None, name: str | None, text: str) -> None:
        place = Place(str(self.path), line, 1 if column is None else column)
        self.problems.append(Problem(place, () if name is None else (name,), text))

    def stop_if_wrong(self) -> None:
        if self.problems:
            raise SchemaErrors(self.problems)

    def rows(self) -> Rows:
        names, unit = self._header()
        if len(set(names)) < len(names) or not (self.positional or "kind" in names):
            self.stop_if_wrong()
        table: dict[str, list[Any]] = {name: [] for name in names}
        lines: list[int] = []
        for number, values in self._split(names):
            for name, value in zip(names, values, strict=True):
                table[name].append(value)
            lines.append(number)
        if not lines and not self.problems:
            self.fail(len(self.lines), None, None, "found no rows; allowed: a line per kernel below the columns' names")
        if self.positional:
            for name, value in self.layout.fill.items():
                table[name] = table[value] if isinstance(value, str) else [str(value)] * len(lines)
            table["kind"] = [self.layout.kernel] * len(lines)
        self._check_needed(table)
        self.stop_if_wrong()
        return self._checked(names, table, lines, unit)

    def _header(self) -> tuple[list[str], str]:
        """Names of the columns, `latency` without its unit, and the unit."""
        first = self.lines[0]
        if self.positional:
            if first.strip() != self.layout.header:
                self.fail(1, None, None, f"found {show(first)}; allowed: {self.layout.header}")
            return list(self.layout.columns), self.layout.unit
        fields = _fields(first) or []
        names = [name for name, _ in fields]
        while names and not names[-1]:
            names.pop()
        self.header = names
        allowed = f"{', '.join(COLUMNS)}, latency_<unit>"
        other = next((mark for mark in ";\t|" if mark in first and "," not in first), None)
        if other is not None:
            self.fail(1, first.index(other) + 1, None, f"found {other!r} between the columns; allowed: ',' alone")
        elif not set(names) & set(COLUMNS):
            self.fail(1, None, None, f"found {show(first)}; allowed: a line that names the columns: {allowed}")
        else:
            self._check_names(names, [at for _, at in fields], allowed)
        return self._latency(names)

    def _check_names(self, names: list[str], places: list[int], allowed: str) -> None:
        if len(names) > _MOST_COLUMNS:
            self.fail(1, None, None, f"found {len(names)} columns; allowed: {allowed}")
            self.stop_if_wrong()
        for i, (name, at) in enumerate(zip(names, places, strict=False)):
            if name in names[:i]:
                self.fail(1, at, name, "the column is there twice; allowed: once")
            elif not name:
                self.fail(1, at, None, f"found a column without a name; allowed: {allowed}")
            elif name not in COLUMNS and not name.startswith("latency_"):
                near = did_you_mean(name.lower(), [c for c in COLUMNS if c not in names]).rstrip(";")
                self.fail(1, at, name, f"unknown column; allowed: {allowed}{near}")
        if "kind" not in names:
            self.fail(1, None, "kind", f"the column is missing; allowed: {', '.join(KINDS)}")

    def _latency(self, names: list[str]) -> tuple[list[str], str]:
        found = [name for name in names if name.startswith("latency_")]
        units = UNITS
        if self.device is not None:
            units = (self.device.latency_unit,)
        elif self.layout is not None:
            units = (self.layout.unit,)
        allowed = " or ".join(f"latency_{unit}" for unit in units)
        allowed = f"one column {allowed}{f', as {self.device.name} counts' if self.device else ''}"
        if self.problems and not set(names) & set(COLUMNS):
            return names, ""
        if len(found) != 1 or found[0].removeprefix("latency_") not in units:
            near = did_you_mean(found[0], [f"latency_{unit}" for unit in units]).rstrip(";") if found else ""
            self.fail(1, None, None, f"found {', '.join(found) or 'no latency'}; allowed: {allowed}{near}")
            return names, ""
        return ["latency" if name == found[0] else name for name in names], found[0].removeprefix("latency_")

    def _split(self, names: list[str]) -> Iterator[tuple[int, list[str]]]:
        """Line and values of each row; empty lines, and empty values beyond the last column, mean nothing."""
        for number, line in enumerate(self.lines[1:], start=2):
            if '"' in line:
                fields = _fields(line)
                if fields is None:
                    self.fail(
                        number, line.index('"') + 1, None, 'a quote that nothing closes; allowed: "..." within a line'
                    )
                    continue
                values = [value for value, _ in fields]
            else:
                values = [value.strip() for value in line.split(",")]
            while len(values) > len(names) and not values[-1]:
                values.pop()
            if not any(values):
                continue
            if len(values) == len(names):
                yield number, values
            elif len(self.problems) < _SHOWN:
                hint = "; a number has a decimal point, no comma" if len(values) > len(names) else ""
                self.fail(
                    number, None, None, f"found {len(values)} values; allowed: {len(names)}, one per column{hint}"
                )

    def _check_needed(self, table: dict[str, list[str]]) -> None:
        """The columns without which the kinds of kernels in the file cannot be told apart."""
        for kind in [kind for kind in KINDS if kind in set(table["kind"])]:
            missing = [name for name in NEEDED[kind] if name not in table]
            if missing:
                text = f"missing: {', '.join(missing)}; {kind} needs the columns {', '.join(NEEDED[kind])}"
                self.fail(1, None, None, text)
        device = self.device
        if device is not None and device.batch != 1 and "batch" not in table:
            self.fail(
                1, None, None, f"missing: batch, the samples per call, of which {device.name} takes {device.batch}"
            )

    def _checked(self, names: list[str], table: dict[str, list[Any]], lines: list[int], unit: str) -> Rows:
        wrong = _Tally(self, names)
        for line, kind in zip(lines, table["kind"], strict=True):
            if kind not in NEEDED:
                near = did_you_mean(kind, KINDS).rstrip(";")
                wrong.add(line, "kind", f"found {show(kind)}; allowed: {', '.join(KINDS)}{near}")
        typed = {name: self._numbers(name, table[name], lines, wrong) for name in table if name != "kind"}
        if not wrong.found:
            typed["kind"] = table["kind"]
            for line, *values in zip(lines, *typed.values(), strict=True):
                found = row_problem(dict(zip(typed, values, strict=True)), self.device)
                if found is not None:
                    wrong.add(line, *found)
        wrong.close()
        self.stop_if_wrong()
        return Rows(unit, typed, lines, warnings(self.path, typed, lines) if self.layout is None else [])

    def _numbers(self, name: str, values: Sequence[str], lines: list[int], wrong: _Tally) -> list[Any]:
        """The column as numbers; what is none is tallied."""
        if name == "latency":
            low, high = LATENCY_RANGE
            numbers: list[Any] = [int(v) if _is_short_whole(v) else _number(v) for v in values]
            allowed = f"a number from {low:g} to {high:g}, with a decimal point"
        else:
            low, high = (0 if name in BITS or name in DERIVED else 1), _largest(name)
            numbers = [_whole(value) for value in values]
            allowed = f"a whole number from {low} to {high}"
        for line, value, number in zip(lines, values, numbers, strict=True):
            if number is None or not low <= number <= high:
                wrong.add(line, name, f"found {show(value)}; allowed: {allowed}")
        return numbers


_SHOWN = 20  # rows of a wrong length that are named, at most


class _Tally:
    """Says the first wrong value of each column, and how many more there are."""

    def __init__(self, file: _File, names: list[str]) -> None:
        self.file, self.names = file, names
        self.found: dict[str, int] = {}  # how many, by column
        self._first: dict[str, tuple[int, str]] = {}

    def add(self, line: int, name: str, text: str) -> None:
        self._first.setdefault(name, (line, text))
        self.found[name] = self.found.get(name, 0) + 1

    def close(self) -> None:
        for name, (line, text) in self._first.items():
            more = self.found[name] - 1
            text += f" ({more} more {'rows are' if more > 1 else 'row is'} wrong there)" if more else ""
            at = None
            if name in self.names:
                index = self.names.index(name)
                at = (_fields(self.file.lines[line - 1]) or [("", 1)])[index][1]
                name = self.file.header[index] if self.file.header else name
            self.file.fail(line, at, name, text)


def _fields(line: str) -> list[tuple[str, int]] | None:
    """Values of a line without quotes and spaces around them, and the column each begins in; None for a quote that is not closed."""
    found, position = [], 0
    while position <= len(line):
        match = _FIELD.match(line, position)
        quoted, plain = match.groups()
        if quoted is None and plain.lstrip().startswith('"'):
            return None
        text = quoted.replace('""', '"') if quoted is not None else plain
        found.append((text.strip(), position + 1))
        position = match.end()
        if not match.group().endswith(","):
            break
    return found


def _whole(value: str) -> int | None:
    """The whole number that a text is ("8", "8.0", "1e3"), or None."""
    if _is_short_whole(value):
        return int(value)
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _is_short_whole(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= _WHOLE_DIGITS


def _number(value: str) -> float | None:
    """The finite number that a text is, or None."""
    if len(value) > 40 or not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _largest(name: str) -> int:
    return 2**53 if name == "macs" else 2**31 - 1
