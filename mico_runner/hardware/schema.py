"""The form of a device profile, as Cerberus rules."""

from typing import Any

from mico_runner.amounts import SIZE, SIZE_TEXT, in_bytes
from mico_runner.hardware import fpga, kinds
from mico_runner.hardware.architecture_schema import SCHEMA as ARCHITECTURE
from mico_runner.yaml_schema import Rules

_TEXT = {"type": "string", "minlength": 1, "meta": {"text": "text, not empty"}}

_SIZE: dict[str, Any] = {
    "anyof": [{"type": "integer", "min": 1}, {"type": "string", "regex": SIZE}],
    "coerce": in_bytes,
    "nullable": True,
    "default": None,
    "meta": {"text": f"a whole number, at least 1, or {SIZE_TEXT}"},
}
_RULES: dict[str, dict[str, Any]] = {
    "name": {
        "type": "string",
        "regex": "[a-z0-9][a-z0-9._-]*",
        "required": True,
        "meta": {"text": "lower-case letters, digits, '.', '_', '-'"},
    },
    "description": {"type": "string", "default": ""},
    "kind": {"type": "string", "required": True},
    "core": {"type": "string", "nullable": True, "default": None},
    "clock_hz": {"type": "number", "above": 0, "nullable": True, "default": None},
    "batch": {"type": "integer", "min": 1, "max": 65536, "default": 1},
    "flash_bytes": _SIZE,
    "ram_bytes": _SIZE,
    "latency_unit": {"type": "string", "allowed": ["cycles", "instructions", "ns"], "required": True},
    "weight_bits": {
        "type": "list",
        "schema": {"type": "number", "allowed": [1, 1.5, 2, 3, 4, 5, 6, 7, 8]},
        "minlength": 1,
        "distinct": True,
        "required": True,
    },
    "activation_bits": {
        "type": "list",
        "schema": {"type": "integer", "allowed": [1, 2, 3, 4, 5, 6, 7, 8]},
        "minlength": 1,
        "distinct": True,
        "required": True,
    },
    "parameters": {
        "type": "dict",
        "default": {},
        "keysrules": {"type": "string", "regex": "[a-z][a-z0-9_]*", "meta": {"text": "lower_case names"}},
        "valuesrules": {
            "type": "dict",
            "schema": {
                "value": {"type": "number", "required": True},
                "unit": {**_TEXT, "required": True},
                "source": {**_TEXT, "required": True},
            },
        },
        "meta": {"text": "a mapping of name: {value, unit, source}"},
    },
    "operating_points": {
        "type": "dict",
        "schema": {
            "points": {
                "type": "list",
                "minlength": 1,
                "schema": {
                    "type": "dict",
                    "schema": {
                        key: {"type": "number", "above": 0, "required": True} for key in ("volt", "hertz", "watt")
                    },
                },
                "required": True,
            },
            "source": {**_TEXT, "required": True},
            "assumed": {"type": "boolean", "default": False},
        },
        "nullable": True,
        "default": None,
        "meta": {"text": "a mapping of points (each {volt, hertz, watt}), source, assumed"},
    },
    "architecture": {"type": "dict", "schema": ARCHITECTURE, "nullable": True, "default": None},
    "sources": {
        "type": "dict",
        "default": {},
        "keysrules": {
            "type": "string",
            "allowed": ["clock_hz", "batch", "flash_bytes", "ram_bytes", "weight_bits", "activation_bits"],
        },
        "valuesrules": _TEXT,
        "meta": {"text": "a mapping of field: where its figure comes from"},
    },
}


def rules() -> Rules:
    """The rules, with the kinds and the cores that there are now: files of a user's own may add to them."""
    allowed = {"kind": sorted(["cpu", fpga.KIND, *kinds.accelerators()]), "core": kinds.cores()}
    return {key: {**rule, "allowed": allowed[key]} if key in allowed else rule for key, rule in _RULES.items()}
