"""What else is different between two versions: what was asked, with what it was computed, and on which processor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mico_runner import yaml_source
from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.json_files import read_object

ABSENT = "absent"
ENVIRONMENT = "environment.json"  # of a baseline, which has no manifest
PROCESSOR = ("processor", "kernels")
_LONGEST = 60  # characters of a value


@dataclass(frozen=True)
class Difference:
    """One key that is another in B.

    Attributes:
        of: "spec", "environment" or "processor".
        a, b: its values; "absent" where there is none.
    """

    of: str
    key: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"{self.key}: {short(self.a)} -> {short(self.b)}"


def differences(a: Path, b: Path) -> list[Difference]:
    """Of the spec, then of the environment and the processor; nothing of what one of the two does not say.

    Raises UsageError for a resolved spec that cannot be read.
    """
    found = _changed("spec", resolved(a), resolved(b))
    before, after = environment(a), environment(b)
    for of in ("environment", "processor"):
        sides = [{k: v for k, v in side.items() if (k in PROCESSOR) == (of == "processor")} for side in (before, after)]
        found += _changed(of, *sides)
    return found


def resolved(version: Path) -> dict[str, Any]:
    """The resolved spec; nothing where there is none. Raises UsageError for one that cannot be read."""
    path = version / "spec.resolved.yaml"
    if not path.exists():
        return {}
    data = yaml_source.read(path).data
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a resolved spec")
    return data


def environment(version: Path) -> dict[str, Any]:
    """What a run was computed with, "kernels" being the instruction sets that its steps' torch chose; nothing where nobody says it."""
    if (version / ENVIRONMENT).exists():
        return read_object(version / ENVIRONMENT, "environment")
    try:
        manifest = store.manifest(version)
    except UsageError:  # metrics alone can be compared, too
        return {}
    found = manifest.get("environment")
    if not isinstance(found, dict):
        return {}
    numerics = [step.get("numerics") for step in manifest["steps"].values()]
    torch = [each.get("torch") for each in numerics if isinstance(each, dict)]
    kernels = sorted({str(each.get("kernel")) for each in torch if isinstance(each, dict)})
    return {**found, "kernels": ", ".join(kernels)} if kernels else found


def _changed(of: str, before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    if not before or not after:
        return []
    old, new = flatten(before), flatten(after)
    keys: Iterable[str] = dict.fromkeys([*old, *new])
    sides = [(key, old.get(key, ABSENT), new.get(key, ABSENT)) for key in keys]
    return [Difference(of, key, a, b) for key, a, b in sides if a != b]


def flatten(value: Any, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists stay whole."""
    if not isinstance(value, dict) or (not value and prefix):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def short(value: Any, longest: int = _LONGEST) -> str:
    """A value on one line, cut at `longest` characters."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."
