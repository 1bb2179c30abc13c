"""What a step's result depends on is what it is keyed by: every step is run, watched, and asked again with each of its inputs changed."""

import copy
import dataclasses
import inspect
import json
import os
import shutil
from functools import cache
from pathlib import Path

import pytest
from tracing import PACKAGE, executed, traced

from mico_runner import paths, spec
from mico_runner.calibration import leave_one_out, machine
from mico_runner.data import catalog
from mico_runner.pipeline import Options, planning, running
from mico_runner.pipeline.planning import Plan, plan
from mico_runner.sources import Sources, files, reach
from mico_runner.steps import STEPS, network

NET = ["model.train.epochs=1", "search.budget.evaluations=4", "search.constraints.accuracy=null", "gates=null"]
NET += [
    "extends=templates/bitfusion.yaml",
    "profile=null",
    "search.constraints.latency.max=0.95",
    "search.compare=[random]",
    "proxy.strategy=single",
    "simulate.images=10",
]
ALONE = [f"{section}=null" for section in ("search", "proxy", "codegen", "simulate", "evaluate", "gates")]
KERNELS = "{conv2d: {in_channels: [1, 4], out_channels: [1, 4], in_h: [4, 6], kernel: [3], stride: [1]}}"
TUNED = "{name: a, dataset: squad, network: bert_base_uncased, optimizer: adamw, target: 84, max_epochs: 6, batch: 32}"
# Shipped specs made small, so that together every step runs.
SPECS = {
    "network": ("quickstart", NET),
    "allocate": (
        "mobilenet-v2-bitfusion",
        [
            "allocate.network=lenet",
            "allocate.input=[1, 28, 28]",
            "allocate.points=3",
            "allocate.constraints.energy.max=1",
            "gates=null",
        ],
    ),
    "codesign": (
        "codesign-confuciux",
        [
            "codesign.tables.networks=null",
            "codesign.tables.networks={small: {costs: [codesign/maestro-resnet18-dla], layers: codesign/layers-resnet18}}",
            "codesign.tables.shares=[0.1]",
            "codesign.tables.objectives=[cycles]",
            "codesign.tables.resources=[area]",
            "codesign.evaluations=100",
            "gates=null",
        ],
    ),
    "designs": (
        "codesign-resnet18-gemmini",
        [
            "codesign.networks=null",
            "codesign.networks={lenet: {input: [1, 28, 28], classes: 10}}",
            "codesign.vary=null",
            "codesign.vary={parameters.rows: [8, 16]}",
            "codesign.bits={weight_bits: [4, 8], activation_bits: [8], noise_of: [4, 8]}",
            "codesign.evaluations=100",
            "gates=null",
        ],
    ),
    "verilog": (
        "codesign-rtl",
        [
            "codesign.vary=null",
            "codesign.vary={parameters.rows: [3], parameters.columns: [4], parameters.weight_stationary: [0]}",
            "codesign.limits.memory=1",
            "verilog.layers=[conv1]",
            "verilog.sizes=[]",
            "gates=null",
        ],
    ),
    "engines": (
        "codesign-fpga",
        [
            "codesign.networks=null",
            "codesign.networks={lenet: {input: [1, 28, 28], classes: 10}}",
            "codesign.engines={channels: [1, 8], filters: [8], pixels: [1, 4], weight_kib: [8]}",
            "codesign.bits={weight_bits: [4, 8], activation_bits: [8], noise_of: [4, 8]}",
            "gates=null",
        ],
    ),
    "mappings": (
        "mapper-proofs",
        [
            "codesign.networks=null",
            "codesign.networks={lenet: {input: [1, 28, 28], classes: 10}}",
            "codesign.mappings={budgets: [50, 100]}",
            "gates=null",
        ],
    ),
    "profile": ("profile-bitfusion", ["profile.shapes=4"]),
    "verify": ("validate-graphs", ["verify.devices=[{device: i7_12700K}]", "verify.runs=[]", "gates=null"]),
    "estimate": ("estimate-devices", ["estimate.devices=[{curves: i7-12700k}]", "estimate.networks=[squeezenet]"]),
    "reproduce": ("tileflow", ["gates=null"]),
    "crossvalidate": ("quickstart", [*ALONE, "profile=null", "model.train.epochs=1", "crossvalidate={folds: 2}"]),
    "finetune": (
        "quickstart",
        [*ALONE, "profile=null", "model.train.epochs=1", "codegen={bits: [2, 4]}", "finetune={epochs: 1}"],
    ),
    "filter": (
        "filtered-attention",
        [
            "filter={bits: [5], places: [16], rounds: 1, samples: 1}",
            "datasets={task: tinystories-512, validation: 2, test: 1}",
            "quantization.activations.images=2",
            "evaluate=null",
            "simulate=null",
            "gates=null",
        ],
    ),
    "exits": (
        "exits-dscnn",
        [
            "datasets={task: digits, validation: 100}",
            "datasets.profile=[vexriscv-full/conv2d, vexriscv-full/depthwise, vexriscv-full/linear, vexriscv-full/avg_pool2d]",
            "model.params={channels: 4, blocks: 2, downsample: 1}",
            "model.train.epochs=1",
            "model.exits={most: 2, channels: 2, margins: 3, train: {epochs: 1}}",
            "simulate=null",
            "gates=null",
        ],
    ),
    "tune": (
        "tune-training-energy",
        [
            f"tune.jobs=[{TUNED}]",
            "tune.traces=[codesign/zeus-v100]",
            "tune.seeds=1",
            "tune.budget.runs=3",
            "gates=null",
        ],
    ),
    "dse": ("hls-designs", ["dse.least=500", "dse.labels=[5]", "dse.seeds=1", "gates=null"]),
    "calibrate": ("calibrate-host", ["calibrate.operations=[bn]", "calibrate.networks=[]", "gates=null"]),
}
OTHERS = {
    "model.name": "lenet",  # valid values where "another one" cannot be made up
    "hardware": "eyeriss",
    "datasets.task": "fashion-mnist",
    "datasets.profile": ["bitfusion/conv2d"],
    "simulate": None,  # another section, where there is none
    "profile.target": "systolic",
    "search.constraints.accuracy": {"relative_to": "float", "min": 1},
    "profile.sampler": "lhs",
    "simulate.story": {"tokenizer": "tinystories/tok512", "prompt": "", "tokens": 9},
    "simulate.target": ["host", "qemu"],  # a program for a board: another deployment
    "proxy.strategy": "structural",
    "proxy.compare": [{"strategy": "lut", "features": "auto", "regressor": "auto", "params": {}}],
    "calibrate.compare": str(paths.shipped("specs") / "quickstart.yaml"),
    "codesign.tables.networks.small.costs": ["codesign/maestro-mobilenet_v2-dla"],
    "codesign.tables.networks.small.layers": "codesign/layers-mobilenet_v2",
    "codesign.compare": ["random"],
    "reproduce.runs": None,  # others have other params
    "tune.traces": ["codesign/zeus-a40"],
    "tune.policy": "zeus",
    "tune.compare": [],
    "tune.files": [{"name": "own", "runs": __file__, "power": __file__}],
    "tune.training": None,
    "dse.table": None,  # there is one
    "dse.file": None,
    "codesign.tables": {"networks": {}, "choices": [], "objectives": [], "resources": [], "shares": []},
    "codesign.engines": {"channels": [1], "filters": [1], "pixels": [1], "weight_kib": [1]},
    "codesign.mappings": {"budgets": [1], "gap": 0},
    "codesign.bits.noise_of": [8, 4],
    "verify.data": "graphs/subgraphs-30w",
    "estimate.devices": [{"curves": "jetson-orin-agx-maxn", "precision": None}],
    "estimate.networks": ["vgg11"],
    "estimate.measured": None,
}
# `name` is the title of a captured graph; only C code and its calls bear it.
# The scratch of `codegen` is among the conditions of those targets that have kernels in C; BitFusion has none.
NO_INPUT = {(step, "name") for step in ("evaluate", "search", "crossvalidate", "finetune", "exits", "filter")} | {
    ("profile", "codegen")
}
NO_INPUT |= {
    ("filter", key) for key in ("datasets.task", "datasets.mean", "datasets.std", "datasets.scale", "model.input")
}  # a decoder has its own tokens
# Files that a network comes from: tests/steps/test_steps_own_network.py changes their content.
OWN_FILES = {"model.file", "model.entry", "model.weights"}
STEPS_OF = {case: (case,) for case in SPECS} | {
    "network": ("train", "fit", "evaluate", "search", "codegen", "simulate"),
    **dict.fromkeys(("designs", "engines", "mappings"), ("codesign",)),
}


