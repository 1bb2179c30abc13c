"""JSON of versions, read strictly: it may have been written by others, and a comparison must not rest on what only looks right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mico_runner.errors import UsageError


def read_text(path: Path) -> str:
    """Text of a regular file. Raises UsageError when it is missing or cannot be read; never waits, as for a FIFO."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: no regular file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path.parent} is not a version or baseline: no {path.name}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def read_object(path: Path, what: str) -> dict[str, Any]:
    """A JSON object. Raises UsageError as `read_text` does, for anything else, and for a key that is there twice."""
    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=_once)
        if not isinstance(content, dict):
            raise ValueError(f"found {kind(content)}; allowed: an object")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a {what} file ({error})") from None
    return content


def kind(value: Any) -> str:
    """What JSON calls a value."""
    return {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return found
