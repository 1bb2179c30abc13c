"""A comparison of two versions as text: for a terminal, a pull request, a machine, a CI."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from mico_runner.outputs.differences import Difference

if TYPE_CHECKING:
    from mico_runner.outputs.comparison import Diff, Row

_HEAD = ["metric", "A", "B", "change", "unit", "better", "tolerance", "verdict"]
_ALIGN = ("left", "right", "right", "right", *["left"] * 4)
_WORDS = {
    "gone": "gone",
    "better": "better",
    "changed": "changed",
    "new": "new",
    "same": "the same",
    "volatile": "measured, not judged",
    "noise": "within the noise",
}
_MOST = 6  # differences of one kind that a table names


def table(diff: Diff, everything: bool) -> str:
    """For a terminal: what else is different, the count in words, the metrics that changed, the worst first."""
    parts = [printable(line) for line in _about(diff, None if everything else _MOST)]
    parts += ["", *_summary(diff)] if parts else _summary(diff)
    rows = diff.shown(everything)
    return "\n".join([*parts, "", _grid(rows, "simple")] if rows else parts)


def markdown(diff: Diff, everything: bool) -> str:
    """A GitHub table with a headline; what else is different is folded."""
    head, *rest = _summary(diff)
    parts = [f"**{head}**" + "".join(f"; {as_markdown(line)}" for line in rest)]
    if diff.differences:
        lines = "\n".join(f"- {as_markdown(line)}" for line in _about(diff, None))
        parts.append(f"<details><summary>other differences</summary>\n\n{lines}\n\n</details>")
    rows = diff.shown(everything)
    return "\n\n".join([*parts, _grid(rows, "github")] if rows else parts)


def as_json(diff: Diff) -> str:
    """Every row, every number finite."""
    content = {
        "regressions": [row.name for row in diff.regressions],
        "counts": diff.counts,
        "differences": [asdict(each) for each in diff.differences],
        "idle_rules": list(diff.idle),
        "rows": [{**asdict(row), "change": row.change} for row in diff.rows],
    }
    return json.dumps(content, indent=1, allow_nan=False)


def github(diff: Diff, name: str) -> str:
    """Annotations of GitHub Actions, one a regression. Source: https://docs.github.com/actions, "Workflow commands"."""
    lines = [f"::error title={_property(f'{name}: {row.name}')}::{_data(_sentence(row))}" for row in diff.regressions]
    for of, count in Counter(each.of for each in diff.differences).items():
        said = "; ".join(str(each) for each in diff.differences if each.of == of)
        lines.append(f"::notice title={_property(f'{name}: {count} differences of the {of}')}::{_data(said)}")
    return "\n".join(lines)


def junit(diff: Diff, name: str) -> str:
    """JUnit's XML: a test case for each metric, failed where it is a regression, skipped where nothing judges it."""
    failed = {row.name for row in diff.regressions}
    suite = ElementTree.Element(
        "testsuite", name=printable(name), tests=str(len(diff.rows)), failures=str(len(failed)), errors="0"
    )
    for row in diff.rows:
        case = ElementTree.SubElement(suite, "testcase", classname=printable(name), name=printable(row.name))
        if row.name in failed:
            said = printable(_sentence(row))
            ElementTree.SubElement(case, "failure", message=said, type=row.verdict).text = said
        elif row.verdict in ("volatile", "new"):
            ElementTree.SubElement(case, "skipped", message=_WORDS[row.verdict])
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode") + "\n"


def _summary(diff: Diff) -> list[str]:
    """In words: the regressions, then all else if there is any."""
    count = len(diff.regressions)
    head = f"{count} regression{'s' if count != 1 else ''}" if count else "No regressions"
    rest = ", ".join(f"{count} {_WORDS[verdict]}" for verdict, count in diff.counts.items())
    idle = [f"judging no metric: {printable(', '.join(diff.idle))}"] if diff.idle else []
    return [head, *([rest] if rest else []), *idle]


def _about(diff: Diff, most: int | None) -> list[str]:
    """The other differences, a line each kind or, with `most`, no more than so many of it."""
    kinds: dict[str, list[Difference]] = {}
    for each in diff.differences:
        kinds.setdefault(each.of, []).append(each)
    lines = []
    for of, found in kinds.items():
        lines += [f"{of}: {each}" for each in found[:most]]
        if most is not None and len(found) > most:
            lines.append(f"{of}: {len(found) - most} more differences (--all shows them)")
    return lines


def _grid(rows: list[Row], style: str) -> str:
    from tabulate import tabulate

    body = [
        [
            r.name,
            number(r.a),
            number(r.b),
            _change(r),
            r.unit,
            "" if r.direction == "info" else r.direction,
            _tolerance(r),
            r.rule or r.verdict,
        ]
        for r in rows
    ]
    escape = as_markdown if style == "github" else printable
    cells = [[escape(cell) for cell in row] for row in body]
    return tabulate(cells, _HEAD, tablefmt=style, disable_numparse=True, colalign=_ALIGN)


def _sentence(row: Row) -> str:
    if row.b is None:
        return f"{row.name} was {number(row.a)} {row.unit} and is {row.rule or row.verdict}"
    of = f"{number(row.a)} -> " if row.a is not None else ""
    change = f", {_change(row)}" if _change(row) else ""
    return f"{row.name}: {of}{number(row.b)} {row.unit}{change}: {row.rule or row.verdict}"


def number(value: float | None) -> str:
    """At most six digits of a float, all of a whole number; nothing for None."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _change(row: Row) -> str:
    if row.change is None or row.verdict == "same":
        return ""
    percent = f" ({row.change / abs(float(row.a)) * 100:+.2f} %)" if row.a else ""
    noise = f" ±{row.noise:.2g}" if row.noise is not None else ""
    return f"{row.change:+.5g}{noise}{percent}"


def _tolerance(row: Row) -> str:
    return "" if row.direction == "info" or not row.tolerance else f"±{row.tolerance}"


def printable(text: str) -> str:
    """On one line, and nothing that a terminal obeys."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_markdown(text: str) -> str:
    """As the cell of a GitHub table that shows the text as it is."""
    return re.sub(r"([\\|`*\[\]~])", r"\\\1", printable(text)).replace("&", "&amp;").replace("<", "&lt;")


def _data(text: str) -> str:
    """As the message of a workflow command."""
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
