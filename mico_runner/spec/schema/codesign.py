"""Rules of the section `codesign`."""

from __future__ import annotations

from mico_runner.codesign.names import HEURISTIC_NAMES
from mico_runner.models import MODELS
from mico_runner.spec.rules import Rules, flag, free, items, number, optional, section, text
from mico_runner.spec.schema.values import ACTIVATION_BITS

_ABOVE_0: Rules = {"type": "number", "above": 0, "max": 1e6}


def codesign() -> dict[str, Rules]:
    return {
        "tables": optional("layers whose costs stand in tables", _tables()),
        "engines": optional("of an FPGA: products side by side, and buffers, that an engine may have", _engines()),
        "mappings": optional("of each layer on the device as it is", _mappings()),
        "vary": {
            "type": "dict",
            "nullable": True,
            "default": None,
            "minlength": 1,
            "keysrules": {
                "type": "string",
                "regex": r"(architecture|parameters)(\.[a-z][a-z0-9_]*)+",
                "meta": {"text": "dotted keys of the device, such as architecture.rows or parameters.rows"},
            },
            "meta": {
                "help": "dotted keys of the device -> values, every combination of which is a design",
                "text": "a mapping of keys such as architecture.rows or parameters.rows",
            },
        },
        "energy_by_size": flag("energies of a hierarchy's memories whose size varies follow it"),
        "networks": {
            "type": "dict",
            "default": {},
            "keysrules": {"type": "string", "allowed": MODELS.names()},
            "valuesrules": section("", _network()),
            "meta": {"help": "networks of the zoo", "text": "a mapping of name: {input, classes, params}"},
        },
        "bits": section("that are tried for every layer, or engine", _bits(), default={}),
        "objectives": items(
            "minimised, each for itself",
            {"type": "string", "allowed": ["cycles", "energy", "edp"]},
            minlength=1,
            distinct=True,
            default=["cycles"],
        ),
        "limits": section(
            "shares of what the device itself takes",
            {name: {**_ABOVE_0, "nullable": True, "default": None} for name in ("area", "elements", "memory")},
            default={},
        ),
        "certificate": section(
            "when the search may end",
            {
                "gap": number("share by which a design that is left out may be better", min=0, max=1, default=0.0),
                "designs": number(
                    "most that are mapped; null: any number", "integer", min=1, max=10**6, nullable=True, default=None
                ),
            },
            default={},
        ),
        "compare": items(
            "heuristics beside the exact search",
            {"type": "string", "allowed": list(HEURISTIC_NAMES)},
            distinct=True,
            default=list(HEURISTIC_NAMES),
        ),
        "evaluations": number("of each heuristic", "integer", min=100, max=10**7, default=5000),
    }


def _engines() -> dict[str, Rules]:
    whole = {"type": "integer", "min": 1, "max": 10**6}
    return {
        name: items(text_, whole, minlength=1, distinct=True, required=True)
        for name, text_ in {
            "channels": "products side by side along input channels",
            "filters": "along filters",
            "pixels": "along pixels of the output",
            "weight_kib": "KiB of the buffer of weights, of which there are two",
        }.items()
    }


def _mappings() -> dict[str, Rules]:
    return {
        "budgets": items(
            "mappings that are seen, one number after the other, until the gap is small enough",
            {"type": "integer", "min": 1, "max": 10**8},
            minlength=1,
            default=[20_000, 320_000, 5_000_000],
        ),
        "gap": number("share by which another mapping may be better", min=0, max=1, default=0.0),
    }


def _network() -> dict[str, Rules]:
    size = {"type": "integer", "min": 1, "max": 10**5}
    return {
        "input": items("[channels, height, width]", size, minlength=3, maxlength=3, required=True),
        "classes": number("", "integer", min=1, max=10**6, default=1000),
        "params": free("of the network"),
    }


def _bits() -> dict[str, Rules]:
    one = {"type": "integer", "allowed": ACTIVATION_BITS}
    return {
        "weight_bits": items("", one, minlength=1, distinct=True, default=[8]),
        "activation_bits": items("", one, minlength=1, distinct=True, default=[8]),
        "noise_of": items(
            "[weight bits, activation bits] of every layer whose quantisation noise is the most allowed",
            one,
            minlength=2,
            maxlength=2,
            default=[8, 8],
        ),
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
