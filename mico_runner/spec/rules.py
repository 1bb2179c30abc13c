"""Shorthand for the Cerberus rules of one value.

In `meta`, `help` is what an editor shows; `text`, what an error calls allowed where the rules alone would not be clear; `schema`, the
rules of a mapping that is checked on its own; `removable`, that null removes an entry of the mapping, or all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mico_runner.amounts import SIZE, SIZE_TEXT, in_bytes

Rules = dict[str, Any]


def text(help_: str, **rules: Any) -> Rules:
    return {"type": "string", "meta": {"help": help_}, **rules}


def number(help_: str, kind: str = "number", **rules: Any) -> Rules:
    return {"type": kind, "meta": {"help": help_}, **rules}


def size(help_: str, allowed: str, *, above: float | None = None, **rules: Any) -> Rules:
    """A number that is `allowed`, as messages call it, or a size in bytes with its unit."""
    plain: Rules = {"type": "number"} if above is None else {"type": "number", "above": above}
    meta = {"help": help_, "text": f"{allowed}, or {SIZE_TEXT}"}
    return {"anyof": [plain, {"type": "string", "regex": SIZE}], "coerce": in_bytes, "meta": meta, **rules}


def choice(help_: str, names: list[Any], **rules: Any) -> Rules:
    return {"type": "string", "allowed": names, "meta": {"help": help_}, **rules}


def flag(help_: str) -> Rules:
    return {"type": "boolean", "default": False, "meta": {"help": help_}}


def items(help_: str, item: Rules, **rules: Any) -> Rules:
    return {"type": "list", "schema": item, "meta": {"help": help_}, **rules}


def section(help_: str, schema: dict[str, Rules], **rules: Any) -> Rules:
    return {"type": "dict", "schema": schema, **rules, "meta": {"help": help_, **rules.get("meta", {})}}


def optional(help_: str, schema: dict[str, Rules]) -> Rules:
    """A section that does not take part when it is absent or null."""
    return section(help_, schema, nullable=True, default=None)


def free(help_: str) -> Rules:
    """A mapping whose keys a plug-in defines."""
    return {"type": "dict", "default": {}, "meta": {"help": help_}}


def width(allowed: Sequence[float]) -> Rules:
    """One bit-width; 8.0 means 8, so that equal specs have equal fingerprints and kernels whole numbers."""
    return {"type": "number", "allowed": allowed, "coerce": lambda bits: int(bits) if bits == int(bits) else bits}


def bits(help_: str, allowed: Sequence[float], **rules: Any) -> Rules:
    """A list of bit-widths."""
    return items(help_, width(allowed), minlength=1, distinct=True, **rules)
