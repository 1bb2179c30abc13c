"""Generated C on RTL: results, the protocol, and every way in which a program can fail."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mico_runner import codegen
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import StepError, StepSkipped, UnknownName
from mico_runner.quant import reference
from mico_runner.targets import program, rtl
from mico_runner.targets.one_kernel import single_layer

TOOLS = ("verilator", "riscv64-unknown-elf-gcc", "g++", "make")
PACKAGES = sorted({core.package for core in rtl.CORES.values()})
needs_rtl = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)) or not all(map(importlib.util.find_spec, PACKAGES)),
    reason=f"needs verilator, a RISC-V gcc, {' and '.join(PACKAGES)} (make setup-rtl)",
)


def layer(**changes):
    shape = {"in_channels": 5, "out_channels": 6, "in_h": 7, "in_w": 6, "kernel_h": 3, "kernel_w": 2}
    return single_layer("conv2d", **{**shape, **changes}, rng=np.random.default_rng(0))


def some_images(graph, count: int = 2) -> np.ndarray:
    tensor = graph.tensors[graph.input]
    return np.random.default_rng(1).integers(0, tensor.type.qmax + 1, (count, *tensor.shape))


@pytest.fixture
def folder(tmp_path):
    codegen.generate(layer(), tmp_path / "c", runtime="baremetal")
    return tmp_path / "c"


def replace_main(folder, body: str) -> None:
    """Put a `main` there that misbehaves."""
    out = "#define OUT (*(volatile unsigned *)0xf0000000u)"
    hook = "void mico_layer_hook(int layer); void mico_layer_hook(int layer) { (void)layer; }"
    memory = "void *memset(void *t, int v, unsigned long n); void *memcpy(void *t, const void *f, unsigned long n);"
    (folder / "boards" / "bare.c").write_text(f"{out}\n{hook}\n{memory}\nint main(void);\n{body}\n")


@needs_rtl
@pytest.mark.parametrize(
    ("on", "wait_states"), [("full", 0), ("full", 3), ("lite", 0), ("fullcfu", 0), ("ibex", 0), ("ibex", 2)]
)
def test_outputs_are_those_of_the_reference_on_every_core(tmp_path, on, wait_states):
    graphs = [
        replace(layer(weight_bits=w, act_bits=a), name=f"n{i}")
        for i, (w, a) in enumerate([(8, 8), (4, 8), (1, 2), (3, 5)])
    ]
    graphs.append(replace(layer(groups=5, out_channels=5), name="depthwise"))
    graphs.append(
        single_layer("max_pool2d", in_channels=3, in_h=4, in_w=4, kernel_h=2, kernel_w=2, rng=np.random.default_rng(2))
    )
    codegen.generate_networks(graphs, tmp_path, KernelPolicy.of("baremetal"))
    inputs = [some_images(g) for g in graphs]
    runs = rtl.run(rtl.build(tmp_path), inputs, on=on, wait_states=wait_states)
    for graph, x, run in zip(graphs, inputs, runs, strict=True):
        np.testing.assert_array_equal(run.outputs, reference.run(graph, x))
        assert run.cycles.shape == (2, 1) and run.cycles.min() > 0


@needs_rtl
@pytest.mark.parametrize("on", ["full", "ibex"])
def test_cycles_repeat_exactly_and_grow_with_wait_states(folder, on):
    image = rtl.build(folder)
    first, again, slow = (rtl.run(image, [some_images(layer())], on=on, wait_states=w)[0].cycles for w in (0, 0, 4))
    np.testing.assert_array_equal(first, again)
    assert (slow > first).all()


@needs_rtl
@pytest.mark.parametrize(("weight_bits", "act_bits"), [(8, 8), (4, 8), (2, 2), (1, 1)])
def test_cycles_depend_on_neither_data_nor_scales(tmp_path, weight_bits, act_bits):
    graph = layer(weight_bits=weight_bits, act_bits=act_bits)
    x = some_images(graph)
    cycles = []
    for shift, images in ((30, x), (17, graph.tensors[graph.input].type.qmax - x)):
        constants = graph.nodes[0].constants | {"shift": np.full(6, shift, np.int32)}
        node = replace(graph.nodes[0], constants=constants)
        scaled = replace(graph, nodes=(node,))
        codegen.generate(scaled, tmp_path / str(shift), runtime="baremetal")
        (run,) = rtl.run(rtl.build(tmp_path / str(shift)), [images])
        np.testing.assert_array_equal(run.outputs, reference.run(scaled, images))
        cycles.append(run.cycles)
    np.testing.assert_array_equal(*cycles)


@needs_rtl
def test_fewer_bits_take_fewer_cycles(tmp_path):
    def matrix(weight_bits, act_bits):
        graph = single_layer(
            "linear", in_channels=64, out_channels=32, batch=16, weight_bits=weight_bits, act_bits=act_bits,
            rng=np.random.default_rng(0),
        )  # fmt: skip
        return replace(graph, name=f"n{act_bits}x{weight_bits}")

    graphs = [matrix(*pair) for pair in ((8, 8), (4, 8), (2, 8), (1, 8), (4, 4), (2, 2), (1, 1))]
    codegen.generate_networks(graphs, tmp_path, KernelPolicy.of("baremetal"))
    runs = rtl.run(rtl.build(tmp_path), [some_images(g) for g in graphs])
    cycles = [run.cycles[-1].sum() for run in runs]
    assert cycles[:4] == sorted(cycles[:4], reverse=True)
    assert cycles[0] > cycles[4] > cycles[5] > cycles[6]


@needs_rtl
@pytest.mark.parametrize("core", ["full", "ibex"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("int main(void) { return 5; }", "(?s)failed with exit code 1.*ended with code 0x5"),
        ('int main(void) { __asm__ volatile(".word 0"); return 0; }', "ended with code 0x1002"),  # illegal instruction
        ("int main(void) { return *(volatile int *)0x70000000; }", "load of 0x70000000, where nothing is"),
        ("int main(void) { for (;;) {} }", "no end after 20000 cycles"),
        ("int main(void) { return 0; }", "wrote 0 words instead of"),
        ("int main(void) { for (int i = 0; i < NUMBER; i++) OUT = 7; return 0; }", "not the protocol"),
        (
            "int main(void) { OUT = 0x4f43494d; OUT = 1; for (int i = 2; i < NUMBER; i++) OUT = 7; return 0; }",
            "output's sum is wrong",
        ),
    ],
)
def test_a_program_that_fails_is_an_error(tmp_path, body, message, core):
    folder = codegen.generate(layer(), tmp_path, runtime="baremetal", core=core).folder
    words = 3 + 6 * 5 * 5 + 2
    replace_main(folder, body.replace("NUMBER", str(words)))
    image = rtl.build(folder)
    with pytest.raises(StepError, match=message):
        rtl.run(image, [some_images(layer(), 1)], on=core, max_cycles=20000)


@needs_rtl
@pytest.mark.parametrize(
    ("instruction", "stalls"),
    [
        ("mul a0, a1, a2", 2),
        ("mulh a0, a1, a2", 3),
        ("lw a0, -4(sp)", 1),
        ("sw a0, -4(sp)", 1),
        ("beqz zero, 1f\\n1:", 2),
    ],
)
def test_ibex_stalls_as_its_documentation_says(tmp_path, instruction, stalls):
    """100 of each against 100 additions, of one cycle each: "Multi- and Single-Cycle Instructions" in Ibex's reference guide."""
    many = '__asm__ volatile(".rept 100\\n{}\\n.endr" ::: "a0", "memory")'
    clock = "*(volatile unsigned *)0xf0000008u"
    body = f"""int main(void)
    {{
        unsigned t0 = {clock};
        {many.format(instruction)};
        unsigned t1 = {clock};
        {many.format("add a0, a1, a2")};
        unsigned t2 = {clock};
        return (int)((t1 - t0) - (t2 - t1));
    }}"""
    folder = codegen.generate(layer(), tmp_path, runtime="baremetal", core="ibex").folder
    replace_main(folder, body)
    with pytest.raises(StepError, match=rf"ended with code {hex(100 * stalls)} "):
        rtl.run(rtl.build(folder), [some_images(layer(), 1)], on="ibex")


