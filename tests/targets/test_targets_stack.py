"""The stack's bound: exact where the deepest path runs, never below what was measured, and an error where there is none."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from mico_runner import codegen
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import StepError
from mico_runner.targets import qemu, stack
from mico_runner.targets.one_kernel import single_layer

RISCV = qemu.MACHINES["rv32"].gcc
each_machine = pytest.mark.parametrize(
    "on",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not all(map(shutil.which, (board.gcc, board.qemu, "make"))),
                reason=f"needs {board.gcc}, {board.qemu} and make (make setup-qemu)",
            ),
        )
        for name, board in qemu.MACHINES.items()
    ],
)
needs_gcc = pytest.mark.skipif(shutil.which(RISCV) is None, reason=f"needs {RISCV} (make setup-qemu)")


def layer(**changes):
    shape = {"kind": "conv2d", "in_channels": 5, "in_h": 7, "in_w": 6, "kernel_h": 3, "kernel_w": 2}
    outputs = {} if "kind" in changes else {"out_channels": 6}
    return single_layer(**{**shape, **outputs, **changes}, rng=np.random.default_rng(0))


def measured_and_bound(graphs, folder, on: str, core: str | None = None) -> tuple[int, stack.Bound]:
    codegen.generate_networks(graphs, folder, KernelPolicy.of("baremetal", core), core)
    elf = qemu.build(folder, on)
    tensors = [graph.tensors[graph.input] for graph in graphs]
    images = [np.random.default_rng(1).integers(0, t.type.qmax + 1, (1, *t.shape)) for t in tensors]
    return qemu.run(elf, images, on).stack_bytes, qemu.stack_bound(elf, on)


@each_machine
def test_it_is_what_the_deepest_path_uses(tmp_path, on):
    measured, worst = measured_and_bound([layer(in_channels=6, groups=3, weight_bits=3)], tmp_path, on)
    assert worst.path[:3] == ("main", "forward_0", "conv2d_forward")
    assert worst.bytes - 16 <= measured <= worst.bytes  # a frame ends at 16 bytes


@each_machine
def test_it_is_what_the_deepest_of_the_depthwise_kernels_uses(tmp_path, on):
    """The deepest one with four rows in a word on RV32IM, with two on Cortex-M3."""
    shape = {"kind": "depthwise", "in_channels": 64, "in_h": 18, "in_w": 18, "kernel_w": 3, "weight_bits": 3}
    graphs = [layer(**shape, act_bits=2), layer(**shape, act_bits=8, stride=3)]
    named = [replace(graph, name=f"n{i}") for i, graph in enumerate(graphs)]
    measured, worst = measured_and_bound(named, tmp_path, on)
    assert "mico_depthwise" in worst.path
    assert worst.bytes - 16 <= measured <= worst.bytes  # a frame ends at 16 bytes


@each_machine
@pytest.mark.parametrize(
    "core", [None, "fullcfu-dot"]
)  # whose kernels, on QEMU the model of the unit, call through pointers
def test_it_is_never_below_what_was_measured(tmp_path, on, core):
    bits = [(8, 8), (4, 8), (8, 4), (4, 4), (2, 2), (1, 1), (3, 5)]
    graphs = [replace(layer(weight_bits=w, act_bits=a), name=f"n{i}") for i, (w, a) in enumerate(bits)]
    kernel = {"kernel_h": 2, "kernel_w": 2, "rng": np.random.default_rng(2)}
    graphs.append(single_layer("max_pool2d", in_channels=3, in_h=4, in_w=4, **kernel))
    measured, worst = measured_and_bound(graphs, tmp_path, on, core)
    assert measured <= worst.bytes < 2048
    assert worst.path[0] == "main" and worst.path[1].startswith("forward_")  # through a table of pointers


def bound_of(tmp_path, text: str, flags: str = "-O1") -> stack.Bound:
    """Of a program of one file, which is not run."""
    (tmp_path / "main.c").write_text(text)
    target = ["-march=rv32im", "-misa-spec=2.2", "-mabi=ilp32", "-nostdlib", "-ffreestanding"]
    command = [RISCV, *target, *flags.split(), stack.CFLAG, "-Wl,-e,main", "-o", "x.elf", "main.c", "-lgcc"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return stack.bound(tmp_path / "x.elf", RISCV.removesuffix("gcc") + "nm")


USE = "static __attribute__((noinline)) int use(volatile char *p) { return p[0] + p[1]; }"


@needs_gcc
def test_of_two_branches_the_deeper_one_counts(tmp_path):
    branch = "__attribute__((noinline)) int {0}(int x) {{ volatile char room[{1}]; room[x] = 1; return use(room); }}"
    both = f"{USE} {branch.format('small', 100)} {branch.format('large', 1000)}"
    worst = bound_of(tmp_path, f"{both} int main(void) {{ volatile int x = 1; return x ? small(x) : large(x); }}")
    assert worst.path[:2] == ("main", "large")
    assert 1000 < worst.bytes < 1100


@needs_gcc
def test_a_function_that_was_merged_with_an_equal_one_counts_as_that(tmp_path):
    body = "(int x) { volatile char room[500]; room[x] = 1; return use(room); }"
    twins = " ".join(f"static __attribute__((noinline)) int {name}{body}" for name in ("first", "second"))
    worst = bound_of(tmp_path, f"{USE} {twins} int main(void) {{ return first(1) + second(2); }}", "-O2")
    assert 500 < worst.bytes < 600
    assert {"first", "second"} & set(worst.path)


@needs_gcc
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{USE} __attribute__((noinline)) int f(int n) {{ char r[9]; r[0] = 0; return n ? f(n - 1) * use(r) : 0; }} "
            "int main(void) { volatile int n = 3; return f(n); }",
            "the stack has no bound: f calls f",
        ),
        (
            f"{USE} int main(void) {{ volatile int n = 3; char room[n]; room[0] = 0; return use(room); }}",
            "the frame of main is dynamic",
        ),
        (
            "int main(void) { volatile unsigned long long n = 3; return (int)(n / (n + 1)); }",
            "main calls __udivdi3, whose frame gcc has not seen",
        ),
        (
            "int main(void) { int (*volatile f)(void) = (int (*)(void))256; return f() + 1; }",
            "main calls through a pointer",
        ),
    ],
)
def test_where_there_is_no_bound_it_is_an_error(tmp_path, text, message):
    with pytest.raises(StepError, match=message):
        bound_of(tmp_path, text)


@needs_gcc
def test_a_program_without_a_call_graph(tmp_path):
    with pytest.raises(StepError, match="no call graph with 'main' beside it"):
        bound_of(tmp_path, "int other(void); int other(void) { return 0; } ", "-Wl,-e,other")
