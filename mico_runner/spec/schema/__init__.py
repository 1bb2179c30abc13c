"""The form of a spec, as Cerberus rules: sections, keys, types, bounds, defaults, and names from the registries.

`meta.help` is what `mico-run schema` tells an editor; `meta.text` is what an error calls allowed where the rules alone would not be clear.
A section that is absent, or null, does not take part in the run.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mico_runner import hardware, plugins
from mico_runner.spec.rules import Rules, items, number, optional, section, size, text
from mico_runner.spec.schema import (
    codesign,
    deployment,
    dse,
    estimate,
    latency,
    reproduction,
    running,
    search,
    training,
    tune,
    verilog,
)
from mico_runner.spec.schema.filter import filter_
from mico_runner.spec.schema.values import CURVES_TEXT, FILE_NAME, RANGE, SPEC_VERSION, seed
from mico_runner.steps import STEPS


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
        "seed": seed("of the held-out images, the training and the search"),
        "hardware": {
            "anyof": [{"type": "string", "minlength": 1}, {"type": "dict", "meta": {"schema": hardware.rules()}}],
            "nullable": True,
            "default": None,
            "meta": {"help": "device", "text": "a name (see mico-run list hardware), a path to a YAML file, a mapping"},
        },
        "efficiency_curves": {
            "anyof": [{"type": "string", "regex": CURVES_TEXT}, {"type": "dict", "meta": {"schema": latency.CURVES}}],
            "nullable": True,
            "default": None,
            "meta": {
                "help": "of the roofline that calibrate sets beside its estimate: fitted to the measurements, or from a file",
                "text": "auto, a path to a YAML or JSON file, a mapping of fit",
            },
        },
        "datasets": section("what is learned from", training.datasets(), default={}),
        "model": optional("network and training", training.model()),
        "evaluate": optional("uniform bit-widths before the search", training.evaluate()),
        "proxy": optional("latency predictor", latency.proxy()),
        "quantization": optional("post-training quantisation", deployment.quantization()),
        "search": optional("search over bits per layer", search.search()),
        "allocate": optional("bits of a network that is known by its layers alone", search.allocate()),
        "codesign": optional("network and accelerator designed together, with a certificate", codesign.codesign()),
        "verilog": optional("a systolic array as Verilog, simulated and synthesised", verilog.verilog()),
        "crossvalidate": optional(
            "the network trained and quantised once for each part of the samples that it is tested on",
            training.crossvalidate(),
        ),
        "finetune": optional("training of the integer network at the bits that are chosen", training.finetune()),
        "filter": optional("attention of decoders to those keys that pass rounds of scores of few bits", filter_()),
        "codegen": optional("generated code", deployment.codegen()),
        "simulate": optional("runs of the generated code", deployment.simulate()),
        "profile": optional("makes a kernel-latency profile", latency.profile()),
        "calibrate": optional("efficiency curves of this machine, from micro-benchmarks", latency.calibrate()),
        "estimate": optional("latency of networks on devices known by their curves", estimate.estimate()),
        "verify": optional("whole-network latency estimates, each network left out in turn", latency.verify()),
        "reproduce": optional("a model beside a table of other people's runs", reproduction.reproduce()),
        "tune": optional("batch size and power limit of trainings that recur", tune.tune()),
        "dse": optional("cycles of designs of high-level synthesis from few labels", dse.dse()),
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
        "diff": section("what mico-run diff takes for a regression", running.diff(), default={}),
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
        "executor": section("where steps run", running.executor(), default={}),
    }
