"""Two versions compared, metric by metric."""

from __future__ import annotations

import fnmatch
import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.steps.base import Metric

ROUNDING = 1e-9  # relative; less is how sums were ordered

_RULE = re.compile(
    r"(?P<name>[\w.*?\[\]-]+)\s*(?P<sign>[<>])\s*(?P<limit>(?P<relative>[+-])?\d+(\.\d*)?(e[+-]?\d+)?)\s*(?P<percent>%?)",
    re.I,
)


@dataclass(frozen=True)
class Row:
    """One metric in both versions; None where it is absent.

    verdict: "same", "better", "worse" (beyond its tolerance, or a rule broken), "changed" (no direction, or worse within
    the tolerance), "new", "gone", "volatile".
    """

    name: str
    a: float | None
    b: float | None
    unit: str
    direction: str
    tolerance: float | str
    volatile: bool
    verdict: str
    rule: str = ""

    @property
    def change(self) -> float | None:
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class Diff:
    rows: list[Row]

    @property
    def regressed(self) -> bool:
        return bool(self.regressions)

    @property
    def regressions(self) -> list[Row]:
        """What makes `mico-run diff` end with exit code 1: worse metrics, and those that vanished."""
        return [row for row in self.rows if row.verdict == "worse" or _is_lost(row)]

    def to_table(self, style: str = "simple") -> str:
        """Text table; `style` is one of tabulate's."""
        head = ["metric", "A", "B", "change", "unit", "better", "tolerance", "verdict"]
        better = {"lower": "lower", "higher": "higher", "info": ""}
        body = [
            [
                r.name,
                _number(r.a),
                _number(r.b),
                _change(r),
                r.unit,
                better[r.direction],
                _tolerance(r),
                r.rule or r.verdict,
            ]
            for r in self.rows
        ]
        return tabulate(body, head, tablefmt=style, disable_numparse=True, colalign=("left", "right", "right", "right"))

    def to_markdown(self) -> str:
        """GitHub table with a headline, for a comment on a pull request."""
        count = len(self.regressions)
        headline = f"**{count} regression{'s' if count != 1 else ''}**" if count else "**No regressions**"
        return f"{headline}\n\n{self.to_table('github')}"

    def to_json(self) -> str:
        rows = [{**asdict(row), "change": row.change} for row in self.rows]
        return json.dumps({"regressions": [r.name for r in self.regressions], "rows": rows}, indent=1)


def diff(a: Path, b: Path, fail_on: list[str] | None = None) -> Diff:
    """Compare the metrics of version `b` with those of `a`.

    Args:
        fail_on: rules "name>limit" or "name<limit"; the name may hold `*`; a limit with a sign is relative to `a`,
            in the metric's unit or, with `%`, in percent of `a`: 'proxy.*.mape>+2%'. A rule replaces the tolerance
            of the metrics that it matches and holds for volatile ones too.

    Raises UsageError for a folder without metrics, and as `compare` does.
    """
    return compare(store.metrics(a), store.metrics(b), fail_on or [])


def compare(before: dict[str, Metric], after: dict[str, Metric], fail_on: list[str]) -> Diff:
    """`diff` of metrics at hand.

    Raises UsageError for a rule that cannot be read, one that matches no metric, and a metric that changed its unit.
    """
    names = sorted(before.keys() | after.keys())
    rules: dict[str, str] = {}
    for rule in fail_on:
        matched = fnmatch.filter(names, _parse(rule)["name"])
        if not matched:
            raise UsageError(
                f"--fail-on {rule!r}: no metric matches {_parse(rule)['name']!r}; known: {', '.join(names)}"
            )
        rules.update(dict.fromkeys(matched, rule))
    return Diff([_row(name, before.get(name), after.get(name), rules.get(name)) for name in names])


def _row(name: str, a: Metric | None, b: Metric | None, rule: str | None) -> Row:
    known = b or a
    if a and b and a.unit != b.unit:
        raise UsageError(f"{name}: the unit was {a.unit!r} and is now {b.unit!r}; the two cannot be compared")
    verdict, why = _verdict(a, b), ""
    if rule and b and (a or not _parse(rule)["relative"]):
        if _broken(rule, a, b):
            verdict, why = "worse", f"worse ({rule})"
        elif verdict == "worse":
            verdict = "changed"
    values = (a.value if a else None, b.value if b else None)
    return Row(name, *values, known.unit, known.direction, known.tolerance, known.volatile, verdict, why)


def _is_lost(row: Row) -> bool:
    return row.verdict == "gone" and row.direction != "info" and not row.volatile


def _verdict(a: Metric | None, b: Metric | None) -> str:
    if a is None:
        return "new"
    if b is None:
        return "gone"
    if a.volatile or b.volatile:
        return "volatile"
    if math.isclose(a.value, b.value, rel_tol=ROUNDING):
        return "same"
    if b.direction == "info":
        return "changed"
    worse = (b.value - a.value) * (1 if b.direction == "lower" else -1)
    return "better" if worse < 0 else "worse" if worse > allowed(b.tolerance, a.value) else "changed"


def allowed(tolerance: float | str, reference: float) -> float:
    """A tolerance in the metric's own unit: 0.2 as it is, "1%" of the reference's magnitude."""
    if isinstance(tolerance, str):
        return float(tolerance.rstrip("% ")) / 100 * abs(reference)
    return tolerance


def _parse(rule: str) -> dict[str, str]:
    match = _RULE.fullmatch(rule.strip())
    if not match:
        raise UsageError(f"--fail-on {rule!r}: not a rule; write name>limit or name<limit, e.g. 'proxy.*.mape>+2%'")
    return match.groupdict()


def _broken(rule: str, a: Metric | None, b: Metric) -> bool:
    parts = _parse(rule)
    limit = float(parts["limit"])
    if parts["relative"]:
        limit = a.value + (limit / 100 * abs(a.value) if parts["percent"] else limit)
    elif parts["percent"] and b.unit != "%":
        raise UsageError(f"--fail-on {rule!r}: the unit is {b.unit!r}; a limit in % needs a sign, as in >+2%")
    return b.value > limit if parts["sign"] == ">" else b.value < limit


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _change(row: Row) -> str:
    if row.change is None or row.verdict == "same":
        return ""
    percent = f" ({row.change / abs(row.a) * 100:+.2f} %)" if row.a else ""
    return f"{row.change:+.5g}{percent}"


def _tolerance(row: Row) -> str:
    return "" if row.direction == "info" or not row.tolerance else f"±{row.tolerance}"
