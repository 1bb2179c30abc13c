"""The part of an architecture that says where zeros are and what the array makes of them; docs/reference/array.md explains the keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mico_runner.yaml_schema import Problem
from mico_runner.yaml_source import Keys

SPARSE = ("weights", "inputs")  # operands that may have zeros; results are written whatever they are
_OPERANDS = {"type": "list", "schema": {"type": "string", "allowed": list(SPARSE)}, "distinct": True, "default": []}
_DENSITY = {
    "type": "dict",
    "schema": {
        "value": {"type": "number", "above": 0, "max": 1, "required": True},
        "unit": {"type": "string", "allowed": ["ratio"], "required": True},
        "source": {"type": "string", "minlength": 1, "required": True, "meta": {"text": "text, not empty"}},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "dict",
    "schema": {
        "density": {
            "type": "dict",
            "keysrules": {"type": "string", "allowed": list(SPARSE)},
            "valuesrules": _DENSITY,
            "minlength": 1,
            "required": True,
            "meta": {"text": "a mapping of weights, inputs: the share that is not zero"},
        },
        "compressed": {
            "type": "dict",
            "keysrules": {"type": "string"},
            "valuesrules": _OPERANDS,
            "default": {},
            "meta": {"text": "a mapping of memory: operands"},
        },
        "skips": _OPERANDS,
        "gates": _OPERANDS,
    },
}


class Fail(Protocol):
    """Makes a problem of keys below the architecture."""

    def __call__(self, keys: Keys, text: str, of_key: bool = False) -> Problem: ...


@dataclass(frozen=True)
class Zeros:
    """Sparsity of an array's operands.

    Attributes:
        density: (operand, share that is not zero).
        compressed: (memory, operand) held without zeros.
        skips, gates: operands whose zeros cost neither time nor energy, and no energy.
    """

    density: tuple[tuple[str, float], ...]
    compressed: tuple[tuple[str, str], ...]
    skips: tuple[str, ...]
    gates: tuple[str, ...]


def parse(data: Mapping[str, Any]) -> Zeros:
    """The description as numbers; `data` has passed the schema and has no `problems`."""
    return Zeros(
        tuple((name, float(figure["value"])) for name, figure in data["density"].items()),
        tuple((memory, name) for memory, names in data.get("compressed", {}).items() for name in names),
        tuple(data.get("skips", [])),
        tuple(data.get("gates", [])),
    )


def problems(data: Mapping[str, Any], memories: list[Mapping[str, Any]], fail: Fail) -> Iterator[Problem]:
    """What does not go together."""
    homes = {memory["name"]: memory["keeps"] for memory in memories}
    at: Keys = ("sparsity",)
    for memory, names in data.get("compressed", {}).items():
        if memory not in homes:
            yield fail((*at, "compressed", memory), f"unknown memory; allowed: {', '.join(homes)}", True)
            continue
        for i, name in enumerate(names):
            if name not in homes[memory]:
                text = f"found {name}, which {memory} does not keep; allowed: {', '.join(homes[memory])}"
                yield fail((*at, "compressed", memory, i), text, False)
    for key in ("skips", "gates"):
        for i, name in enumerate(data.get(key, [])):
            if name not in data["density"]:
                yield fail(
                    (*at, key, i),
                    f"found {name}; allowed: operands with a density: {', '.join(data['density'])}",
                    False,
                )
    for i, name in enumerate(data.get("skips", [])):
        inner = [memory for memory, kept in homes.items() if name in kept][-1:]
        if inner and name not in data.get("compressed", {}).get(inner[0], []):
            text = f"found {name}, whose zeros are read: {inner[0]} holds them; allowed: operands compressed in their innermost memory"
            yield fail((*at, "skips", i), text, False)
    if any(memory.get("network") for memory in memories):
        yield fail(
            at, "found one beside networks, whose traffic is not scaled; allowed: memories without network", True
        )
