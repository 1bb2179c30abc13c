"""Two versions compared, metric by metric."""

from __future__ import annotations

import fnmatch
import json
import math
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tabulate import tabulate

from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.rules import Rule, parse
from mico_runner.steps.base import Metric

ROUNDING = 1e-9  # relative; less is how sums were ordered
LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Row:
    """One metric in both versions; None where it is absent.

    verdict: "same", "better", "worse" (beyond its tolerance, or a rule broken), "changed" (no direction, or worse within
    the tolerance), "new", "gone", "volatile" (in both).
    rule: the verdict with the rule that is broken.
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
        """None too where it is beyond the range of a float."""
        change = None if self.a is None or self.b is None else self.b - self.a
        return change if change is None or -LARGEST <= change <= LARGEST else None


@dataclass(frozen=True)
class Diff:
    rows: list[Row]

    @property
    def regressed(self) -> bool:
        return bool(self.regressions)

    @property
    def regressions(self) -> list[Row]:
        """What makes `mico-run diff` end with exit code 1: worse metrics, and those that vanished and say something."""
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
        escape = _markdown if style == "github" else _printable
        cells = [[escape(cell) for cell in row] for row in body]
        return tabulate(
            cells, head, tablefmt=style, disable_numparse=True, colalign=("left", "right", "right", "right")
        )

    def to_markdown(self) -> str:
        """GitHub table with a headline, for a comment on a pull request."""
        count = len(self.regressions)
        headline = f"**{count} regression{'s' if count != 1 else ''}**" if count else "**No regressions**"
        return f"{headline}\n\n{self.to_table('github')}"

    def to_json(self) -> str:
        rows = [{**asdict(row), "change": row.change} for row in self.rows]
        return json.dumps({"regressions": [r.name for r in self.regressions], "rows": rows}, indent=1, allow_nan=False)


def diff(a: Path, b: Path, fail_on: list[str] | None = None) -> Diff:
    """Compare the metrics of version `b` with those of `a`.

    Args:
        fail_on: rules "name>limit" or "name<limit"; the name may hold `*`; a limit with a sign is relative to `a`,
            in the metric's unit or, with `%`, in percent of `a`: 'proxy.*.mape>+2%'. A rule holds for volatile metrics too, and one
            that looks at the side on which its metric gets worse replaces the tolerance.

    Raises UsageError for a folder without metrics, two that have none in common, and as `compare` does.
    """
    before, after = store.metrics(a), store.metrics(b)
    result = compare(before, after, fail_on or [])
    if result.rows and not before.keys() & after.keys() and not result.regressed:
        raise UsageError(f"{a} and {b} have no metric in common: nothing to compare")
    return result


def compare(before: dict[str, Metric], after: dict[str, Metric], fail_on: list[str]) -> Diff:
    """`diff` of metrics at hand.

    Raises UsageError for a rule that cannot be read or judges no metric, and for metrics that changed their unit or direction.
    """
    names = sorted(before.keys() | after.keys())
    _check_same_kind(before, after)
    rules: dict[str, list[Rule]] = {name: [] for name in names}
    for rule in map(parse, fail_on):
        matched = fnmatch.filter(names, rule.name)
        if not matched:
            raise UsageError(f"--fail-on {rule.text!r}: no metric matches {rule.name!r}; known: {', '.join(names)}")
        judged = [name for name in matched if rule.judges(before.get(name), after.get(name))]
        if not judged:
            raise UsageError(f"--fail-on {rule.text!r}: A lacks {', '.join(matched)}, to which the limit is relative")
        for name in judged:
            rules[name].append(rule)
    return Diff([_row(name, before.get(name), after.get(name), rules[name]) for name in names])


def _check_same_kind(before: dict[str, Metric], after: dict[str, Metric]) -> None:
    problems = [
        f"{name}: the {what} was {getattr(before[name], what)!r} and is now {getattr(after[name], what)!r}"
        for name in sorted(before.keys() & after.keys())
        for what in ("unit", "direction")
        if getattr(before[name], what) != getattr(after[name], what)
    ]
    if problems:
        raise UsageError("; ".join([*problems, "the two cannot be compared"]))


def _row(name: str, a: Metric | None, b: Metric | None, rules: list[Rule]) -> Row:
    known = a if b is None else b
    if known is None:
        raise ValueError(f"{name} is a metric of neither version")
    verdict, why = _verdict(a, b), ""
    broken = next((rule for rule in rules if rule.broken(a, b)), None)
    if broken:
        verdict = "worse" if b else "gone"
        why = f"{verdict} ({broken.text})"
    elif verdict == "worse" and any(rule.guards(known.direction) for rule in rules):
        verdict = "changed"
    values = (a.value if a else None, b.value if b else None)
    volatile = all(metric.volatile for metric in (a, b) if metric)
    return Row(name, *values, known.unit, known.direction, known.tolerance, volatile, verdict, why)


def _is_lost(row: Row) -> bool:
    return row.verdict == "gone" and (bool(row.rule) or (row.direction != "info" and not row.volatile))


def _verdict(a: Metric | None, b: Metric | None) -> str:
    if a is None:
        return "new"
    if b is None:
        return "gone"
    if a.volatile and b.volatile:
        return "volatile"
    if math.isclose(a.value, b.value, rel_tol=ROUNDING):
        return "same"
    if b.direction == "info":
        return "changed"
    worse = (b.value - a.value) * (1 if b.direction == "lower" else -1)
    if worse < 0:
        return "better"
    return "worse" if worse > min(allowed(b.tolerance, a.value), LARGEST) else "changed"


def allowed(tolerance: float | str, reference: float) -> float:
    """A tolerance in the metric's own unit: 0.2 as it is, "1%" of the reference's magnitude."""
    if isinstance(tolerance, str):
        return float(tolerance.rstrip("% ")) / 100 * abs(reference)
    return tolerance


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _change(row: Row) -> str:
    if row.change is None or row.verdict == "same":
        return ""
    percent = f" ({row.change / abs(float(row.a)) * 100:+.2f} %)" if row.a else ""
    return f"{row.change:+.5g}{percent}"


def _tolerance(row: Row) -> str:
    return "" if row.direction == "info" or not row.tolerance else f"±{row.tolerance}"


def _printable(text: str) -> str:
    """On one line, and nothing that a terminal obeys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _markdown(text: str) -> str:
    """As the cell of a GitHub table that shows the text as it is."""
    return re.sub(r"([\\|`*\[\]~])", r"\\\1", _printable(text)).replace("&", "&amp;").replace("<", "&lt;")
