"""Files of figures (JSON, YAML) that somebody else may have written: read without trust, every number checked where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mico_runner.data.files import read_text
from mico_runner.errors import UsageError
from mico_runner.yaml_schema import show


def load(path: Path) -> Any:
    """The data of a JSON file, or a YAML file by any other suffix. Raises UsageError naming the file, and the line where it is known."""
    import yaml

    text = read_text(path)
    try:
        if path.suffix == ".json":
            return json.loads(text, object_pairs_hook=_without_repetition)
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}:{error.colno}: cannot be read as JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{path}: cannot be read: nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise UsageError(f"{place}: cannot be read as YAML: {error.problem or error.context}") from None
    except (ValueError, TypeError, OverflowError, yaml.YAMLError) as error:
        what = "JSON" if path.suffix == ".json" else "YAML"
        raise UsageError(f"{path}: cannot be read as {what}: {' '.join(str(error).split())}") from None


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found


def number(where: str, value: Any, low: float, high: float) -> float:
    """The value, when it is a number in the range. Raises UsageError that begins with `where`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise UsageError(f"{where}: found {show(value)}; allowed: a number from {low:g} to {high:g}")
    return value


def numbers(where: str, values: Any, low: float, high: float) -> list[float]:
    """The values, when they are a list of such numbers, not empty."""
    if not isinstance(values, list) or not values:
        raise UsageError(f"{where}: found {show(values)}; allowed: a list of numbers, not empty")
    return [number(f"{where}[{i}]", value, low, high) for i, value in enumerate(values)]


def mapping(where: str, value: Any, *keys: str) -> Mapping[str, Any]:
    """The value, when it is a mapping that has the keys."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{where}: found {show(value)}; allowed: a mapping{' of ' + ', '.join(keys) if keys else ''}")
    missing = [key for key in keys if key not in value]
    if missing:
        raise UsageError(
            f"{where}: {missing[0]} is missing; found {', '.join(value) or 'an empty mapping'}; needed: {', '.join(keys)}"
        )
    return value
