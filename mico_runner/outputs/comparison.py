"""Two versions compared, metric by metric."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mico_runner.errors import UsageError
from mico_runner.outputs import comparison_forms, store
from mico_runner.outputs.differences import Difference, differences
from mico_runner.outputs.repeats import Values, half_width, repeats
from mico_runner.outputs.rules import Rule, parse, rules_of
from mico_runner.sections import Diff as Judging
from mico_runner.steps.base import Metric

ROUNDING = 1e-9  # relative; less is how sums were ordered
LARGEST = sys.float_info.max
UNCHANGED = ("same", "volatile", "noise")
_RANK = {verdict: rank for rank, verdict in enumerate(("worse", "gone", "better", "changed", "new", *UNCHANGED))}


@dataclass(frozen=True)
class Row:
    """One metric in both versions; None where it is absent.

    verdict: "same", "better", "worse" (beyond its tolerance, or a rule broken), "changed" (no direction, or worse within
    the tolerance), "new", "gone", "volatile" (in both), "noise" (several runs a side, whose means are not surely different).
    rule: the verdict with the rule that is broken.
    noise: of several runs a side, half the confidence interval of the difference of the means, which a and b then are.
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
    noise: float | None = None

    @property
    def change(self) -> float | None:
        """None too where it is beyond the range of a float."""
        change = None if self.a is None or self.b is None else self.b - self.a
        return change if change is None or -LARGEST <= change <= LARGEST else None


@dataclass(frozen=True)
class Diff:
    """All metrics of two versions, by name.

    Attributes:
        differences: what else is different between them.
        idle: rules of the spec that judge no metric of this run, which may be one of a part or with another target.
    """

    rows: list[Row]
    differences: Sequence[Difference] = ()
    idle: Sequence[str] = ()

    @property
    def regressed(self) -> bool:
        return bool(self.regressions)

    @property
    def regressions(self) -> list[Row]:
        """What makes `mico-run diff` end with exit code 1: worse metrics, and those that vanished and say something."""
        return [row for row in self.rows if is_regression(row)]

    @property
    def counts(self) -> dict[str, int]:
        """How many metrics have each verdict, besides the regressions."""
        found = Counter(row.verdict for row in self.rows if not is_regression(row))
        return {verdict: found[verdict] for verdict in _RANK if found[verdict]}

    def shown(self, everything: bool = False) -> list[Row]:
        """The rows in the order of a table: regressions, then by verdict; without `everything`, those that changed."""
        rows = sorted(self.rows, key=lambda row: (not is_regression(row), _RANK[row.verdict]))
        return [row for row in rows if everything or is_regression(row) or row.verdict not in UNCHANGED]

    def to_table(self, everything: bool = False) -> str:
        """For a terminal."""
        return comparison_forms.table(self, everything)

    def to_markdown(self, everything: bool = False) -> str:
        """GitHub table with a headline, for a comment on a pull request."""
        return comparison_forms.markdown(self, everything)

    def to_json(self) -> str:
        """Every row, every number finite."""
        return comparison_forms.as_json(self)

    def to_github(self, name: str) -> str:
        """Annotations of GitHub Actions; `name` is what they call the comparison."""
        return comparison_forms.github(self, name)

    def to_junit(self, name: str) -> str:
        """JUnit's XML, a test case for each metric."""
        return comparison_forms.junit(self, name)


def diff(a: Path, b: Path, fail_on: Sequence[str] | None = None, runs: int | None = None) -> Diff:
    """Compare the metrics of version `b` with those of `a`.

    Args:
        fail_on: rules "name>limit" or "name<limit"; the name may hold `*`; a limit with a sign is relative to `a`,
            in the metric's unit or, with `%`, in percent of `a`: 'proxy.*.mape>+2%'. A rule holds for volatile metrics too, and one
            that looks at the side on which its metric gets worse replaces the tolerance. None: those of the spec of `b`;
            of these, one that judges no metric is no error, but in `Diff.idle`.
        runs: how many of the newest runs of the same state stand for each side, see `outputs.repeats`; None: as the spec of `b` says.

    Raises UsageError for a folder without metrics, two that have none in common, and as `compare` does.
    """
    before, after = store.metrics(a), store.metrics(b)
    judging = rules_of(b)
    most = judging.runs if runs is None else runs
    values: tuple[Values, Values] = (repeats(a, most), repeats(b, most)) if most > 1 else ({}, {})
    rules, idle = fail_on or (), []
    if fail_on is None:
        idle = [rule for rule in judging.fail_on if not _judged(parse(rule), before, after)]
        rules = [rule for rule in judging.fail_on if rule not in idle]
    rows = compare(before, after, rules, values, judging.confidence).rows
    result = Diff(rows, differences(a, b), idle)
    if result.rows and not before.keys() & after.keys() and not result.regressed:
        raise UsageError(f"{a} and {b} have no metric in common: nothing to compare")
    return result


