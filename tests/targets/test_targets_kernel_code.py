"""Hashes of the kernels that rows run: words, comments and other kernels do not count; instructions and decisions do."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from mico_runner import codegen, hardware, profiling
from mico_runner.codegen import emit, lowering
from mico_runner.codegen.program import Call
from mico_runner.frozen_data import build
from mico_runner.sections import Profile
from mico_runner.targets import TARGETS, qemu, rtl
from mico_runner.targets.kernel_code import Compiler
from mico_runner.targets.one_kernel import single_layer

SECTION = build(
    Profile,
    {
        "sampler": "lhs",
        "shapes": 4,  # all of kernels that compile at once
        "bits": {
            "weight": [3, 7],
            "activation": [8],
        },  # no kernel for wide registers takes these, nor a tiled one so few outputs
        "kernels": {
            "linear": {"in_channels": [8, 64], "out_channels": [1, 3]},
            "add": {"in_channels": [4, 8], "in_h": [3, 8]},
        },
        "target": "host",
        "repeats": 1,
        "seed": 0,
    },
)
DEVICES = {
    "host": ("host", "gcc"),
    "rtl": ("vexriscv-lite", rtl.GCC),
    "qemu": ("cortex-m3", qemu.MACHINES["cortex-m3"].gcc),
}


@pytest.fixture(params=DEVICES)
def kernels(request, tmp_path, monkeypatch):
    """What `Target.kernels` gives with a copy of the C kernels, in which a test may edit files."""
    device, gcc = DEVICES[request.param]
    if shutil.which(gcc) is None:
        pytest.skip(f"{gcc} is missing (make setup-rtl, make setup-qemu)")
    shutil.copytree(emit.KERNELS, tmp_path / "kernels")
    monkeypatch.setattr(emit, "KERNELS", tmp_path / "kernels")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def found(edits=(), section=SECTION) -> dict[str, dict[str, str]]:
        for file, before, after in edits:
            path = tmp_path / "kernels" / file
            text = path.read_text()
            assert re.search(before, text), f"{file} has no {before}: the edit is to be brought up to date"
            path.write_text(re.sub(before, after, text))
        about = profiling.conditions(replace(section, target=request.param), hardware.load(device))
        return about["kernels"]

    return found


def test_words_and_other_kernels_do_not_count(kernels, monkeypatch):
    before = kernels()
    assert before == kernels()
    renamed = {
        "mico_rescale": "mico_scaled",
        "MICO_S32": "MICO_WORDS",
        "multiplier_a": "factor_a",
        "mico_add": "mico_sum",
    }
    pattern, members = re.compile(rf"\b({'|'.join(renamed)})\b(?!\.h)"), emit.members

    def new(found: re.Match) -> str:
        return renamed[found[1]]

    edits = [(path.name, pattern, new) for path in emit.KERNELS.iterdir() if pattern.search(path.read_text())]
    edits += [
        ("mico.h", "#define MICO_INLINE", "\n/* A new line. */\n#define MICO_INLINE"),
        (
            "mico_linear.c",
            r"\Z",
            "\nint32_t mico_new(int32_t n);\n\nint32_t mico_new(int32_t n)\n{\n    return 7 * n;\n}\n",
        ),
    ]
    (emit.KERNELS / "mico_operator.c").write_text('#include "mico.h"\n')
    monkeypatch.setattr(emit, "members", lambda *call: [pattern.sub(new, line) for line in members(*call)])
    monkeypatch.setattr(
        Call, "function", property(lambda call: pattern.sub(new, f"mico_{call.variant or call.kernel}"))
    )
    assert kernels(edits) == before


def test_an_instruction_counts_for_the_kinds_that_run_it(kernels):
    before = kernels()
    after = kernels([("mico_add.c", r"\* p->multiplier_a", "* (p->multiplier_a ^ 1)")])
    assert after["linear"] == before["linear"]
    assert after["add"]["calls_sha256"] == before["add"]["calls_sha256"]
    assert after["add"]["code_sha256"] != before["add"]["code_sha256"]


def test_a_function_that_kernels_share_counts_for_all(kernels):
    before = kernels()
    after = kernels([("mico.h", r"acc >= 0 \? 1 : -1", "acc >= 1 ? 1 : -1")])
    assert all(after[kind]["code_sha256"] != before[kind]["code_sha256"] for kind in before)


def test_what_is_decided_for_a_row_counts(kernels, monkeypatch):
    before = kernels()
    emitted = lowering.Lowering._call

    def more_scratch(self, node, kernel, inputs, output, fields, weights=None, **more):
        if kernel != "add" and weights is not None:
            more["scratch_words"] = 8 + (more.get("scratch_words") or weights.taps)
        emitted(self, node, kernel, inputs, output, fields, weights, **more)

    monkeypatch.setattr(lowering.Lowering, "_call", more_scratch)
    after = kernels()
    assert after["add"] == before["add"]
    assert after["linear"]["code_sha256"] == before["linear"]["code_sha256"]
    assert after["linear"]["calls_sha256"] != before["linear"]["calls_sha256"]


def test_other_rows_are_other_calls_of_the_same_code(kernels):
    before, after = kernels(), kernels(section=replace(SECTION, shapes=5))
    assert {kind: found["code_sha256"] for kind, found in after.items()} == {
        k: f["code_sha256"] for k, f in before.items()
    }
    assert all(after[kind]["calls_sha256"] != before[kind]["calls_sha256"] for kind in before)


def test_without_a_compiler_a_profile_can_be_planned(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    for target, (device, _) in DEVICES.items():
        about = profiling.conditions(replace(SECTION, target=target), hardware.load(device))
        assert about["kernels"] is None and about["compiler"] is None


@pytest.mark.skipif(not shutil.which("make"), reason="make is missing")
@pytest.mark.parametrize(
    ("target", "device", "product"),
    [
        ("host", "host", "build/mico_conv2d_simd.o"),
        ("rtl", "vexriscv-full", "build/rtl/linear.o"),
        ("rtl", "vexriscv-fullcfu-dot", "build/rtl/linear.o"),
        ("qemu", "cortex-m3", "build/cortex-m/linear.o"),
    ],
)
def test_the_generated_makefile_has_the_same_options(target, device, product, tmp_path, monkeypatch):
    """An option that is missing here would hash other code than runs."""
    graph = single_layer("linear", in_channels=64, out_channels=8, rng=np.random.default_rng(0))
    device = hardware.load(device)
    codegen.generate(graph, tmp_path, runtime="host" if target == "host" else "baremetal", core=device.core)
    monkeypatch.setenv("MAKEFLAGS", "")
    said = subprocess.run(["make", "-n", "-C", tmp_path, product], capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in said.splitlines() if " -o " in line]
    theirs = {word for word in line.split() if word.startswith(("-m", "-f", "-O", "-std", "-D"))}
    layout = {"-DMICO_TIMING", "-DMICO_PLACED", "-DMICO_ARENA_ALIGNED"}  # of the networks' own C, not of kernels
    seen: list[Compiler] = []
    conditions = TARGETS.get(target)().conditions({}, device) | {"native": "-march=native"}
    for module in ("host_kernels", "board_kernels"):
        monkeypatch.setattr(f"mico_runner.targets.{module}.version_of", lambda gcc: "any")
        monkeypatch.setattr(f"mico_runner.targets.{module}.describe", lambda rows, gcc: seen.append(gcc) or {})
    tables = {"linear": profiling.sample("linear", SECTION, 1)}
    TARGETS.get(target)().kernels(tables, device, conditions)
    assert {*seen[0].language, *seen[0].options} == theirs - layout
