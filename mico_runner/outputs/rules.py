"""Rules of `diff`, of the spec or `--fail-on`: a limit for the metrics that a pattern matches."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from mico_runner.errors import UsageError
from mico_runner.frozen_data import build
from mico_runner.outputs.differences import resolved
from mico_runner.sections import Diff
from mico_runner.steps.base import Metric

_RULE = re.compile(
    r"(?P<name>[\w.*?\[\]-]+)\s*(?P<sign>[<>])\s*"
    r"(?P<limit>(?P<relative>[+-])?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?)\s*(?P<percent>%?)",
    re.I,
)
_GUARDS = {("lower", ">"), ("higher", "<")}  # the side on which a metric gets worse


@dataclass(frozen=True)
class Rule:
    """A parsed rule.

    Attributes:
        text: as it was written.
        name: pattern of metric names.
        sign: "<" or ">": the side of the limit on which the rule is broken.
        relative: the limit is added to the value in A.
        percent: a relative limit is in percent of A's magnitude; one that is not, of a metric in %.
    """

    text: str
    name: str
    sign: str
    limit: float
    relative: bool
    percent: bool

    def judges(self, a: Metric | None, b: Metric | None) -> bool:
        """Whether there is what it speaks of: a relative limit needs both; a metric that vanished breaks every rule."""
        return b is None or a is not None or not self.relative

    def broken(self, a: Metric | None, b: Metric | None, noise: float = 0.0) -> bool:
        """Whether B is beyond the limit by more than `noise`. Raises UsageError for a limit in % of a metric in another unit."""
        if b is None:
            return True
        limit = self.limit
        if self.relative:
            if a is None:
                raise ValueError(f"{self.text!r} does not judge a metric that A lacks")
            limit = a.value + (limit / 100 * abs(a.value) if self.percent else limit)
        elif self.percent and b.unit != "%":
            raise UsageError(f"rule {self.text!r}: the unit is {b.unit!r}; a limit in % needs a sign, as in >+2%")
        return not (b.value - noise <= limit if self.sign == ">" else b.value + noise >= limit)

    def guards(self, direction: str) -> bool:
        """Whether it looks at the side on which the metric gets worse, so that it replaces the tolerance."""
        return (direction, self.sign) in _GUARDS


def parse(text: str) -> Rule:
    """Raises UsageError for what is no rule."""
    match = _RULE.fullmatch(text.strip())
    if not match or not math.isfinite(float(match["limit"])):
        raise UsageError(f"rule {text!r}: not a rule; write name>limit or name<limit, e.g. 'proxy.*.mape>+2%'")
    limit, relative, percent = float(match["limit"]), bool(match["relative"]), bool(match["percent"])
    return Rule(text, match["name"], match["sign"], limit, relative, percent)


def rules_of(version: Path) -> Diff:
    """What the version's spec says about comparing; the defaults where it says nothing. Raises UsageError for a damaged one."""
    return build(Diff, resolved(version).get("diff") or {}, "diff")
