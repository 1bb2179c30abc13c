"""Kernel profiles, latency predictors, the calibration of a machine."""

from __future__ import annotations

from mico_runner import hardware
from mico_runner.calibration.cases import BYTES, CURVE_SHAPES, NETWORK_NAMES, OPERATIONS, OWN_NETWORK, registered
from mico_runner.ops.families import FAMILIES
from mico_runner.profiling.samplers import CHOICES, SAMPLERS, SPANS
from mico_runner.proxy import AUTO, FEATURES, REGRESSORS, STRATEGIES
from mico_runner.spec.rules import Rules, bits, choice, free, items, number, optional, section, text
from mico_runner.spec.schema.values import ACTIVATION_BITS, WEIGHT_BITS, seed
from mico_runner.targets import TARGETS
from mico_runner.validation import PROTOCOLS

CURVES: dict[str, Rules] = {
    "fit": section(
        "fitted to measurements, the best of the shapes by cross-validation",
        {
            "shapes": items(
                "shapes of the curve that are tried",
                {"type": "string", "allowed": list(CURVE_SHAPES)},
                minlength=1,
                distinct=True,
                default=list(CURVE_SHAPES),
            ),
            "folds": number("of the cross-validation", "integer", min=2, max=1000, default=5),
            "smooth": number(
                "p of the p-norm of compute and memory time; null: the larger of both",
                min=1,
                max=100,
                nullable=True,
                default=None,
            ),
        },
        required=True,
    )
}


def proxy() -> dict[str, Rules]:
    candidate = section("", _predictor(choice("", STRATEGIES.names(), required=True)))
    protocol = {"type": "string", "allowed": PROTOCOLS.names()}
    column = {"type": "string", "minlength": 1}
    validation = {
        "protocols": items("", protocol, minlength=1, distinct=True, default=["in_sample", "kfold", "group_kfold"]),
        "group_by": {
            "anyof": [column, {"type": "list", "schema": column, "minlength": 1}],
            "default": "shape",
            "meta": {"help": "what no two folds share", "text": "shape, a column's name, or a list of them"},
        },
        "folds": number("", "integer", min=2, max=1000, default=5),
    }
    curve = {
        "rows": items("sizes of the profile", number("", "integer", min=2, max=10**6), minlength=1, required=True),
        "repeats": number("draws per size", "integer", min=1, max=100, default=5),
    }
    return {
        **_predictor(choice("", STRATEGIES.names(), default=AUTO)),
        "compare": items("further predictors, validated beside", candidate, default=[]),
        "learning_curve": optional("error against profiled rows: random, lhs, adaptive", curve),
        "validation": section("", validation, default={}),
        "seed": seed("of the folds and of predictors that draw"),
    }


def _predictor(strategy: Rules) -> dict[str, Rules]:
    return {
        "strategy": strategy,
        "features": choice("", [AUTO, *FEATURES.names()], default=AUTO),
        "regressor": choice("", [AUTO, *REGRESSORS.names()], default=AUTO),
        "params": free("of the strategy"),
    }


def profile() -> dict[str, Rules]:
    size = {"type": "integer", "min": 1, "max": 10**6}
    span = items("[lowest, highest]", size, minlength=2, maxlength=2, required=True)
    values = items("the values themselves", size, minlength=1, distinct=True, required=True)
    drawn = dict.fromkeys(SPANS, span) | dict.fromkeys(CHOICES, values)
    kernels = {kind: section("", {name: drawn[name] for name in family.ranges}) for kind, family in FAMILIES.items()}
    pairs = {
        "weight": bits("", WEIGHT_BITS, required=True),
        "activation": bits("", ACTIVATION_BITS, required=True),
    }
    return {
        "target": choice(
            "where kernels are timed", sorted([*TARGETS.names(), *hardware.simulated_kinds()]), required=True
        ),
        "sampler": choice("which shapes", SAMPLERS.names(), default="lhs+corner"),
        "shapes": number("shapes per kind of kernel", "integer", min=1, max=10**5, default=60),
        "bits": section("every pair is timed", pairs, required=True),
        "kernels": section("ranges of the shapes", kernels, minlength=1, required=True),
        "repeats": number("timings of one kernel, the median counts", "integer", min=1, max=10**5, default=5),
        "seed": seed("of the shapes"),
    }


def calibrate() -> dict[str, Rules]:
    return {
        "seed": seed("of the order of the measurements, and of the folds"),
        "budget": choice("sizes and time per size: under 2 or under 20 minutes", ["quick", "full"], default="quick"),
        "operations": items(
            "what is measured",
            {"type": "string", "allowed": [*OPERATIONS, *registered()]},
            minlength=1,
            distinct=True,
            default=[*OPERATIONS, *registered(own=True)],
        ),
        "precisions": items(
            "", {"type": "string", "allowed": list(BYTES)}, minlength=1, distinct=True, default=["fp32"]
        ),
        "batches": items("", {"type": "integer", "min": 1, "max": 1024}, minlength=1, distinct=True, default=[1]),
        "threads": number("of torch", "integer", min=1, max=1024, default=1),
        "write_to": {
            **text("", minlength=1, nullable=True, default=None),
            "meta": {
                "help": "folder for a copy of the profile",
                "text": "a path below the spec's folder, or an absolute one",
            },
        },
        "compare": {
            **text("", regex=r".+\.(ya?ml|json)", nullable=True, default=None),
            "meta": {"help": "previous profile", "text": "a path to profile.json or profile.yaml"},
        },
        "networks": items(
            "predicted, then measured; model is that of the spec",
            {"type": "string", "allowed": [*NETWORK_NAMES, OWN_NETWORK]},
            distinct=True,
            default=[],
        ),
    }


def verify() -> dict[str, Rules]:
    device = {
        "device": text("as the data set calls it", minlength=1, required=True),
        "precision": text("as the data set calls it", minlength=1, default="fp32"),
        "batches": items(
            "batch sizes learned from", {"type": "integer", "min": 1}, minlength=1, distinct=True, default=[1]
        ),
    }
    two_runs = items("[first run, second run]", text("", minlength=1), minlength=2, maxlength=2, distinct=True)
    return {
        "data": {
            **text("", minlength=1, default="graphs/subgraphs"),
            "meta": {
                "help": "measured subgraphs",
                "text": "a data set of the catalog, a path to a .csv or .csv.gz file",
            },
        },
        "devices": items("estimated one by one", section("", device), minlength=1, required=True),
        "batch": number("whose whole-network latency is estimated", "integer", min=1, default=1),
        "write_to": {
            **text("", minlength=1, nullable=True, default=None),
            "meta": {
                "help": "folder for a copy of the devices' curves",
                "text": "a path below the spec's folder, or an absolute one",
            },
        },
        "runs": items(
            "one machine measured twice: the noise floor, at each precision estimated of the first",
            two_runs,
            default=[],
        ),
    }
