"""The form of an array's description, as Cerberus rules; docs/reference/array.md explains the keys.

Every figure is {value, unit, source}.
"""

from __future__ import annotations

from typing import Any

from mico_runner.hardware import zeros

OPERANDS = ("weights", "inputs", "outputs")
DATAFLOW_NAMES = ("weight_stationary", "output_stationary", "input_stationary", "row_stationary", "free")
MAC_KINDS = ("bit_parallel", "bit_serial", "fused")
OBJECTIVES = ("cycles", "energy", "edp")

SIZES = {"bits": 1, "bytes": 8, "KiB": 8 * 1024, "MiB": 8 * 1024**2}
SPEEDS = {"bits per cycle": 1, "bytes per cycle": 8}
_TEXT = {"type": "string", "minlength": 1, "required": True, "meta": {"text": "text, not empty"}}


# No device is near these; they keep a slip of the pen from overflowing cycles and energies.
_MOST, _MOST_WHOLE, _SLOWEST = 1e12, 10**6, 1e-6


def _figure(units: tuple[str, ...], whole: bool = False, **rules: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "number", "max": _MOST, **(rules or {"above": 0})}
    if whole:
        value = {"type": "integer", "min": 1, "max": _MOST_WHOLE}
    schema = {
        "value": {**value, "required": True},
        "unit": {"type": "string", "allowed": list(units), "required": True},
    }
    return {"type": "dict", "schema": {**schema, "source": _TEXT}}


_COUNT, _BITS = _figure(("elements",), whole=True), _figure(("bits",), whole=True)
_SIZE, _SPEED = _figure(tuple(SIZES)), _figure(tuple(SPEEDS), min=_SLOWEST)
_ACCESS = _figure(("pJ per access", "pJ per bit"), min=0)
_AREA = _figure(("um2",))
_MEMORY_AREA = _figure(("um2", "um2 per bit"))
WAYS = {"read": _SPEED, "write": _SPEED, "shared": _SPEED}
_FEED = {
    "bandwidth": _SPEED,
    "overlapped": {"type": "boolean", "default": True},
    "shared": {"type": "boolean", "default": False},
    "energy": _figure(("pJ per bit",), min=0),
}
_MEMORY = {
    "name": {
        "type": "string",
        "regex": "(?!(mac|network|energy)$)(?!.*_network$)[a-z][a-z0-9_]*",  # these are columns of the trace
        "required": True,
        "meta": {"text": "a lower_case name, not mac, network, energy, nor one that ends in _network"},
    },
    "per": {"type": "string", "allowed": ["chip", "element"], "required": True},
    "beside": {"type": "boolean", "default": False},
    "keeps": {
        "type": "list",
        "schema": {"type": "string", "allowed": list(OPERANDS)},
        "minlength": 1,
        "distinct": True,
        "required": True,
    },
    "size": _SIZE,
    "double_buffered": {"type": "boolean", "default": False},
    "width": _BITS,
    "bandwidth": {"type": "dict", "schema": WAYS, "default": {}},
    "energy": {**_ACCESS, "required": True},
    "write_energy": _ACCESS,
    "area": _MEMORY_AREA,
    "network": {
        "type": "dict",
        "keysrules": {"type": "string", "allowed": list(OPERANDS)},
        "valuesrules": {"type": "dict", "schema": _FEED},
        "default": {},
    },
}
SCHEMA: dict[str, dict[str, Any]] = {
    "rows": {**_COUNT, "required": True},
    "columns": {**_COUNT, "required": True},
    "dataflow": {"type": "string", "allowed": list(DATAFLOW_NAMES), "required": True},
    "objective": {"type": "string", "allowed": list(OBJECTIVES), "required": True},
    "mappings": {"type": "integer", "min": 1, "max": 10**8, "default": 100_000},
    "mac": {
        "type": "dict",
        "schema": {
            "kind": {"type": "string", "allowed": list(MAC_KINDS), "required": True},
            "bits": {**_BITS, "required": True},
            "granularity": _BITS,
            "energy": {**_figure(("pJ",), min=0), "required": True},
            "area": _AREA,
        },
        "required": True,
    },
    "accumulator_bits": {**_BITS, "required": True},
    "output_bits": {**_BITS, "required": True},
    "sparsity": zeros.SCHEMA,
    "memories": {"type": "list", "schema": {"type": "dict", "schema": _MEMORY}, "minlength": 2, "required": True},
}
