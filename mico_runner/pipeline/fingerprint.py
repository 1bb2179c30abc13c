"""What a step's result depends on, as one hash, and in words when it changed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from mico_runner.outputs.differences import ABSENT, flatten, short

SOURCES, LIBRARIES = "sources.", "libraries."  # of the inputs that the pipeline adds to a step's own
_HASH = re.compile(r"[0-9a-f]{16,64}")


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal data give equal text.

    Raises ValueError for NaN and infinities, TypeError for what JSON does not know.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(step: str, version: int, inputs: dict[str, object], upstream: dict[str, str]) -> str:
    """Hash of a step's name, VERSION, inputs and the fingerprints of the steps it reads from; 32 hex digits."""
    content = canonical({"step": step, "version": version, "inputs": inputs, "upstream": upstream})
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def difference(before: dict[str, object], after: dict[str, object]) -> str:
    """The first changed inputs in words: "proxy.regressor: xgb -> rf, and 2 more"; "" when nothing changed.

    What a spec says comes before the source files; of a hash only that it is another one is said: "models/lenet.py changed".
    """
    old, new = flatten(json.loads(canonical(before))), flatten(json.loads(canonical(after)))
    changed = [key for key in old.keys() | new.keys() if old.get(key, ABSENT) != new.get(key, ABSENT)]
    if not changed:
        return ""
    key = min(changed, key=lambda key: (key.startswith(SOURCES), key))
    more = f", and {len(changed) - 1} more" if len(changed) > 1 else ""
    return _change(key, old.get(key, ABSENT), new.get(key, ABSENT)) + more


def _change(key: str, before: Any, after: Any) -> str:
    if key.startswith(SOURCES):
        name = key.removeprefix(SOURCES)
        return f"now uses {name}" if before == ABSENT else f"{name} {'is not used' if after == ABSENT else 'changed'}"
    name = key.removeprefix(LIBRARIES)
    if _HASH.fullmatch(str(before)) and _HASH.fullmatch(str(after)):
        return f"{name} changed"
    return f"{name}: {short(before, 40)} -> {short(after, 40)}"
