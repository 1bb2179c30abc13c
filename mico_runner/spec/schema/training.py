"""What is learned from, what learns, and how."""

from __future__ import annotations

from mico_runner.formats import READERS
from mico_runner.models import MODELS, WEIGHT_ENDINGS
from mico_runner.spec.rules import Rules, choice, flag, free, items, number, optional, section, text, width
from mico_runner.spec.schema.exits import exits
from mico_runner.spec.schema.recipe import recipe
from mico_runner.spec.schema.values import WEIGHT_BITS


def datasets() -> dict[str, Rules]:
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


def _network() -> dict[str, Rules]:
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
    }


def _teacher() -> dict[str, Rules]:
    share = "of the loss that is the distance from its outputs; the rest is the task's"
    return _network() | {
        "train": optional("how it is trained before; null takes it as it is", recipe(5, 1e-3, "last")),
        "distillation": number(share, min=0, max=1, default=0.5),
    }


def _function(called_with: str) -> dict[str, Rules]:
    return {
        "file": text("Python file", minlength=1, required=True),
        "entry": text(f"its function, called with {called_with}", regex=r"\w+", required=True),
        "params": free("what else it is called with"),
    }


def model() -> dict[str, Rules]:
    train = recipe(5, 1e-3, "last") | {
        "freeze_norms": flag("batch norms keep the statistics that they begin with"),
        "device": choice("auto: a GPU if there is one", ["cpu", "auto"], default="cpu"),
        "precision": choice("of layers' products in training", ["float32", "bfloat16"], default="float32"),
        "channels_last": flag(
            "images lie with their channels together in training, which most convolutions compute faster"
        ),
        "teacher": section("a network whose outputs this one learns as well", _teacher()),
        "loss": section("of your own, instead of the task's", _function("outputs and targets of a batch")),
        "loop": section("of your own, instead of the built-in one", _function("the training")),
    }
    return _network() | {
        "train": section("null takes the network as it is", train, nullable=True, default={}),
        "exits": optional("where it may end early, and how that is chosen", exits()),
    }


def finetune() -> dict[str, Rules]:
    share = "of the loss that is the distance from the float network's outputs; the rest is the task's"
    return recipe(5, 1e-2, "best") | {
        "distillation": number(share, min=0, max=1, default=1.0),
        "reconstruction": number(
            "factor of the distance of all tensors from the float network's, added to the loss",
            min=0,
            max=100,
            default=0.0,
        ),
        "start": choice(
            "float: from the float network's weights; integers: from those that rounding found",
            ["float", "integers"],
            default="float",
        ),
    }


def evaluate() -> dict[str, Rules]:
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


def crossvalidate() -> dict[str, Rules]:
    return {
        "folds": number("parts, each with samples of all classes", "integer", min=2, max=1000),
        "draws": number("times that a test part is drawn from all samples", "integer", min=2, max=1000),
        "group_by": text("a fact of the samples, each value of which is a part", minlength=1),
        "bits": items(
            "[weight bits, activation bits] of every layer",
            width(WEIGHT_BITS),
            minlength=2,
            maxlength=2,
            default=[8, 8],
        ),
    }
