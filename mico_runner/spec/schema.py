"""The form of a spec, as Cerberus rules: sections, keys, types, bounds, defaults, and names from the registries.

`meta.help` is what `mico-run schema` tells an editor; `meta.text` is what an error calls allowed where the rules alone would not be clear.
A section that is absent, or null, does not take part in the run.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mico_runner.data import catalog
from mico_runner.models import MODELS
from mico_runner.profiling.samplers import SAMPLERS
from mico_runner.profiling.targets import TARGETS
from mico_runner.proxy import AUTO, FEATURES, REGRESSORS, STRATEGIES
from mico_runner.search import ALGORITHMS
from mico_runner.steps import STEPS
from mico_runner.validation import PROTOCOLS

Rules = dict[str, Any]

SPEC_VERSION = 1
WEIGHT_BITS = [1, 1.5, 2, 3, 4, 5, 6, 7, 8]  # 1.5 is ternary
ACTIVATION_BITS = [1, 2, 3, 4, 5, 6, 7, 8]
COSTS = ["latency", "flash_bytes", "ram_bytes", "bops"]
MAX_SEED = 2**32 - 1  # what torch and numpy both take
FILE_NAME = r"[^/\\\0][^\\\0]*"


def _text(help_: str, **rules: Any) -> Rules:
    return {"type": "string", "meta": {"help": help_}, **rules}


def _number(help_: str, kind: str = "number", **rules: Any) -> Rules:
    return {"type": kind, "meta": {"help": help_}, **rules}


def _choice(help_: str, names: list[Any], **rules: Any) -> Rules:
    return {"type": "string", "allowed": names, "meta": {"help": help_}, **rules}


def _flag(help_: str) -> Rules:
    return {"type": "boolean", "default": False, "meta": {"help": help_}}


def _list(help_: str, item: Rules, **rules: Any) -> Rules:
    return {"type": "list", "schema": item, "meta": {"help": help_}, **rules}


def _section(help_: str, schema: dict[str, Rules], **rules: Any) -> Rules:
    return {"type": "dict", "schema": schema, "meta": {"help": help_}, **rules}


def _optional(help_: str, schema: dict[str, Rules]) -> Rules:
    return _section(help_, schema, nullable=True, default=None)


def _free(help_: str) -> Rules:
    return {"type": "dict", "default": {}, "meta": {"help": help_}}


def _bits(help_: str, allowed: list[float], **rules: Any) -> Rules:
    return _list(help_, {"type": "number", "allowed": allowed}, minlength=1, distinct=True, **rules)


@cache
def sections() -> dict[str, Rules]:
    """The rules of every top-level key. Do not change what it returns."""
    return {
        "spec_version": _number("version of this form", "integer", allowed=[SPEC_VERSION], required=True),
        "name": {
            **_text("names the folder in outputs/", regex="[a-z0-9][a-z0-9._-]*", maxlength=100, required=True),
            "meta": {
                "help": "names the folder in outputs/",
                "text": "up to 100 lower-case letters, digits, '.', '_', '-', the first a letter or digit",
            },
        },
        "description": _text("for the report", default=""),
        "extends": {
            **_text("", regex=FILE_NAME, nullable=True, default=None),
            "meta": {"help": "spec to merge under this one", "text": "a relative path to a YAML file"},
        },
        "seed": _number("of everything random", "integer", min=0, max=MAX_SEED, default=0),
        "hardware": {
            "anyof": [{"type": "string", "minlength": 1}, {"type": "dict"}],
            "nullable": True,
            "default": None,
            "meta": {"help": "device", "text": "a name (see mico-run list hardware), a path to a YAML file, a mapping"},
        },
        "efficiency_curves": {
            "type": "string",
            "allowed": [],
            "nullable": True,
            "default": None,
            "meta": {"help": "reserved", "text": "null (no step reads efficiency curves)"},
        },
        "datasets": _section("what is learned from", _datasets(), default={}),
        "model": _optional("network and training", _model()),
        "evaluate": _optional("uniform bit-widths before the search", _evaluate()),
        "proxy": _optional("latency predictor", _proxy()),
        "quantization": _optional("post-training quantisation", _quantization()),
        "search": _optional("search over bits per layer", _search()),
        "codegen": _optional(
            "generated code",
            {
                "target": _choice("language", ["c"], default="c"),
                "runtime": _choice("what the program runs on", ["host"], default="host"),
            },
        ),
        "simulate": _optional("runs of the generated code", _simulate()),
        "profile": _optional("makes a kernel-latency profile", _profile()),
        "gates": {
            "type": "dict",
            "default": {},
            "keysrules": {
                "type": "string",
                "regex": r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+",
                "meta": {"text": "dotted metric names"},
            },
            "valuesrules": _section("", {"min": _number("at least"), "max": _number("at most")}, minlength=1),
            "meta": {"help": "limits of metrics: a broken one ends the run with exit code 3"},
        },
        "steps": _list(
            "default: every step whose section is present",
            {"type": "string", "allowed": STEPS.names()},
            minlength=1,
            distinct=True,
            nullable=True,
            default=None,
        ),
        "executor": _section(
            "where steps run",
            {
                "backend": _choice("scheduler", ["local"], default="local"),
                "jobs": _number("worker processes", "integer", min=1, max=1024, default=1),
            },
            default={},
        ),
    }


def _datasets() -> dict[str, Rules]:
    profile = _text("catalog name, or path of a CSV file", minlength=1)
    return {
        "task": _choice("images and labels", catalog.names("task"), nullable=True, default=None),
        "profile": _list("kernel latencies", profile, distinct=True, default=[]),
        "validation": _number("images held out of train", "integer", min=1, max=10**7, default=5000),
    }


def _model() -> dict[str, Rules]:
    train = {
        "epochs": _number("", "integer", min=1, max=100_000, default=5),
        "lr": _number("peak of the one-cycle schedule", above=0, max=100, default=1e-3),
        "batch_size": _number("", "integer", min=1, max=10**6, default=64),
        "weight_decay": _number("of AdamW", min=0, max=100, default=0.0),
        "shift": _number("pixels by which training images are moved at most", "integer", min=0, max=1024, default=0),
    }
    return {
        "name": _choice("network", MODELS.names(), required=True),
        "params": _free("of the network"),
        "train": _section("", train, default={}),
    }


def _evaluate() -> dict[str, Rules]:
    pair = _list("[weight bits, activation bits]", {"type": "number", "allowed": WEIGHT_BITS}, minlength=2, maxlength=2)
    return {
        "uniform_bits": _list(
            "pairs for the whole network; default: those of 8/8, 4/4, 2/2 that the hardware has",
            pair,
            minlength=1,
            nullable=True,
            default=None,
        )
    }


def _predictor(strategy: Rules) -> dict[str, Rules]:
    return {
        "strategy": strategy,
        "features": _choice("", [AUTO, *FEATURES.names()], default="cbops+"),
        "regressor": _choice("", [AUTO, *REGRESSORS.names()], default="xgb"),
        "params": _free("of the strategy"),
    }


def _proxy() -> dict[str, Rules]:
    strategies = [AUTO, *STRATEGIES.names()]
    candidate = _section("", _predictor(_choice("", strategies, required=True)))
    protocol = {"type": "string", "allowed": PROTOCOLS.names()}
    column = {"type": "string", "minlength": 1}
    validation = {
        "protocols": _list("", protocol, minlength=1, distinct=True, default=["in_sample", "kfold", "group_kfold"]),
        "group_by": {
            "anyof": [column, {"type": "list", "schema": column, "minlength": 1}],
            "default": "shape",
            "meta": {"help": "what no two folds share", "text": "shape, a column's name, or a list of them"},
        },
        "folds": _number("", "integer", min=2, max=1000, default=5),
    }
    return {
        **_predictor(_choice("", strategies, default="two_stage")),
        "compare": _list("further predictors, validated beside", candidate, default=[]),
        "validation": _section("", validation, default={}),
    }


def _quantization() -> dict[str, Rules]:
    weights = {
        "granularity": _choice("scales per", ["channel", "tensor"], default="channel"),
        "scale": _choice("how a scale is chosen", ["mse", "minmax"], default="mse"),
    }
    activations = {
        "calibration": _choice("", ["mse", "minmax", "percentile"], default="mse"),
        "percentile": _number("of calibration: percentile", above=50, max=100, default=99.9),
        "images": _number("calibration images", "integer", min=1, max=10**6, default=256),
    }
    return {"weights": _section("", weights, default={}), "activations": _section("", activations, default={})}


def _search() -> dict[str, Rules]:
    pinned = {
        "weight_bits": _number("", allowed=WEIGHT_BITS),
        "activation_bits": _number("", "integer", allowed=ACTIVATION_BITS),
    }
    space = {
        "weight_bits": _bits("tried for every layer", WEIGHT_BITS, default=[2, 4, 8]),
        "activation_bits": _bits("tried for every layer", ACTIVATION_BITS, default=[8]),
        "pinned": {
            "type": "dict",
            "default": {},
            "keysrules": {"type": "string", "minlength": 1},
            "valuesrules": _section("", pinned, minlength=1),
            "meta": {
                "help": "layers whose bits are fixed",
                "text": "a mapping of layer: {weight_bits, activation_bits}",
            },
        },
    }
    relative = _choice("", ["int8"], nullable=True, default=None)
    limit = _section(
        "a share of INT8's when relative_to is given",
        {"max": _number("", above=0, required=True), "relative_to": relative},
    )
    accuracy = {
        "max_drop": _number("points below relative_to", min=0, max=100),
        "min": _number("percent", min=0, max=100),
        "relative_to": _choice("", ["float", "int8"], default="float"),
    }
    budget = {
        "evaluations": _number("networks evaluated", "integer", min=1, max=10**7, default=200),
        "seconds": _number("", above=0, nullable=True, default=None),
    }
    constraints = {"accuracy": _section("", accuracy, minlength=1), **dict.fromkeys(COSTS, limit)}
    objective = {"type": "string", "allowed": ["accuracy", *COSTS]}
    algorithm = {"type": "string", "allowed": ALGORITHMS.names()}
    return {
        "space": _section("", space, default={}),
        "algorithm": _choice("", ALGORITHMS.names(), default="nsga2"),
        "params": _free("of the algorithm"),
        "objectives": _list(
            "most important first", objective, minlength=1, distinct=True, default=["accuracy", "latency"]
        ),
        "constraints": _section("", constraints, default={}),
        "budget": _section("", budget, default={}),
        "compare": _list("further algorithms at the same budget", algorithm, distinct=True, default=[]),
        "enumerate": _flag("evaluate the whole space, to know each algorithm's regret"),
    }


def _simulate() -> dict[str, Rules]:
    target = {"type": "string", "allowed": ["host", "bitfusion"]}
    return {
        "target": {
            "anyof": [target, {"type": "list", "schema": target, "minlength": 1, "distinct": True}],
            "default": "host",
            "meta": {"help": "where the network runs", "text": "host, bitfusion, or a list of them"},
        },
        "images": {
            "anyof": [{"type": "string", "allowed": ["all"]}, {"type": "integer", "min": 1}],
            "default": "all",
            "meta": {"help": "test images", "text": "all, or a whole number, at least 1"},
        },
        "sanitize": _flag("run once more under the address and undefined-behaviour sanitizers"),
    }


def _profile() -> dict[str, Rules]:
    size = {"type": "integer", "min": 1, "max": 10**6}
    span = _list("[lowest, highest]", size, minlength=2, maxlength=2, required=True)
    values = _list("the values themselves", size, minlength=1, distinct=True, required=True)
    linear = {"in_channels": span, "out_channels": span}
    kernels = {
        "conv2d": _section("", {**linear, "in_h": span, "kernel": values, "stride": values}),
        "linear": _section("", linear),
    }
    bits = {
        "weight": _bits("", WEIGHT_BITS, required=True),
        "activation": _bits("", ACTIVATION_BITS, required=True),
    }
    return {
        "target": _choice("where kernels are timed", TARGETS.names(), required=True),
        "sampler": _choice("which shapes", SAMPLERS.names(), default="lhs+corner"),
        "shapes": _number("shapes per kind of kernel", "integer", min=1, max=10**5, default=60),
        "bits": _section("every pair is timed", bits, required=True),
        "kernels": _section("ranges of the shapes", kernels, minlength=1, required=True),
        "repeats": _number("timings of one kernel, the median counts", "integer", min=1, max=10**5, default=5),
    }
