"""Registries: what is listed works. Every entry of every registry of the package is used here, or says where it is used."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mico_runner
from mico_runner import hardware, paths, plugins, registry, spec
from mico_runner.data import catalog
from mico_runner.errors import UnknownName, UsageError
from mico_runner.frozen_data import build, plain
from mico_runner.kernel_table import kernel_table
from mico_runner.models import MODELS
from mico_runner.ops import operator
from mico_runner.pipeline.fingerprint import canonical
from mico_runner.profiling.places import target_of
from mico_runner.registry import Registry
from mico_runner.reproductions import REPRODUCTIONS
from mico_runner.sections import Sections
from mico_runner.steps import STEPS
from mico_runner.steps.base import Step
from mico_runner.testing import (
    check_accelerator,
    check_features,
    check_model,
    check_policy,
    check_regressor,
    check_rounding,
)
from mico_runner.testing.devices import linear_layers
from mico_runner.testing.problems import network

TESTS = Path(__file__).parent


def registries():
    """All of them by package, found by looking into every package: a new one cannot be forgotten."""
    found = {}
    for module in pkgutil.walk_packages(mico_runner.__path__, "mico_runner."):
        if module.ispkg:
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Registry):
                    found[value.package] = value
    return found


REGISTRIES = registries()
ENTRIES = [(package, name) for package, registry in REGISTRIES.items() for name in registry.names()]


ELSEWHERE = {  # what takes minutes, and the tests that use it
    "zoo": "profiling/test_profiling_samplers.py",  # captures every model
    "host": "profiling/test_profiling_profile.py",  # compiles
    "rtl": "profiling/test_profiling_rtl.py",
    "qemu": "targets/test_targets_qemu.py",
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_used_elsewhere_is_used_there(name):
    assert f'"{name}"' in (TESTS / ELSEWHERE[name]).read_text()


@cache
def shipped():
    """The shipped specs, completed."""
    return [spec.load(path).data for path in sorted(paths.shipped("specs").glob("*.yaml"))]


def table(kind="linear"):
    rng = np.random.default_rng(0)
    shapes = rng.integers(8, 200, (12, 2))
    rows = [
        {"kind": kind, "in_channels": a, "out_channels": b, "act_bits": bits, "weight_bits": bits}
        for a, b in shapes
        for bits in (2, 4, 8)
    ]
    made = kernel_table(rows)
    bits = made["weight_bits"]
    return made.assign(
        latency=200 + made["macs"] * bits / 8, network=made["in_channels"] % 2, dataset=bits % 3, device=bits % 3
    )


def use_model(name, tmp_path):
    """As narrow as it can be had: tests/models has the sizes."""
    narrow = {"width": 0.125} if "width" in MODELS.info(name).meta.get("params", {}) else {}
    check_model(name, **narrow)


def use_step(name, tmp_path):
    """It follows the contract, and at least one shipped spec has it; specs are run by the tests of tests/cli and tests/pipeline."""
    step = STEPS.get(name)()
    assert isinstance(step, Step) and step.VERSION >= 1 and isinstance(STEPS.info(name).meta["order"], int)
    specs = [data for data in shipped() if name in data["steps"]]
    assert specs, "no shipped spec has this step"
    for data in specs[:3]:  # the inputs of a profile hold the code of all its kernels
        canonical(plain(step.inputs(build(Sections, data))))


def use_loader(name, tmp_path):
    """tests/data/test_data_catalog.py loads every task of the catalog, and has no loader without one."""
    from mico_runner.data import LOADERS

    assert next(iter(inspect.signature(LOADERS.get(name)).parameters)) == "files"
    assert "test_every_entry_can_be_used" in (TESTS / "data/test_data_catalog.py").read_text()


def use_sampler(name, tmp_path):
    from mico_runner.profiling.samplers import SAMPLERS

    if name in ELSEWHERE:
        return
    ranges = {"in_channels": [4, 64], "out_channels": [4, 64]}
    shapes = SAMPLERS.get(name)("linear", ranges, 5, np.random.default_rng(0))
    assert 1 <= len(shapes) <= 5 and (kernel_table([{"kind": "linear"} | shape for shape in shapes])["macs"] > 0).all()


def use_target(name, tmp_path):
    from mico_runner.data.profile_csv import UNITS
    from mico_runner.targets import TARGETS

    target = TARGETS.get(name)()
    assert target.unit in UNITS
    if name in ELSEWHERE:
        return
    raise AssertionError("say in ELSEWHERE where it is used: a target compiles")


def use_accelerator(name, tmp_path):
    """On its first device; tests/accelerators has more."""
    device = next(d for d in map(hardware.load, hardware.names()) if d.kind == name)
    canonical(target_of(name).conditions({"linear": linear_layers()}, device))
    check_accelerator(name, device.name, tmp_path)


def use_algorithm(name, tmp_path):
    from mico_runner.search import run

    problem = network(layers=3, budget=8)
    result = run(problem, name, seed=0)
    assert 1 <= len(result.configs) <= 8 and problem.space.contains(result.configs).all()


def use_strategy(name, tmp_path):
    from mico_runner.proxy import STRATEGIES

    rows, estimator = table(), STRATEGIES.get(name)()
    if name == "network-transfer":  # of networks, not of kernels
        rows = pd.DataFrame({"op0": [0, 1, 2] * 6, "op1": [0, 1] * 9}).assign(
            other=lambda each: 1 + each.op0 + each.op1
        )
        estimator.set_params(sources=["other"])
        rows["latency"] = 2.0 * rows["other"]
    if name == "transfer":
        source = tmp_path / "source.csv"
        kept = rows.drop(columns=["network", "dataset", "device"]).rename(columns={"latency": "latency_cycles"})
        kept.to_csv(source, index=False)
        estimator.set_params(source=str(source))
    if name == "analytical":  # knows a device, not a table
        from mico_runner.accelerators import bitfusion

        rows["latency"] = bitfusion.BitFusion(hardware.load("bitfusion")).cycles(rows)
    predicted = estimator.fit(rows, rows["latency"].to_numpy()).predict(rows)
    assert (predicted > 0).all() and np.abs(predicted / rows["latency"] - 1).mean() < 0.2


def use_features(name, tmp_path):
    check_features(name)


def use_regressor(name, tmp_path):
    check_regressor(name)


def use_protocol(name, tmp_path):
    from mico_runner.validation.protocols import splits

    rows = table()
    for train, test in splits(name, rows, folds=3):
        assert len(train) and len(test) and max(*train, *test) < len(rows)


def use_reproduction(name, tmp_path):
    """Its data set is in the catalog, and a shipped spec has it; tests/reproductions runs it."""
    assert catalog.entry(REPRODUCTIONS.info(name).meta["data"]).files
    assert name in {data["reproduce"]["runs"] for data in shipped() if data["reproduce"]}


def use_operator(name, tmp_path):
    """tests/ops tries the samples of all but those that are part of others when a network is deployed."""
    assert operator(name).name == name
    assert "test_every_operator_is_what_it_says" in (TESTS / "ops/test_ops.py").read_text()


def use_format(name, folder):
    """What is no file of the format is said so; files of it are read in tests/formats."""
    if name in NEEDED:
        pytest.importorskip(name)
    file = folder / f"net.{name}"
    file.write_bytes(b"no network")
    with pytest.raises(UsageError, match=re.escape(file.name)):
        REGISTRIES["mico_runner.formats"].get(name)(file, None)


def use_task(name, tmp_path):
    """Its own tests are tests/tasks; here a network that says nothing of any sample is no better than chance."""
    from mico_runner.tasks import create

    task = create(name)
    assert task.MEASURE.allowed(100) >= 0 and task.MEASURE.text(1.0)
    assert task.knows_nothing(np.array([[[0, 0.5, 0.5, 0.1, 0.1]]] * 4) if name == "detection" else TARGETS[name]) >= 0


def use_policy(name, tmp_path):
    check_policy(name)


TARGETS = {
    "anomaly": np.array([0, 0, 1, 1]),
    "classification": np.array([0, 0, 1, 1]),
    "multi-label": np.array([[0, 1], [1, 1]]),
    "next-token": np.array([[0, 1], [1, 1]]),
    "regression": np.array([[0.0], [1.0]]),
    "segmentation": np.array([[[0, 1], [1, 1]]]),
    "sequence-labelling": np.array([[0, 1], [1, 1]]),
}
NEEDED = ("onnx", "tflite", "safetensors")  # packages of the formats of these names


def use_rounding(name, _):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mico_runner.quant.rounding.reconstruction.Reconstruction.STEPS", 20)
        patch.setattr("mico_runner.quant.rounding.distillation.Distillation.STEPS", 20)
        patch.setattr("mico_runner.quant.rounding.adaround.ITERATIONS", 20)
        check_rounding(name)


LARGE = {("mico_runner.models", name) for name in ("resnet18", "resnet34", "resnet50")}  # minutes each
USES = {
    "mico_runner.models": use_model,
    "mico_runner.formats": use_format,
    "mico_runner.steps": use_step,
    "mico_runner.data": use_loader,
    "mico_runner.profiling.samplers": use_sampler,
    "mico_runner.targets": use_target,
    "mico_runner.accelerators": use_accelerator,
    "mico_runner.search": use_algorithm,
    "mico_runner.proxy.strategies": use_strategy,
    "mico_runner.proxy.features": use_features,
    "mico_runner.proxy.regressors": use_regressor,
    "mico_runner.validation": use_protocol,
    "mico_runner.ops": use_operator,
    "mico_runner.tasks": use_task,
    "mico_runner.quant.rounding": use_rounding,
    "mico_runner.reproductions": use_reproduction,
    "mico_runner.tune": use_policy,
}


@pytest.mark.parametrize(
    ("package", "name"),
    [pytest.param(*entry, marks=[pytest.mark.nightly] * (entry in LARGE), id="-".join(entry)) for entry in ENTRIES],
)
def test_every_entry_works(package, name, tmp_path):
    assert package in USES, "a new registry: say here how an entry of it is used"
    assert callable(REGISTRIES[package].get(name))
    USES[package](name, tmp_path)


def test_no_registry_is_empty():
    assert set(USES) == set(REGISTRIES) and all(registry.names() for registry in REGISTRIES.values())


def test_unknown_name_lists_the_nearest():
    with pytest.raises(UnknownName, match="unknown model 'lenat'; did you mean 'lenet'\\?"):
        MODELS.get("lenat")


@pytest.mark.parametrize("package", REGISTRIES)
def test_the_static_description_matches_the_objects(package):
    registry = REGISTRIES[package]
    for name in registry.names():
        assert registry.info(name).summary, f"{name} has no summary"
        assert registry.get(name).__doc__.split("\n")[0] == registry.info(name).summary


def test_reading_the_heads_of_definitions_finds_what_reading_whole_files_does():
    for path in sorted(paths.PACKAGE.rglob("*.py")):
        if "@register(" in (text := path.read_text(encoding="utf-8")):
            found = [(entry.name, entry.summary, entry.meta) for entry in registry._scan(path, "m")]
            assert found == plugins.heads_of(ast.parse(text)), path


def test_listing_imports_no_entry():
    code = "import sys; from mico_runner.models import MODELS; assert 'lenet' in MODELS.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
