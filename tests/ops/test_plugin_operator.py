"""An operator that the package lacks is one file outside of it: from a spec to C that computes the same integers, on every target."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mico_runner import cli, plugins, spec
from mico_runner.calibration import estimator, machine
from mico_runner.calibration.capture import capture
from mico_runner.calibration.cases import OPERATIONS
from mico_runner.codegen.emit import kernel_files
from mico_runner.errors import StepError, UsageError
from mico_runner.ops import OPERATORS
from mico_runner.targets import qemu
from mico_runner.testing import check_operator
from tests.fuzz.operators import fuzz_operators

ASINH = '''
import torch

from mico_runner.ops import register
from mico_runner.ops.table import Table


@register("asinh")
class Asinh(Table):
    """log(x + sqrt(x * x + 1)): linear near zero, logarithmic on both sides."""

    ATEN = ("asinh.default",)

    def real(self, node, x):
        return torch.asinh(x[0])
'''
MODEL = '''
import torch
from torch import nn

from mico_runner.models import register


class Asinh(nn.Module):
    def forward(self, x):
        return torch.asinh(x)


@register("own")
def own(input_shape, classes):
    """A convolution and a linear layer behind functions that the package lacks."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 8, 3, stride=2),
        Asinh(),
        nn.Flatten(),
        nn.Linear(8 * ((input_shape[1] - 1) // 2) * ((input_shape[2] - 1) // 2), 16),
        nn.Threshold(-0.2, 0.1),
        nn.Linear(16, classes),
    )
'''
SPEC = """
spec_version: 1
name: own
plugins: [own]
hardware: host
datasets: {task: digits, validation: 300}
model: {name: own, train: {epochs: 10, lr: 0.01}}
search:
  space: {weight_bits: [4, 8], activation_bits: [8]}
  algorithm: random
  objectives: [accuracy, flash_bytes]
  budget: {evaluations: 2}
codegen: {target: c}
simulate: {target: host, images: 100, sanitize: true}
"""
CALIBRATE = """
spec_version: 1
name: own
plugins: [own/asinh.py]
calibrate: {networks: []}
"""
PAGE = Path(__file__).parents[2] / "docs/howto/kernel.md"
SHOWN = re.compile(r"`(\w+\.[pych]+)`:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILES = {
    "own/asinh.py": ASINH,
    # An operator with a kernel of its own, as the documentation has it.
    **{f"own/{name}": text for name, text in SHOWN.findall(PAGE.read_text(encoding="utf-8"))},
    "own/model.py": MODEL,
    "own.yaml": SPEC,
}


class Asinh(torch.nn.Module):
    def forward(self, x):
        return torch.asinh(x)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    for name, content in FILES.items():
        (tmp_path / name).write_text(content.lstrip("\n"), encoding="utf-8")
    yield tmp_path
    plugins.use(())


def test_an_operator_that_is_a_table_is_a_short_file():
    plugins.use(())
    assert len(ASINH.strip().splitlines()) <= 40
    assert not {"asinh", "threshold"} & set(OPERATORS.names())
    assert {"own/threshold.py", "own/mico_threshold.c", "own/mico_threshold.h"} < set(FILES)


@pytest.mark.parametrize("name", ["asinh", "threshold"])
def test_they_meet_the_suite_of_the_package(name, folder, tmp_path):
    plugins.use([folder / f"own/{name}.py"])
    boards = [b for b, m in qemu.MACHINES.items() if shutil.which(m.gcc) and shutil.which(m.qemu)]
    check_operator(name, tmp_path / "c", boards=tuple(boards))


def test_it_is_fuzzed_without_a_line_elsewhere(folder, tmp_path):
    kernel = folder / "own/mico_threshold.c"
    kernel.write_text(kernel.read_text().replace("value > p->limit", "value >= p->limit"))
    plugins.use([folder / "own/asinh.py", folder / "own/threshold.py"])
    assert fuzz_operators(1, 0, tmp_path, only="asinh") == ({"asinh": 1}, [])
    _, failures = fuzz_operators(1, 0, tmp_path, only="threshold")
    assert len(failures) == 1 and "C differs from integer() for ['threshold']" in failures[0]


def test_it_is_calibrated_without_a_line_elsewhere(folder, tmp_path, monkeypatch):
    """Named or by default it is measured over decades of sizes, and a network that calls it gets a latency that stands on them."""
    (folder / "own.yaml").write_text(CALIBRATE)
    section = spec.load(folder / "own.yaml").sections.calibrate
    assert section.operations[-1] == "asinh" and set(OPERATIONS) < set(section.operations)
    section = replace(section, operations=("asinh",))
    monkeypatch.setattr(machine, "SECONDS_PER_CASE", {"quick": 0.005})
    points = machine.measure(section, tmp_path / "points.jsonl")
    assert max(p["bytes"] for p in points) > 1000 * min(p["bytes"] for p in points)
    calls = capture(torch.nn.Sequential(torch.nn.ReLU(), Asinh()), (torch.ones(1, 64, 56, 56),))
    assert calls["op"].tolist() == ["act_ReLU", "asinh"]
    model = estimator.estimator(points, "fp32", 0)
    assert model.standing(calls)[1] == "measured" and model.predict(calls)[1] > 0


def test_a_call_that_another_operator_takes_is_found(folder, tmp_path):
    path = folder / "own/asinh.py"
    path.write_text(ASINH.replace("asinh.default", "sigmoid.default"))
    plugins.use([path])
    with pytest.raises(AssertionError, match=r"'sigmoid' takes sigmoid\.default, too"):
        check_operator("asinh", tmp_path / "c")


def test_a_wrong_kernel_is_found(folder, tmp_path):
    kernel = folder / "own/mico_threshold.c"
    kernel.write_text(kernel.read_text().replace("value > p->limit", "value >= p->limit"))
    plugins.use([folder / "own/threshold.py"])
    with pytest.raises(AssertionError, match="C differs from integer"):
        check_operator("threshold", tmp_path / "c")


@pytest.mark.slow
def test_a_spec_runs_with_them_from_training_to_c(folder, capsys):
    command = ["run", str(folder / "own.yaml"), "--outputs", str(folder / "out"), "--quiet"]
    assert cli.main(command) == 0
    version = folder / "out/own/latest"
    assert (version / "steps/codegen/c/mico_threshold.c").is_file()
    metrics = json.loads((version / "metrics.json").read_text(encoding="utf-8"))
    found = {name: figure["value"] for name, figure in metrics.get("metrics", metrics).items()}
    assert found["simulate.logits_mismatches"] == 0 and found["train.test_accuracy"] > 50
    kernel = folder / "own/mico_threshold.c"
    kernel.write_text("/* A comment. */\n" + kernel.read_text())
    assert planned(folder, capsys) == {}
    kernel.write_text(kernel.read_text().replace("i++", "i += 1"))
    changed = planned(folder, capsys)
    assert "mico_threshold.c changed" in changed["codegen"] and "train" not in changed


def planned(folder, capsys):
    """The steps that would run, and why."""
    capsys.readouterr()
    assert cli.main(["plan", str(folder / "own.yaml"), "--outputs", str(folder / "out"), "--json"]) == 0
    return {row["step"]: row["reason"] for row in json.loads(capsys.readouterr().out) if row["action"] == "run"}


def test_validating_runs_none_of_them(folder):
    (folder / "own/asinh.py").write_text(ASINH + "\n1 / 0\n")
    assert cli.main(["validate", str(folder / "own.yaml")]) == 0 and "asinh" in OPERATORS.names()
    with pytest.raises(UsageError, match=r"asinh\.py:\d+: importing this plug-in failed"):
        OPERATORS.get("asinh")


def test_a_name_that_is_taken_is_said(folder, capsys):
    (folder / "own/asinh.py").write_text(ASINH.replace('"asinh")', '"relu")'))
    assert cli.main(["validate", str(folder / "own.yaml")]) == 2
    assert "there is an operator 'relu' already, in mico_runner.ops.relu" in capsys.readouterr().err


def test_two_kernels_of_one_name_are_an_error(folder, capsys):
    for suffix in (".c", ".h"):
        (folder / f"own/mico_threshold{suffix}").rename(folder / f"own/mico_add{suffix}")
    plugins.use([folder / "own/threshold.py"])
    with pytest.raises(StepError, match="two kernels of the name 'mico_add'"):
        kernel_files(["mico_add"])