@cache
def _loaded(case):
    name, changes = SPECS[case]
    return spec.load(name, changes).data


def resolved(case):
    return copy.deepcopy(_loaded(case))


def planned(data, outputs="nowhere", **options):
    return Plan(data, Options(outputs=Path(outputs), quiet=True, **options))


def changed(data, path):
    """The spec with another value at a path; None where there is none."""
    data = copy.deepcopy(data)
    *above, last = path
    at = data
    for key in above:
        at = at[key]
    if ".".join(path) in OTHERS:
        at[last] = OTHERS[".".join(path)]
    elif last not in at:  # an entry that may be absent, and is
        return None
    elif isinstance(at[last], bool) or not isinstance(at[last], int | float | str | list):
        at[last] = not at[last]
    elif isinstance(at[last], list):
        *first, end = at[last] or [0]
        at[last] = [*first, end + 1] if isinstance(end, int) else first or [*first, end, end]
    else:
        at[last] = f"{at[last]}x" if isinstance(at[last], str) else at[last] + 1
    return data if at[last] is not None else None


def _needs_what_is_not_there(case):
    if case in ("verify", "codesign", "reproduce", "tune", "dse", "filter") and "MICO_DATA_MIRROR" not in os.environ:
        pytest.skip("MICO_DATA_MIRROR is not set: the measured data and the tables are not there")
    if case == "verilog" and not (shutil.which("verilator") and shutil.which("g++") and shutil.which("make")):
        pytest.skip("verilator, g++ or make is missing: the array cannot be simulated")
    if case == "network" and not (shutil.which("gcc") and shutil.which("make")):
        pytest.skip("gcc or make is missing: the C program cannot run")


