"""Rules of the section `codesign`."""

from __future__ import annotations

from mico_runner.codesign.names import HEURISTIC_NAMES
from mico_runner.spec.rules import Rules, items, number, optional, section, text


def codesign() -> dict[str, Rules]:
    return {
        "tables": optional("layers whose costs stand in tables", _tables()),
        "compare": items(
            "heuristics beside the exact search",
            {"type": "string", "allowed": list(HEURISTIC_NAMES)},
            distinct=True,
            default=list(HEURISTIC_NAMES),
        ),
        "evaluations": number("of each heuristic", "integer", min=100, max=10**7, default=5000),
    }


def _tables() -> dict[str, Rules]:
    path = text("catalog name, or path of a CSV file", minlength=1)
    column = {"type": "string", "minlength": 1}
    network = {
        "costs": items("a row per layer and choice; of several tables every layer takes one", path, minlength=1)
        | {"required": True},
        "layers": {**text("the network's layers in their order", minlength=1), "required": True},
    }
    return {
        "networks": {
            "type": "dict",
            "minlength": 1,
            "required": True,
            "keysrules": {
                "type": "string",
                "regex": r"[A-Za-z0-9_-]+",
                "meta": {"text": "letters, digits, '_', '-'"},
            },
            "valuesrules": section("", network),
            "meta": {"help": "networks by name", "text": "a mapping of name: {costs, layers}"},
        },
        "choices": items("columns that say what is chosen", column, minlength=1, distinct=True, required=True),
        "objectives": items("columns that are minimised", column, minlength=1, distinct=True, required=True),
        "resources": items("columns that a budget limits", column, minlength=1, distinct=True, required=True),
        "shares": items(
            "of the way from the least to the most that a uniform corner design takes",
            number("", min=0, max=1),
            minlength=1,
            distinct=True,
            required=True,
        ),
    }