def compare(
    before: dict[str, Metric],
    after: dict[str, Metric],
    fail_on: Sequence[str],
    values: tuple[Values, Values] = ({}, {}),
    confidence: float = Judging.confidence,
) -> Diff:
    """`diff` of metrics at hand.

    Args:
        values: what the metrics were in several runs of A and of B. Where both sides have at least two that vary, the means are compared,
            and a metric is worse only where the confidence interval of the difference lies beyond the tolerance as a whole.

    Raises UsageError for a rule that cannot be read or judges no metric, and for metrics that changed their unit or direction.
    """
    names = sorted(before.keys() | after.keys())
    _check_same_kind(before, after)
    rules: dict[str, list[Rule]] = {name: [] for name in names}
    for rule in map(parse, fail_on):
        matched = fnmatch.filter(names, rule.name)
        if not matched:
            raise UsageError(f"rule {rule.text!r}: no metric matches {rule.name!r}; known: {', '.join(names)}")
        judged = _judged(rule, before, after)
        if not judged:
            raise UsageError(f"rule {rule.text!r}: A lacks {', '.join(matched)}, to which the limit is relative")
        for name in judged:
            rules[name].append(rule)
    rows = []
    for name in names:
        a, b = before.get(name), after.get(name)
        noise = half_width(values[0].get(name, ()), values[1].get(name, ()), confidence) if a and b else None
        if a and b and noise is not None:
            a, b = (_mean(metric, side[name]) for metric, side in zip((a, b), values, strict=True))
        rows.append(_row(name, a, b, rules[name], noise))
    return Diff(rows)


def _judged(rule: Rule, before: dict[str, Metric], after: dict[str, Metric]) -> list[str]:
    """The metrics that the rule speaks of, sorted, without those that only a relative limit's other side lacks."""
    matched = sorted(fnmatch.filter(before.keys() | after.keys(), rule.name))
    return [name for name in matched if rule.judges(before.get(name), after.get(name))]


def _mean(metric: Metric, values: Sequence[float]) -> Metric:
    return dataclasses.replace(metric, value=statistics.fmean(values))


def _check_same_kind(before: dict[str, Metric], after: dict[str, Metric]) -> None:
    problems = [
        f"{name}: the {what} was {getattr(before[name], what)!r} and is now {getattr(after[name], what)!r}"
        for name in sorted(before.keys() & after.keys())
        for what in ("unit", "direction")
        if getattr(before[name], what) != getattr(after[name], what)
    ]
    if problems:
        raise UsageError("; ".join([*problems, "the two cannot be compared"]))


def _row(name: str, a: Metric | None, b: Metric | None, rules: list[Rule], noise: float | None) -> Row:
    known = a if b is None else b
    if known is None:
        raise ValueError(f"{name} is a metric of neither version")
    verdict, why = _verdict(a, b, noise), ""
    broken = next((rule for rule in rules if rule.broken(a, b, noise or 0.0)), None)
    if broken:
        verdict = "worse" if b else "gone"
        why = f"{verdict} ({broken.text})"
    elif verdict == "worse" and any(rule.guards(known.direction) for rule in rules):
        verdict = "changed"
    values = (a.value if a else None, b.value if b else None)
    volatile = all(metric.volatile for metric in (a, b) if metric)
    return Row(name, *values, known.unit, known.direction, known.tolerance, volatile, verdict, why, noise)


def is_regression(row: Row) -> bool:
    """Whether the metric got worse, or vanished and said something."""
    lost = row.verdict == "gone" and (bool(row.rule) or (row.direction != "info" and not row.volatile))
    return row.verdict == "worse" or lost


def _verdict(a: Metric | None, b: Metric | None, noise: float | None) -> str:
    if a is None:
        return "new"
    if b is None:
        return "gone"
    if noise is not None and abs(b.value - a.value) <= noise:
        return "noise"
    if noise is None and a.volatile and b.volatile:
        return "volatile"
    if math.isclose(a.value, b.value, rel_tol=ROUNDING):
        return "same"
    if b.direction == "info":
        return "changed"
    worse = (b.value - a.value) * (1 if b.direction == "lower" else -1)
    if worse < 0:
        return "better"
    return "worse" if worse - (noise or 0.0) > min(allowed(b.tolerance, a.value), LARGEST) else "changed"


def allowed(tolerance: float | str, reference: float) -> float:
    """A tolerance in the metric's own unit: 0.2 as it is, "1%" of the reference's magnitude."""
    if isinstance(tolerance, str):
        return float(tolerance.rstrip("% ")) / 100 * abs(reference)
    return tolerance
