"""What measured times depend on: each part of the machine is told, the host's name is not; measuring steps take it as an input."""

import json
import platform
import subprocess
import sys

import pytest

from mico_runner import machine, spec
from mico_runner.frozen_data import build, plain
from mico_runner.sections import Sections
from mico_runner.steps import STEPS

CPUINFO = "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu sse2 avx2\n"


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A machine of our own: its parts are files and functions that a test may change."""
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    governor = tmp_path / "cpu0" / "cpufreq" / "scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("performance\n")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "GOVERNORS", tmp_path)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(machine, "compiler", lambda: "gcc 12")
    for name in machine.CHOOSES_KERNELS:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def another_processor(fake, monkeypatch):
    (fake / "cpuinfo").write_text(CPUINFO.replace("Some", "Other"))


def hidden_instructions(fake, monkeypatch):
    (fake / "cpuinfo").write_text(CPUINFO.replace(" avx2", ""))


def another_arm(fake, monkeypatch):
    (fake / "cpuinfo").write_text("CPU implementer\t: 0x41\nCPU part\t: 0xd0b\nFeatures\t: fp asimd\n")


def more_cores(fake, monkeypatch):
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 8)


def another_compiler(fake, monkeypatch):
    monkeypatch.setattr(machine, "compiler", lambda: "gcc 13")


def no_compiler(fake, monkeypatch):
    monkeypatch.setattr(machine, "compiler", lambda: None)


def another_governor(fake, monkeypatch):
    (fake / "cpu0" / "cpufreq" / "scaling_governor").write_text("powersave\n")


def one_core_of_another_governor(fake, monkeypatch):
    (fake / "cpu1" / "cpufreq").mkdir(parents=True)
    (fake / "cpu1" / "cpufreq" / "scaling_governor").write_text("powersave\n")


def another_blas_kernel(fake, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")


def another_torch_kernel(fake, monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")


CHANGES = [
    another_processor,
    hidden_instructions,
    another_arm,
    more_cores,
    another_compiler,
    no_compiler,
    another_governor,
    one_core_of_another_governor,
    another_blas_kernel,
    another_torch_kernel,
]


def renamed(fake, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "another-name")
    monkeypatch.setenv("HOSTNAME", "another-name")


def busier(fake, monkeypatch):
    """The clock of the moment stands in cpuinfo, too."""
    (fake / "cpuinfo").write_text(CPUINFO + "cpu MHz\t\t: 1234.5\n")


SPEC = """\
spec_version: 1
name: measured
extends: templates/host.yaml
datasets: {task: digits}
model: {name: mlp}
calibrate: {networks: []}
simulate: {target: host}
profile: {target: host, shapes: 2, bits: {weight: [8], activation: [8]}, kernels: {linear: {in_channels: [4, 8], out_channels: [4, 8]}}}
"""


@pytest.fixture
def resolved(tmp_path):
    path = tmp_path / "measured.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return spec.load(path).data


def inputs(step, data):
    return json.dumps(plain(STEPS.get(step)().inputs(build(Sections, data))), sort_keys=True)


@pytest.mark.parametrize("step", ["calibrate", "simulate", "profile"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_another_machine_is_another_input_of_what_is_measured(step, change, fake, resolved, monkeypatch):
    before = inputs(step, resolved)
    change(fake, monkeypatch)
    assert inputs(step, resolved) != before


@pytest.mark.parametrize("step", ["calibrate", "simulate", "profile"])
@pytest.mark.parametrize("change", [renamed, busier], ids=lambda change: change.__name__)
def test_a_name_and_the_moment_are_not(step, change, fake, resolved, monkeypatch):
    before = inputs(step, resolved)
    change(fake, monkeypatch)
    assert inputs(step, resolved) == before


def test_what_is_simulated_does_not_depend_on_the_machine(fake, resolved, monkeypatch):
    data = {**resolved, "simulate": {**resolved["simulate"], "target": "systolic"}}
    before = inputs("simulate", data)
    another_processor(fake, monkeypatch)
    assert inputs("simulate", data) == before
    both = {**resolved, "simulate": {**resolved["simulate"], "target": ["systolic", "host"]}}
    assert "Other CPU" in inputs("simulate", both)


def test_a_system_that_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(machine, "GOVERNORS", tmp_path / "none")
    monkeypatch.setattr(machine.shutil, "which", lambda tool: None)
    found = machine.describe()
    assert found["cpu"] and found["instructions"] == [] and found["governor"] is None and found["compiler"] is None


def test_it_is_light():
    code = "import sys; from mico_runner import machine; machine.describe(); sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
