"""The targets of the package meet the suite that it installs for those of others."""

import itertools
import shutil
from dataclasses import replace

import pytest

from mico_runner.errors import StepSkipped
from mico_runner.targets import TARGETS
from mico_runner.targets.base import Target
from mico_runner.targets.host_kernels import Host
from mico_runner.testing import check_target

DEVICES = {"host": "host", "qemu": "cortex-m3", "rtl": "vexriscv-lite"}


def test_every_target_is_tried():
    assert DEVICES.keys() == set(TARGETS.names())


NIGHTLY = (
    "host",
    "rtl",
)  # the host compiles all kernels again for each timing, verilator makes the core; both run in many tests by day


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] * (name in NIGHTLY)) for name in DEVICES]
)
def test_it_meets_the_suite(name, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    try:
        check_target(name, DEVICES[name], tmp_path)
    except StepSkipped as reason:
        pytest.skip(str(reason))


class Wrong(Target):
    """A target that keeps none of its promises; each attribute brings one back."""

    unit = "ns"

    def conditions(self, tables, hardware):
        return {"clock": next(CALLS)} if self.UNSTEADY else {"clock": 1}

    def run(self, program, inputs, hardware, work):
        ran = Host().run(program, inputs, hardware, work)
        return replace(ran, outputs=ran.outputs + 1) if self.OTHER else replace(ran, layers={})

    UNSTEADY = OTHER = False


CALLS = itertools.count()
MISTAKES = {
    "its conditions are": {"UNSTEADY": True},
    "other outputs than the reference's": {"OTHER": True},
    "latencies of": {},
    "its runtime is 'baremetal'": {"runtime": "baremetal"},
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_found(words, tmp_path, monkeypatch):
    if shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    monkeypatch.setattr(TARGETS, "get", lambda name: type("Wrong", (Wrong,), MISTAKES[words]))
    with pytest.raises(AssertionError, match=words):
        check_target("host", "host", tmp_path)
