"""The form of a spec, as Cerberus rules: sections, keys, types, bounds, defaults, and names from the registries.

`meta.help` is what `mico-run schema` tells an editor; `meta.text` is what an error calls allowed where the rules alone would not be clear.
A section that is absent, or null, does not take part in the run.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mico_runner import hardware, plugins
from mico_runner.calibration.cases import BYTES, CURVE_SHAPES, NETWORK_NAMES, OPERATIONS
from mico_runner.data import catalog
from mico_runner.formats import READERS
from mico_runner.models import MODELS, WEIGHT_ENDINGS
from mico_runner.ops.families import FAMILIES
from mico_runner.profiling.samplers import CHOICES, SAMPLERS, SPANS
from mico_runner.proxy import AUTO, FEATURES, REGRESSORS, STRATEGIES
from mico_runner.search import ALGORITHMS
from mico_runner.spec.rules import Rules, bits, choice, flag, free, items, number, optional, section, size, text, width
from mico_runner.steps import STEPS
from mico_runner.targets import TARGETS
from mico_runner.validation import PROTOCOLS

SPEC_VERSION = 1
BACKENDS = ["processes", "local"]
RANGE = r"-?\d+\.\.-?\d+"  # of whole numbers, both ends included
WEIGHT_BITS = [1, 1.5, 2, 3, 4, 5, 6, 7, 8]  # 1.5 is ternary
ACTIVATION_BITS = [1, 2, 3, 4, 5, 6, 7, 8]
QUALITY, ACCURACY = "quality", "accuracy"  # the second is the first of classification
COSTS = ["latency", "energy", "edp", "flash_bytes", "ram_bytes", "bops"]
MAX_SEED = 2**32 - 1  # what torch and numpy both take
FILE_NAME = r"[^/\\\0][^\\\0]*"
RULE_TEXT = "a rule such as 'proxy.*.mape>+2%'"
CURVES_TEXT = r"auto|.+\.(ya?ml|json)"
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


def sections() -> dict[str, Rules]:
    """The rules of every top-level key, with the entries of the plug-ins in use. Do not change what it returns."""
    return _sections(plugins.used())


@lru_cache(maxsize=4)
def _sections(_: tuple[Path, ...]) -> dict[str, Rules]:
    return {
        "spec_version": number("version of this form", "integer", allowed=[SPEC_VERSION], required=True),
        "name": {
            **text("names the folder in outputs/", regex="[a-z0-9][a-z0-9._-]*", maxlength=100, required=True),
            "meta": {
                "help": "names the folder in outputs/",
                "text": "up to 100 lower-case letters, digits, '.', '_', '-', the first a letter or digit",
            },
        },
        "description": text("for the report", default=""),
        "extends": {
            **text("", regex=FILE_NAME, nullable=True, default=None),
            "meta": {"help": "spec to merge under this one", "text": "a relative path to a YAML file"},
        },
        "plugins": items(
            "Python files of your own, or folders of them, whose @register adds models, search algorithms, predictors",
            {"type": "string", "regex": r"[^\\\0]+", "meta": {"text": "a path to a Python file or a folder"}},
            distinct=True,
            default=[],
        ),
        "seed": _seed("of the held-out images, the training and the search"),
        "hardware": {
            "anyof": [{"type": "string", "minlength": 1}, {"type": "dict", "meta": {"schema": hardware.rules()}}],
            "nullable": True,
            "default": None,
            "meta": {"help": "device", "text": "a name (see mico-run list hardware), a path to a YAML file, a mapping"},
        },
        "efficiency_curves": {
            "anyof": [{"type": "string", "regex": CURVES_TEXT}, {"type": "dict", "meta": {"schema": CURVES}}],
            "nullable": True,
            "default": None,
            "meta": {
                "help": "of the roofline that calibrate sets beside its estimate: fitted to the measurements, or from a file",
                "text": "auto, a path to a YAML or JSON file, a mapping of fit",
            },
        },
        "datasets": section("what is learned from", _datasets(), default={}),
        "model": optional("network and training", _model()),
        "evaluate": optional("uniform bit-widths before the search", _evaluate()),
        "proxy": optional("latency predictor", _proxy()),
        "quantization": optional("post-training quantisation", _quantization()),
        "search": optional("search over bits per layer", _search()),
        "allocate": optional("bits of a network that is known by its layers alone", _allocate()),
        "crossvalidate": optional(
            "the network trained and quantised once for each part of the samples that it is tested on",
            {
                "folds": number("parts, each with samples of all classes", "integer", min=2, max=1000),
                "group_by": text("a fact of the samples, each value of which is a part", minlength=1),
                "bits": items(
                    "[weight bits, activation bits] of every layer",
                    width(WEIGHT_BITS),
                    minlength=2,
                    maxlength=2,
                    default=[8, 8],
                ),
            },
        ),
        "finetune": optional("training of the integer network at the bits that are chosen", _finetune()),
        "codegen": optional(
            "generated code",
            {
                "target": choice(
                    "a C program, a QDQ model of ONNX, or DNNWeaver's files", ["c", "onnx", "dnnweaver"], default="c"
                ),
                "runtime": choice("what the program runs on", ["host", "baremetal"], default="host"),
                "scratch": choice("of convolutions on baremetal", ["two_rows", "tables"], default="two_rows"),
                "bits": items(
                    "[weight bits, activation bits] of every layer, without a search; default: [8, 8]",
                    width(WEIGHT_BITS),
                    minlength=2,
                    maxlength=2,
                    nullable=True,
                    default=None,
                ),
                "ends": items(
                    "the same of the first and the last layer; default: as the others",
                    width(WEIGHT_BITS),
                    minlength=2,
                    maxlength=2,
                    nullable=True,
                    default=None,
                ),
                "bundle": choice("a C file per kernel, or one for all", ["files", "single"], default="files"),
                "package": choice(
                    "whose library the folder is", ["cmake", "arduino", "platformio", "zephyr"], default="cmake"
                ),
            },
        ),
        "simulate": optional("runs of the generated code", _simulate()),
        "profile": optional("makes a kernel-latency profile", _profile()),
        "calibrate": optional("efficiency curves of this machine, from micro-benchmarks", _calibrate()),
        "verify": optional("whole-network latency estimates, each network left out in turn", _verify()),
        "gates": {
            "type": "dict",
            "default": {},
            "keysrules": {
                "type": "string",
                "regex": r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_*-]+)+",
                "meta": {"text": "dotted metric names"},
            },
            "valuesrules": section(
                "", {"min": size("at least", "a number"), "max": size("at most", "a number")}, minlength=1
            ),
            "meta": {"help": "limits of metrics: a broken one ends the run with exit code 3", "removable": True},
        },
        "diff": section(
            "what mico-run diff takes for a regression",
            {
                "fail_on": items(
                    "limits of metrics instead of their tolerances",
                    {"type": "string", "minlength": 1, "meta": {"text": RULE_TEXT}},
                    distinct=True,
                    default=[],
                ),
                "runs": number(
                    "newest runs of one state that stand for each side", "integer", min=1, max=1000, default=1
                ),
                "confidence": number(
                    "of the interval of the difference of their means", min=0.5, max=0.999, default=0.95
                ),
            },
            default={},
        ),
        "steps": items(
            "default: every step whose section is present",
            {"type": "string", "allowed": STEPS.names()},
            minlength=1,
            distinct=True,
            nullable=True,
            default=None,
        ),
        "matrix": {
            "type": "dict",
            "nullable": True,
            "default": None,
            "minlength": 1,
            "keysrules": text("", regex=r"[^\0]+"),
            "valuesrules": {
                "anyof": [{"type": "list", "minlength": 1}, {"type": "string", "regex": RANGE}],
                "meta": {"text": "a list of values, or whole numbers as first..last"},
            },
            "meta": {"help": "a sweep: dotted key -> values, every combination of which mico-run sweep runs"},
        },
        "executor": section(
            "where steps run",
            {
                "backend": choice("processes; local, of earlier specs: threads in one", BACKENDS, default="processes"),
                "jobs": number("processes that work at once", "integer", min=1, max=1024, default=1),
                "threads": number(
                    "of torch in each, where networks are trained", "integer", min=1, max=1024, default=1
                ),
            },
            default={},
        ),
    }


def _seed(help_: str) -> Rules:
    return number(help_, "integer", min=0, max=MAX_SEED, default=0)


def _datasets() -> dict[str, Rules]:
    profile = text("catalog name, or path of a CSV file", minlength=1)
    return {
        "task": {
            "anyof": [{"type": "string", "minlength": 1}, {"type": "dict", "meta": {"schema": {}}}],
            "nullable": True,
            "default": None,
            "meta": {
                "help": "samples and what they are for",
                "text": "a name (see mico-run list tasks), a mapping that leads to data of your own",
            },
        },
        "scale": number("of images: what a pixel of full brightness becomes", min=1e-6, max=10**6, default=1.0),
        "mean": items(
            "of images, per channel or one for all, in units of scale: what the network takes off them first",
            {"type": "number", "min": -(10**6), "max": 10**6},
            minlength=1,
            default=[0.0],
        ),
        "std": items(
            "of images, likewise: what the network divides the rest by",
            {"type": "number", "min": 1e-6, "max": 10**6},
            minlength=1,
            default=[1.0],
        ),
        "profile": items("kernel latencies", profile, distinct=True, default=[]),
        "validation": number(
            "samples held out of train; null: 5,000, or a quarter if that is less",
            "integer",
            min=1,
            max=10**7,
            nullable=True,
            default=None,
        ),
        "test": number(
            "samples of the test part that are used, the first; null: all",
            "integer",
            min=1,
            max=10**7,
            nullable=True,
            default=None,
        ),
    }


def _augment() -> dict[str, Rules]:
    return {
        "flip": flag("left to right, half of them"),
        "crop": number("pixels by which each is moved at most", "integer", min=0, max=1024, default=0),
        "mixup": number("a of Beta(a, a), by which pairs are mixed; 0: not", min=0, max=100, default=0.0),
        "speed": number("sounds are played at 1 / (1 + speed) to 1 + speed times their own", min=0, max=1, default=0.0),
        "mask_rows": number("neighbouring rows blanked at most", "integer", min=0, max=10**4, default=0),
        "mask_columns": number("neighbouring columns blanked at most", "integer", min=0, max=10**4, default=0),
    }


def _recipe(epochs: int, lr: float, keep: str) -> dict[str, Rules]:
    return {
        "epochs": number("", "integer", min=1, max=100_000, default=epochs),
        "lr": number("the schedule's highest", above=0, max=100, default=lr),
        "batch_size": number("", "integer", min=1, max=10**6, default=64),
        "weight_decay": number("of the optimiser", min=0, max=100, default=0.0),
        "shift": number("pixels by which a batch of images is moved at most", "integer", min=0, max=1024, default=0),
        "optimizer": choice("", ["adamw", "sgd"], default="adamw"),
        "schedule": choice("of the learning rate", ["one-cycle", "cosine", "constant"], default="one-cycle"),
        "augment": section("random changes of each sample", _augment(), default={}),
        "keep": choice("whose epoch's weights", ["last", "best"], default=keep),
        "patience": number("epochs without a better one after which it ends", "integer", min=1, max=100_000),
        "balance": flag("samples of each class are drawn equally often"),
    }


def _finetune() -> dict[str, Rules]:
    share = "of the loss that is the distance from the float network's outputs; the rest is the task's"
    return _recipe(5, 1e-2, "best") | {"distillation": number(share, min=0, max=1, default=1.0)}


def _model() -> dict[str, Rules]:
    train = _recipe(5, 1e-3, "last") | {
        "freeze_norms": flag("batch norms keep the statistics that they begin with"),
        "device": choice("auto: a GPU if there is one", ["cpu", "auto"], default="cpu"),
    }
    path = {"regex": r"[^\\\0]+", "nullable": True, "default": None}
    endings = ", ".join(f".{ending}" for ending in ("py", *READERS.names()))
    return {
        "name": choice("network of the zoo", MODELS.names(), nullable=True, default=None),
        "file": {
            **text("", **path),
            "meta": {
                "help": "network of your own",
                "text": f"a path to a file ({endings}), or a network of the catalog",
            },
        },
        "entry": text(
            "of a Python file: the class or function that makes the network", regex=r"\w+", nullable=True, default=None
        ),
        "params": free("of the network"),
        "weights": {
            **text("", **path),
            "meta": {"help": "that the network starts with", "text": f"a path to a file ({', '.join(WEIGHT_ENDINGS)})"},
        },
        "input": items(
            "shape of one input, without the batch; default: that of the data",
            {"type": "integer", "min": 1, "max": 10**6},
            minlength=1,
            maxlength=4,
            nullable=True,
            default=None,
        ),
        "train": section("null takes the network as it is", train, nullable=True, default={}),
    }


def _evaluate() -> dict[str, Rules]:
    pair = items("[weight bits, activation bits]", width(WEIGHT_BITS), minlength=2, maxlength=2)
    return {
        "uniform_bits": items(
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
        "features": choice("", [AUTO, *FEATURES.names()], default=AUTO),
        "regressor": choice("", [AUTO, *REGRESSORS.names()], default=AUTO),
        "params": free("of the strategy"),
    }


def _proxy() -> dict[str, Rules]:
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
        "seed": _seed("of the folds and of predictors that draw"),
    }


def _quantization() -> dict[str, Rules]:
    weights = {
        "granularity": choice("scales per", ["channel", "tensor"], default="channel"),
        "scale": choice("how a scale is chosen", ["mse", "minmax"], default="mse"),
    }
    activations = {
        "calibration": choice("", ["mse", "minmax", "percentile"], default="mse"),
        "percentile": number("of calibration: percentile", above=50, max=100, default=99.9),
        "images": number("calibration images", "integer", min=1, max=10**6, default=256),
    }
    return {"weights": section("", weights, default={}), "activations": section("", activations, default={})}


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


def _allocate() -> dict[str, Rules]:
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


def _search() -> dict[str, Rules]:
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
        "algorithm": choice("", ALGORITHMS.names(), default="nsga2"),
        "params": free("of the algorithm"),
        "objectives": items(
            "most important first", objective, minlength=1, distinct=True, default=[QUALITY, "latency"]
        ),
        "constraints": section("", constraints, default={}, meta={"removable": True}),
        "budget": section("", budget, default={}),
        "compare": items("further algorithms at the same budget", algorithm, distinct=True, default=[]),
        "enumerate": flag("evaluate the whole space, to know each algorithm's regret"),
    }


def _simulate() -> dict[str, Rules]:
    target = {"type": "string", "allowed": ["host", *hardware.simulated_kinds(), "rtl", "qemu"]}
    images = {"anyof": [{"type": "string", "allowed": ["all"]}, {"type": "integer", "min": 1}]}
    return {
        "target": {
            "anyof": [target, {"type": "list", "schema": target, "minlength": 1, "distinct": True}],
            "default": "host",
            "meta": {
                "help": "where the network runs",
                "text": f"host, {', '.join(hardware.simulated_kinds())}, rtl, qemu, or a list of them",
            },
        },
        "images": {
            **images,
            "default": "all",
            "meta": {"help": "test images", "text": "all, or a whole number, at least 1"},
        },
        "qemu_images": {
            **images,
            "default": 200,
            "meta": {"help": "of them, on QEMU", "text": "all, or a whole number, at least 1"},
        },
        "rtl_images": number("of them, on RTL, which takes seconds for each", "integer", min=1, max=10**5, default=4),
        "rtl_assignments": number(
            "random assignments on RTL, against what was predicted", "integer", min=0, max=10**5, default=0
        ),
        "sanitize": flag("run once more under the address and undefined-behaviour sanitizers"),
    }


def _profile() -> dict[str, Rules]:
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
        "seed": _seed("of the shapes"),
    }


def _verify() -> dict[str, Rules]:
    device = {
        "device": text("as the data set calls it", minlength=1, required=True),
        "precision": text("as the data set calls it", minlength=1, default="fp32"),
        "batches": items(
            "batch sizes learned from", {"type": "integer", "min": 1}, minlength=1, distinct=True, default=[1]
        ),
    }
    two_runs = items("[first run, second run]", text("", minlength=1), minlength=2, maxlength=2, distinct=True)
    return {
        "data": choice("measured subgraphs", catalog.names("subgraph_profile"), default="graphs/subgraphs"),
        "devices": items("estimated one by one", section("", device), minlength=1, required=True),
        "batch": number("whose whole-network latency is estimated", "integer", min=1, default=1),
        "runs": items("one machine measured twice: the noise floor, at fp32", two_runs, default=[]),
    }


def _calibrate() -> dict[str, Rules]:
    return {
        "seed": _seed("of the order of the measurements, and of the folds"),
        "budget": choice("sizes and time per size: under 2 or under 20 minutes", ["quick", "full"], default="quick"),
        "operations": items(
            "what is measured",
            {"type": "string", "allowed": list(OPERATIONS)},
            minlength=1,
            distinct=True,
            default=list(OPERATIONS),
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
            "predicted, then measured end to end",
            {"type": "string", "allowed": list(NETWORK_NAMES)},
            distinct=True,
            default=[],
        ),
    }