@needs_rtl
def test_a_compile_error_shows_the_compilers_words(folder):
    replace_main(folder, "int main(void) { return undeclared; }")
    with pytest.raises(StepError, match=r"(?s)the RISC-V compiler failed.*undeclared"):
        rtl.build(folder)


@pytest.mark.parametrize("tool", TOOLS[:3])
def test_a_missing_tool_skips_the_step_and_says_what_to_install(folder, tool, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for present in {*TOOLS} - {tool}:
        (tmp_path / "bin" / present).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / present).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(StepSkipped, match=rf"needs {tool.replace('+', '.')}, .*make setup-rtl"):
        rtl.build(folder) if tool.startswith("riscv") else rtl.core("full")


@pytest.mark.parametrize(("core", "package"), [("full", "vexriscv"), ("ibex", "ibex")])
def test_missing_verilog_skips_too(monkeypatch, core, package):
    monkeypatch.setattr(rtl.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(rtl.shutil, "which", lambda name: "/bin/true")
    with pytest.raises(StepSkipped, match=f"needs the Python package pythondata-cpu-{package}: make setup-rtl"):
        rtl.core(core)


def test_an_unknown_core():
    with pytest.raises(UnknownName, match="unknown RTL core 'fall'; did you mean 'full'"):
        rtl.core("fall")


def test_the_program_describes_its_networks(folder):
    (network,) = program.describe(folder)["networks"]
    assert network["layers"] == [{"node": "conv2d", "call": "conv2d", "kernel": "conv2d_tiled"}]
