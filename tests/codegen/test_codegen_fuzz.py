"""A few random kernel calls on each target against the reference; `make fuzz` runs thousands."""

from __future__ import annotations

import importlib.util
import shutil
import sys

import numpy as np
import pytest

from mico_runner.codegen import micro
from mico_runner.errors import StepError
from mico_runner.targets import qemu, rtl
from tests.fuzz import driver
from tests.fuzz.__main__ import fuzz, main, survey
from tests.fuzz.cases import Setting, random_case

TOOLS = {
    **dict.fromkeys(driver.HOSTS, ("gcc",)),
    **{name: (board.gcc, board.qemu) for name, board in qemu.MACHINES.items()},
    **dict.fromkeys(rtl.CORES, ("verilator", "riscv64-unknown-elf-gcc", "g++", "make")),
}


def needs(target: str) -> None:
    missing = [tool for tool in TOOLS[target] if shutil.which(tool) is None]
    if target in rtl.CORES and importlib.util.find_spec(rtl.CORES[target].package) is None:
        missing.append(rtl.CORES[target].package)
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


MORE = [("host", 60), ("avx2", 30), ("native", 30), *((name, 10) for name in qemu.MACHINES), ("full", 3), ("ibex", 3)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "cases"), [pytest.param(*more, marks=pytest.mark.nightly) for more in [("host", 1), *MORE]]
)
def test_random_calls_of_every_kernel(target, cases, tmp_path):
    needs(target)
    done, failures = fuzz(target, cases, seed=7, folder=tmp_path)
    assert not failures, failures
    assert min(done.values()) >= cases
    assert {"mico_conv2d", "mico_linear", "mico_add", "mico_transpose", "mico_conv2d_bytes_8x8"} <= set(done)
    assert {"mico_conv2d_simd", "mico_conv2d_dot", "mico_conv2d_signs", "mico_depthwise"} <= set(done)
    assert {"mico_conv2d_dsp_1", "mico_conv2d_dsp_8", "mico_depthwise_dsp"} <= set(done)
    assert {"mico_conv2d_mve_1_narrow", "mico_conv2d_mve_8", "mico_depthwise_mve"} <= set(done)
    assert {"mico_conv2d_mla_4", "mico_conv2d_mla_8"} <= set(done)


@pytest.mark.nightly
def test_random_calls_on_the_dot_product_unit(tmp_path):
    needs("fullcfu-dot")
    done, failures = fuzz("fullcfu-dot", 3, seed=7, folder=tmp_path)
    assert not failures, failures
    assert min(done["mico_conv2d_dot"], done["mico_max_pool2d_dot"]) >= 3


def some_cases(count: int = 60):
    rng = np.random.default_rng(3)
    settings = [Setting(kind, 4, 8, False, True, "plain") for kind in ("conv2d", "linear", "max_pool2d")]
    return [random_case(settings[i % 3], rng) for i in range(count)]


def broken_kernels(tmp_path, monkeypatch, old: str, new: str) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(driver.KERNELS, folder)
    text = (folder / "mico.h").read_text()
    assert old in text
    (folder / "mico.h").write_text(text.replace(old, new))
    monkeypatch.setattr(driver, "KERNELS", folder)


def test_a_few_random_calls(tmp_path):
    needs("host")
    cases = some_cases()
    functions = sorted({driver.Function.of(call) for case in cases for call in case.calls})
    found = driver.run(cases, functions, "host", tmp_path)
    assert all(np.array_equal(x, case.expected) for x, case in zip(found, cases, strict=True))


@pytest.mark.nightly
def test_every_tiled_kernel_is_among_the_cases():
    assert len(micro.UNITS) > 80
    assert set(micro.UNITS) <= set(survey()[1])


def test_a_wrong_rounding_is_found(tmp_path, monkeypatch):
    needs("host")
    broken_kernels(tmp_path, monkeypatch, "(acc + ((int64_t)1 << (shift - 1))) >> shift", "acc >> shift")
    cases = some_cases()
    functions = sorted({driver.Function.of(call) for case in cases for call in case.calls})
    found = driver.run(cases, functions, "host", tmp_path)
    assert any(not np.array_equal(x, case.expected) for x, case in zip(found, cases, strict=True))


def test_a_read_beyond_a_tensor_is_found(tmp_path, monkeypatch):
    needs("host")
    beyond = "acc += u[i] * w[i] + 0 * ((const volatile uint8_t *)u)[n];"
    broken_kernels(tmp_path, monkeypatch, "acc += u[i] * w[i];", beyond)
    cases = some_cases()
    functions = sorted({driver.Function.of(call) for case in cases for call in case.calls})
    with pytest.raises(StepError, match="AddressSanitizer: heap-buffer-overflow"):
        driver.run(cases, functions, "host", tmp_path)


def test_a_mismatch_ends_the_command_with_1(monkeypatch, capsys):
    from collections import Counter

    monkeypatch.setattr(
        sys, "argv", ["fuzz", "--host", "5", "--simd", "0", "--qemu", "0", "--rtl", "0", "--operators", "0"]
    )
    monkeypatch.setattr("tests.fuzz.__main__.fuzz", lambda *_: (Counter({"mico_add": 5}), ["mico_add: it differs"]))
    assert main() == 1
    out = capsys.readouterr().out
    assert "5 cases, 1 mismatches" in out and "mico_add: it differs" in out
