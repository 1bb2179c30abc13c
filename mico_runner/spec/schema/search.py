"""Which bits are tried, under which limits."""

from __future__ import annotations

from mico_runner.models import MODELS
from mico_runner.quant.rounding import ROUNDINGS
from mico_runner.search import ALGORITHMS
from mico_runner.spec.rules import Rules, bits, choice, flag, free, items, number, section, size, width
from mico_runner.spec.schema.values import ACCURACY, ACTIVATION_BITS, COSTS, QUALITY, WEIGHT_BITS


def search() -> dict[str, Rules]:
    risk = number("probability that the limit is kept", min=0.5, max=0.99, nullable=True, default=None)
    quality = {
        "max_drop": number("points by which it may be worse than relative_to", min=0),
        "min": number("of a quality of which more is better, such as accuracy: in its unit, percent"),
        "max": number("of a quality of which less is better, such as an error: in its unit"),
        "relative_to": choice("", ["float", "int8"], default="float"),
    }
    budget = {
        "evaluations": number("networks evaluated", "integer", min=1, max=10**7, default=200),
        "seconds": number("", above=0, nullable=True, default=None),
    }
    limits = {**_limits(COSTS), "latency": _limit(risk=risk)}
    of_classification = section("", quality, minlength=1, meta={"same_as": QUALITY})
    constraints = {QUALITY: section("", quality, minlength=1), ACCURACY: of_classification, **limits}
    objective = {"type": "string", "allowed": [QUALITY, ACCURACY, *COSTS]}
    algorithm = {"type": "string", "allowed": ALGORITHMS.names()}
    return {
        "space": section("", _space(), default={}),
        "algorithm": choice("", ALGORITHMS.names(), default="auto"),
        "params": free("of the algorithm"),
        "objectives": items(
            "most important first", objective, minlength=1, distinct=True, default=[QUALITY, "latency"]
        ),
        "constraints": section("", constraints, default={}, meta={"removable": True}),
        "budget": section("", budget, default={}),
        "compare": items("further algorithms at the same budget", algorithm, distinct=True, default=[]),
        "enumerate": flag("evaluate the whole space, to know each algorithm's regret"),
        "choice": choice(
            "best, or the best in the next objectives of those within a standard error of it",
            ["best", "one-standard-error"],
            default="best",
        ),
        "rounding": choice(
            "of weights while bits are searched; null: quantization.weights.rounding",
            ROUNDINGS.names(),
            nullable=True,
            default=None,
        ),
    }


def allocate() -> dict[str, Rules]:
    size = {"type": "integer", "min": 1, "max": 10**5}
    costs = ["energy", "latency", "flash_bytes"]
    return {
        "network": choice("network", MODELS.names(), required=True),
        "params": free("of the network"),
        "input": items("[channels, height, width]", size, minlength=3, maxlength=3, required=True),
        "classes": number("", "integer", min=1, max=10**6, default=1000),
        "space": section("", _space(), default={}),
        "constraints": section("", _limits(costs), default={}, meta={"removable": True}),
        "over": choice("cost that the front runs over", costs, default="energy"),
        "points": number("of the front", "integer", min=2, max=1000, default=20),
    }


def _space() -> dict[str, Rules]:
    pinned = {
        "weight_bits": width(WEIGHT_BITS),
        "activation_bits": width(ACTIVATION_BITS),
    }
    return {
        "weight_bits": bits("tried for every layer", WEIGHT_BITS, default=[2, 4, 8]),
        "activation_bits": bits("tried for every layer", ACTIVATION_BITS, default=[8]),
        "pinned": {
            "type": "dict",
            "default": {},
            "keysrules": {"type": "string", "minlength": 1},
            "valuesrules": section("", pinned, minlength=1),
            "meta": {
                "help": "layers whose bits are fixed",
                "text": "a mapping of layer: {weight_bits, activation_bits}",
                "removable": True,
            },
        },
    }


def _limits(costs: list[str]) -> dict[str, Rules]:
    """Of memory in bytes, or as a size with its unit."""
    in_memory = _limit(max=size("", "a number above 0", above=0, required=True))
    return {cost: in_memory if cost.endswith("_bytes") else _limit() for cost in costs}


def _limit(**more: Rules) -> Rules:
    relative = choice("", ["int8"], nullable=True, default=None)
    largest = {"max": number("", above=0, required=True), "relative_to": relative}
    return section("a share of INT8's when relative_to is given", largest | more)
