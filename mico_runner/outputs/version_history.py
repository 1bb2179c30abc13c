"""The metrics of one spec, version by version: a table, lines of blocks, a drawing."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

from mico_runner.errors import UsageError, did_you_mean
from mico_runner.outputs import store
from mico_runner.outputs.comparison_forms import number, printable
from mico_runner.steps.base import Metric

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH, _HEIGHT, _MARGIN = 720, 150, 34  # of one drawing, in its units


@dataclass(frozen=True)
class Series:
    """A metric in every version, None where it is absent; unit and direction are those of the newest version that has it."""

    name: str
    unit: str
    direction: str
    values: tuple[float | None, ...]

    @property
    def line(self) -> str:
        """A block a version, the lowest value the lowest block."""
        known = [value for value in self.values if value is not None]
        low, span = min(known), max(known) - min(known)
        top = len(_BLOCKS) - 1
        return "".join(
            " " if v is None else _BLOCKS[round((v - low) / span * top) if span else top // 2] for v in self.values
        )


@dataclass(frozen=True)
class History:
    """Attributes: versions: names, oldest first; created: when, as their manifests say; "" where they do not."""

    versions: tuple[str, ...]
    created: tuple[str, ...]
    series: tuple[Series, ...]

    def to_table(self) -> str:
        """A line a version for up to six metrics, else a line a metric."""
        from tabulate import tabulate

        if len(self.series) > 6:
            rows = [[printable(s.name), *_ends(s.values), printable(s.unit), s.line] for s in self.series]
            head = ["metric", "first", "last", "unit", f"{self.versions[0]} to {self.versions[-1]}"]
            return tabulate(rows, head, disable_numparse=True, colalign=("left", "right", "right", "left", "left"))
        rows = [
            [version, when, *(number(series.values[i]) for series in self.series)]
            for i, (version, when) in enumerate(zip(self.versions, self.created, strict=True))
        ]
        rows += [
            ["", "", *(printable(series.unit) for series in self.series)],
            ["", "", *(series.line for series in self.series)],
        ]
        head = ["version", "created", *(printable(series.name) for series in self.series)]
        align = ("left", "left", *["right"] * len(self.series))
        return tabulate(rows, head, disable_numparse=True, colalign=align)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    def to_svg(self) -> str:
        """A drawing for each metric, one above the other; a point says its version and value to whoever points at it."""
        height = str(_HEIGHT * len(self.series))
        root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}")
        root.attrib |= {"font-family": "sans-serif", "font-size": "11"}
        for row, series in enumerate(self.series):
            group = ElementTree.SubElement(root, "g", transform=f"translate(0 {row * _HEIGHT})")
            _draw(group, series, self.versions)
        return ElementTree.tostring(root, encoding="unicode") + "\n"


def history(folder: Path, patterns: Sequence[str] = (), last: int | None = None) -> History:
    """What the metrics of a spec were in its versions.

    Args:
        folder: `<outputs>/<spec name>`.
        patterns: names, which may hold `*`; by default every metric that has a better side.
        last: the newest so many versions.

    Raises UsageError when there is no version, and for a pattern that no metric matches.
    """
    versions = store.versions(folder)[-last if last else 0 :]
    if not versions:
        known = sorted(p.name for p in folder.parent.iterdir() if store.versions(p)) if folder.parent.is_dir() else []
        near = did_you_mean(folder.name, known)
        raise UsageError(f"no version of {folder.name!r} in {folder.parent}{near} known: {', '.join(known) or 'none'}")
    found = [store.metrics(version) for version in versions]
    newest: dict[str, Metric] = {name: metric for metrics in found for name, metric in metrics.items()}
    names = sorted(newest)
    chosen = [n for n in names if newest[n].direction != "info"] if not patterns else matching(names, patterns)
    series = tuple(
        Series(name, newest[name].unit, newest[name].direction, tuple(_value(metrics.get(name)) for metrics in found))
        for name in chosen
    )
    return History(tuple(version.name for version in versions), tuple(map(_created, versions)), series)


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that a pattern matches, by pattern. Raises UsageError for a pattern that matches none."""
    chosen: dict[str, None] = {}
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            near = did_you_mean(pattern, names)
            raise UsageError(f"no metric matches {pattern!r}{near} known: {', '.join(names)}")
        chosen |= dict.fromkeys(found)
    return list(chosen)


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else metric.value


def _created(version: Path) -> str:
    try:
        return str(store.manifest(version).get("created", ""))
    except UsageError:  # metrics alone have a history, too
        return ""


def _ends(values: Sequence[float | None]) -> list[str]:
    return [number(values[0]), number(values[-1])]


def _draw(group: ElementTree.Element, series: Series, versions: Sequence[str]) -> None:
    def text(x: float, y: float, words: str, anchor: str = "start") -> None:
        ElementTree.SubElement(group, "text", {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor}).text = printable(
            words
        )

    known = [value for value in series.values if value is not None]
    low, high = min(known), max(known)
    better = f", {series.direction} is better" if series.direction != "info" else ""
    text(_MARGIN, 16, f"{series.name}, {series.unit}{better}")
    right, bottom = _WIDTH - 3 * _MARGIN, _HEIGHT - _MARGIN
    step = (right - _MARGIN) / max(1, len(versions) - 1)

    def place(i: int, value: float) -> tuple[float, float]:
        share = (value - low) / (high - low) if high > low else 0.5
        return _MARGIN + i * step, bottom - share * (bottom - _MARGIN)

    points = [(i, value, *place(i, value)) for i, value in enumerate(series.values) if value is not None]
    path = " ".join(f"{x:.1f},{y:.1f}" for *_, x, y in points)
    ElementTree.SubElement(group, "polyline", points=path, fill="none", stroke="black")
    for i, value, x, y in points:
        dot = ElementTree.SubElement(group, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3")
        ElementTree.SubElement(dot, "title").text = printable(f"{versions[i]}: {number(value)} {series.unit}")
    text(right + 8, place(0, high)[1] + 4, number(high))
    if low < high:
        text(right + 8, place(0, low)[1] + 4, number(low))
    text(_MARGIN, _HEIGHT - 12, versions[0])
    if len(versions) > 1:
        text(right, _HEIGHT - 12, versions[-1], "end")
