"""Sections of a spec in words, whatever they hold: for those that no other part of a report speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mico_runner.outputs.report.tables import number

SHOWN = 8  # entries of a list or a mapping


def words(value: Any) -> str:
    """A section, a list or a value as a line: null, false and empty ones are left out, long lists are cut, files are called by their names.

    {"target": "rtl", "bits": {"weight": [2, 8]}, "seed": None} -> "target rtl; bits (weight 2, 8)"
    """
    if isinstance(value, Mapping):
        entries = [_entry(key, item) for key, item in value.items() if not _absent(item)]
        return _cut(entries, "; ")
    if isinstance(value, list | tuple):
        inside = (Mapping, list, tuple)
        return _cut([f"({words(item)})" if isinstance(item, inside) else words(item) for item in value], ", ")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    text = str(value)
    return PurePath(text).name if text.startswith("/") else text


def _entry(key: str, item: Any) -> str:
    name = str(key).replace("_", " ")
    if item is True:
        return name
    return f"{name} ({words(item)})" if isinstance(item, Mapping) else f"{name} {words(item)}"


def _absent(item: Any) -> bool:
    if isinstance(item, Mapping):
        return all(map(_absent, item.values()))
    return item is None or item is False or item in ([], (), "")


def _cut(entries: list[str], between: str) -> str:
    more = len(entries) - SHOWN
    return between.join(entries[:SHOWN]) + (f" and {more} more" if more > 0 else "")