def _run_watched(data, outputs):
    """step -> (functions executed, keys of the spec read)."""
    found = {step: (set(), set()) for step in data["steps"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(machine.SECONDS_PER_CASE, "quick", 0.001)
        real_context, real_plan, select = running.Context, running.Plan, leave_one_out.select
        patch.setattr(leave_one_out, "select", lambda *given: _three_networks(select(*given)))

        def context(step, given, *rest):
            made = real_context(step, given, *rest)
            made.spec = traced(given, found[step][1])
            return made

        def watching(*args):
            made = real_plan(*args)
            for step, instance in made.objects.items():
                instance.run = _watching(instance.run, found[step][0])
            return made

        patch.setattr(running, "Context", context)
        patch.setattr(running, "Plan", watching)
        result = running.run(data, Options(outputs=outputs, quiet=True))
    assert set(result.statuses.values()) == {"run"}, result.skipped
    return found


def _three_networks(rows):
    return rows[rows["model"].isin(sorted(rows["model"].unique())[:3])]


def _watching(run, functions):
    def watched(ctx):
        network._traced.clear()  # no step is spared its own trace
        with executed(functions):
            run(ctx)

    return watched


def reached(data, step):
    made = planned(data)
    file = Path(inspect.getfile(type(made.objects[step])))
    with Sources() as sources:
        return sources.reach([(file, type(made.objects[step]).__name__)], made._chosen)


def test_every_step_is_watched():
    assert {step for steps in STEPS_OF.values() for step in steps} == set(STEPS.names())


@pytest.mark.slow
@pytest.mark.parametrize("case", SPECS)
def test_what_a_step_executes_and_reads_is_an_input(tmp_path, case):
    _needs_what_is_not_there(case)
    found = _run_watched(resolved(case), tmp_path)
    for step in STEPS_OF[case]:
        functions, keys = found[step]
        _executed_source_was_reached(case, step, functions)
        _keys_are_inputs(case, step, keys)


def _executed_source_was_reached(case, step, functions):
    found = reached(resolved(case), step).names
    assert len(functions) > 3, step
    for file, name in functions:
        label = file.removeprefix(PACKAGE)
        # The context, with its metrics and its map, is the pipeline's; what `conditions` gives is an input by itself.
        ours = label.endswith(".py") and not label.startswith(("executor/", "pipeline/", "outputs/", "steps/base.py"))
        if ours and not reach._is_infrastructure(label) and name not in ("__getattr__", "<lambda>", "conditions"):
            assert name in found.get(file, ()), f"{label}: {name} was executed by {step}, but is no input of it"


def _keys_are_inputs(case, step, keys):
    data = resolved(case)
    before, tried = planned(data).fingerprint(step), 0
    for path in sorted(keys):
        other = changed(data, path)
        if other is None or (step, ".".join(path)) in NO_INPUT or ".".join(path) in OWN_FILES:
            continue
        tried += 1
        assert planned(other).fingerprint(step) != before, f"{step} reads {'.'.join(path)}, which is no input of it"
    assert tried > 0, step


@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize(
    ("key", "value"), [("description", "other"), ("gates", {"a.b": {"max": 1}}), ("backend", "other")]
)
def test_what_decides_nothing_is_no_input(case, key, value):
    data = resolved(case)
    other = data | ({"executor": data["executor"] | {"backend": value}} if key == "backend" else {key: value})
    assert prints(other) == prints(data)


def prints(data, **options):
    made = planned(data, **options)
    return {step: made.fingerprint(step) for step in made.steps}


def moved(data, other, **options):
    before, after = prints(data), prints(other, **options)
    return {step for step in before if before[step] != after[step]}


def test_each_seed_moves_what_draws_from_it():
    data = resolved("network")
    every = set(data["steps"])
    assert moved(data, data | {"seed": 9}) == every - {"fit"}
    assert moved(data, data | {"proxy": data["proxy"] | {"seed": 9}}) == every - {"train"}
    for case in ("profile", "calibrate"):
        one = resolved(case)
        assert moved(one, one | {"seed": 9}) == set()
        assert moved(one, one | {case: one[case] | {"seed": 9}}) == {case}


def test_the_number_of_threads_is_an_input_of_what_computes_with_them_and_that_of_processes_of_nothing():
    data = resolved("network")

    def more(data, key):
        return data | {"executor": data["executor"] | {key: 2}}

    assert moved(data, more(data, "threads")) == set(data["steps"]) - {"fit"}
    for case in ("profile", "calibrate", "allocate", "verify"):
        assert moved(resolved(case), more(resolved(case), "threads")) == set()
    for case in SPECS:
        assert moved(resolved(case), more(resolved(case), "jobs")) == set() == moved(data, data, jobs=2)


@pytest.mark.parametrize(
    ("library", "moves"),
    [
        ("torch", {"train", "evaluate", "search", "codegen", "simulate"}),
        ("xgboost-cpu", {"fit", "evaluate", "search", "codegen", "simulate"}),
        ("pygmo", {"search", "codegen", "simulate"}),
        ("tabulate", set()),
    ],
)
def test_the_version_of_a_library_moves_what_uses_it(library, moves, monkeypatch):
    data, real = resolved("network"), reach.metadata.version
    before = prints(data)
    monkeypatch.setattr(reach.metadata, "version", lambda name: "99" if name == library else real(name))
    monkeypatch.setattr(reach, "_project", None)  # which holds versions as they were: no process lives to see another
    reach._version.cache_clear()
    after = prints(data)
    reach._version.cache_clear()
    assert {step for step in before if before[step] != after[step]} == moves


@pytest.mark.parametrize("key", ["name", "loader_params", "loader", "files"])
def test_tasks_that_differ_in_anything_share_nothing(key, monkeypatch):
    data, entry = resolved("network"), catalog.entry("digits")
    other = {
        "name": {"name": "digits-again"},
        "loader_params": {"loader_params": {"classes": 3}},
        "loader": {"loader": "idx"},
        "files": {"files": (catalog.DataFile("a.npz", sha256="0" * 64),)},
    }[key]
    entries = catalog._entries()
    second = dataclasses.replace(entry, **other)
    monkeypatch.setattr(catalog, "_entries", lambda: {**entries, second.name: second})
    after = data | {"datasets": data["datasets"] | {"task": second.name}}
    monkeypatch.undo()
    before = prints(data)
    monkeypatch.setattr(catalog, "_entries", lambda: {**entries, second.name: second})
    assert {step for step, mark in prints(after).items() if mark != before[step]} == set(data["steps"]) - {"fit"}


def test_profiles_are_inputs_by_content_and_order(tmp_path):
    csv = paths.shipped("datasets") / "bitfusion" / "conv2d.csv"
    for name in ("chip.csv", "other.csv"):
        shutil.copy(csv, tmp_path / name)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(csv, tmp_path / "elsewhere" / "chip.csv")

    def inputs(*names):
        data = resolved("network")
        data["datasets"]["profile"] = [str(tmp_path / name) for name in names]
        return planned(data).inputs["fit"]

    before = inputs("chip.csv", "other.csv")
    assert inputs("other.csv", "chip.csv") != before != inputs("chip.csv")
    assert inputs("elsewhere/chip.csv", "other.csv") == before, "where the file lies decides nothing"
    with (tmp_path / "chip.csv").open("a") as file:
        file.write("\n")
    assert planning.difference(before, inputs("chip.csv", "other.csv")) == "profile.chip.csv changed"


def test_how_a_profile_of_the_catalog_is_read_is_an_input(monkeypatch):
    data, entries = resolved("network"), catalog._entries()
    before = prints(data)["fit"]
    for change in ({"fill": {"stride": 2}}, {"columns": ("a",)}, {"unit": "ns"}):
        other = dataclasses.replace(entries["bitfusion/conv2d"], **change)
        monkeypatch.setattr(catalog, "_entries", lambda other=other: {**entries, other.name: other})
        assert prints(data)["fit"] != before


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, read once: what a test edits, it puts back."""
    copy = tmp_path_factory.mktemp("copy") / "mico_runner"
    shutil.copytree(paths.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def copied(package, monkeypatch):
    """Sources are read from the copy."""
    for module in (files, reach):
        monkeypatch.setattr(module, "PACKAGE", str(package))
    monkeypatch.setattr(paths, "PACKAGE", package)
    return package


def sources_of(package, data):
    """step -> what it reaches in the copy."""
    made = planned(data)
    with Sources() as sources:
        return {
            step: sources.reach(
                [(package / "steps" / f"{step}.py", type(made.objects[step]).__name__)], made._chosen
            ).sources
            for step in made.steps
        }


NETWORK = {"train", "evaluate", "search", "codegen", "simulate"}
QUANTISED = NETWORK - {"train"}


@pytest.mark.parametrize(
    ("file", "before", "after", "moves"),
    [
        ("models/lenet.py", "channels, 3, padding=1", "channels, 3, stride=2, padding=1", NETWORK),
        ("models/lenet.py", "nn.ReLU()", "nn.Tanh()", set()),  # of the file's other model
        ("models/mlp.py", "nn.ReLU()", "nn.Tanh()", set()),
        ("models/loop.py", "optim.AdamW", "optim.Adam", {"train"}),
        ("data/digits.py", "_TRAIN = 1297", "_TRAIN = 1298", NETWORK),
        ("data/idx.py", "_UINT8 = 8", "_UINT8 = 9", set()),
        ("proxy/strategies/single.py", "def fit(", "def fit_(", {"fit", "evaluate", "search", "simulate"}),
        ("proxy/strategies/lut.py", "def fit(", "def fit_(", set()),
        ("quant/ptq.py", "class PTQ", "class PTQ(object)", QUANTISED),
        ("search/nsga2.py", "def ask(", "def ask_(", {"search"}),
        ("search/milp.py", "import", "import os, ", set()),
        ("accelerators/bitfusion.py", "def simulate(", "def simulate_(", {"search", "simulate"}),
        ("accelerators/base.py", "def cycles(", "def cycles_(", {"search", "simulate"}),
        ("accelerators/systolic.py", "def simulate(", "def simulate_(", set()),
        ("codegen/kernels/mico_conv2d.c", "{", "{;", {"codegen", "simulate"}),
        ("codegen/kernels/mico_conv2d.c", "\n", " // why\n\n", set()),
        ("codegen/templates/host.c.j2", "main", "main ", {"codegen", "simulate"}),
        ("steps/fit.py", '"rows": len(table)', '"rows": 0', {"fit"}),
        ("steps/fit.py", "    def inputs(", "    # why\n\n    def inputs(", set()),
        ("outputs/report/page.py", "def ", "def _", set()),
        ("pipeline/running.py", "def ", "def _", set()),
        ("cli/entry.py", "def ", "def _", set()),
    ],
)
def test_an_edit_moves_the_steps_that_use_what_was_edited(copied, file, before, after, moves):
    data = resolved("network")
    old = sources_of(copied, data)
    text = (copied / file).read_text(encoding="utf-8")
    assert before in text
    (copied / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    try:
        new = sources_of(copied, data)
    finally:
        (copied / file).write_text(text, encoding="utf-8")
    assert {step for step in old if old[step] != new[step]} == moves
    for step in moves:
        reason = planning.difference({"sources": old[step]}, {"sources": new[step]})
        assert reason.startswith(f"{file} changed"), reason


def test_a_module_that_is_used_anew_is_named():
    old, new = {"a.py": "0" * 16, "b.py": "0" * 16}, {"a.py": "0" * 16, "c.py": "0" * 16}
    assert planning.difference({"sources": old}, {"sources": new}) == "b.py is not used, and 1 more"
    assert planning.difference({"seed": 1}, {"seed": 1, "sources": {"a.py": "0" * 16}}) == "now uses a.py"
    both = {"sources": old, "seed": 1}, {"sources": new, "seed": 2}
    assert planning.difference(*both) == "seed: 1 -> 2, and 2 more", "what the spec says comes first"
    libraries = {"libraries": {"torch": "2.1"}}, {"libraries": {"torch": "2.2"}}
    assert planning.difference(*libraries) == "torch: 2.1 -> 2.2"


def test_inputs_are_json(tmp_path):
    for case in SPECS:
        for inputs in planned(resolved(case)).inputs.values():
            assert json.loads(json.dumps(inputs)) and inputs["sources"] and "libraries" in inputs
    assert {row.action for row in plan(resolved("network"), Options(outputs=tmp_path))} == {"run"}
