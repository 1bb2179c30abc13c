"""`make vexii` in a generated folder: an ELF as VexiiRiscv's test bench loads it, run on QEMU's machine "virt"."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from mico_runner import codegen
from mico_runner.targets.one_kernel import single_layer

GCC, QEMU = "riscv64-unknown-elf-gcc", "qemu-system-riscv32"
BEGIN = 0x80000000

pytestmark = pytest.mark.skipif(not (shutil.which(GCC) and shutil.which(QEMU)), reason=f"needs {GCC} and {QEMU}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("vexii")
    rng = np.random.default_rng(0)
    graph = single_layer("linear", in_channels=24, out_channels=5, weight_bits=4, act_bits=8, rng=rng)
    codegen.generate(graph, made, runtime="baremetal")
    subprocess.run(["make", "-s", "-C", str(made), "vexii"], check=True, capture_output=True)
    return made


def emulated(elf):
    command = [QEMU, "-machine", "virt", "-bios", "none", "-m", "128M", "-display", "none", "-monitor", "none"]
    return subprocess.run(
        [*command, "-serial", "stdio", "-kernel", str(elf)], capture_output=True, text=True, timeout=60
    )


def test_the_program_passes(folder):
    (elf,) = folder.glob("build/vexii/*.elf")
    ran = emulated(elf)
    assert ran.returncode == 0, ran.stderr
    assert "output 0: " in ran.stdout and "0 of 5 outputs are wrong" in ran.stdout
    assert int(re.search(r"(\d+) cycles", ran.stdout)[1]) > 100


def test_what_the_bench_looks_for_is_there(folder):
    (elf,) = folder.glob("build/vexii/*.elf")
    listed = subprocess.run(["riscv64-unknown-elf-nm", str(elf)], check=True, capture_output=True, text=True).stdout
    places = {name: int(at, 16) for at, kind, name in (line.split() for line in listed.splitlines()) if kind in "Tt"}
    assert places["_start"] == BEGIN < places["pass"] < places["fail"]


def test_a_wrong_output_fails(folder, tmp_path):
    wrong = tmp_path / "wrong"
    shutil.copytree(folder, wrong)
    (vector,) = wrong.glob("example/*_test_vector.h")
    text = vector.read_text()
    at = text.index("{", text.index("_test_output"))
    vector.write_text(text[: at + 1] + " 123456789 +" + text[at + 1 :])
    subprocess.run(["make", "-s", "-C", str(wrong), "vexii"], check=True, capture_output=True)
    (elf,) = wrong.glob("build/vexii/*.elf")
    ran = emulated(elf)
    assert ran.returncode == 1 and "1 of 5 outputs are wrong" in ran.stdout


def test_a_core_without_the_counter_passes_and_says_0(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    start = other / "boards/vexii/start.S"
    start.write_text(start.read_text().replace("mcycle", "0x7c0"))  # a register that no core of QEMU's has
    (elf,) = other.glob("build/vexii/*.elf")
    elf.unlink()
    subprocess.run(["make", "-s", "-C", str(other), "vexii"], check=True, capture_output=True)
    ran = emulated(elf)
    assert ran.returncode == 0 and "\n0 cycles" in ran.stdout
