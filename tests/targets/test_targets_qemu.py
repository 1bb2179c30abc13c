"""Generated C on QEMU: results on both instruction sets, the stack, and every way in which a program can fail."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mico_runner import codegen, hardware, profiling
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import StepError, StepSkipped, UnknownName, UsageError
from mico_runner.frozen_data import build
from mico_runner.quant import reference
from mico_runner.sections import Profile
from mico_runner.targets import qemu
from mico_runner.targets.one_kernel import single_layer

needs = {
    name: pytest.mark.skipif(
        not all(map(shutil.which, (board.gcc, board.qemu, "make"))),
        reason=f"needs {board.gcc} and {board.qemu} (make setup-qemu)",
    )
    for name, board in qemu.MACHINES.items()
}
QUICK = (
    "rv32",
    "cortex-m3",
    "cortex-m55",
)  # an instruction set each, and the board that differs most; the others are like these
each_machine = pytest.mark.parametrize(
    "on",
    [pytest.param(name, marks=mark if name in QUICK else [mark, pytest.mark.nightly]) for name, mark in needs.items()],
)


def layer(**changes):
    shape = {"in_channels": 5, "out_channels": 6, "in_h": 7, "in_w": 6, "kernel_h": 3, "kernel_w": 2}
    return single_layer("conv2d", **{**shape, **changes}, rng=np.random.default_rng(0))


def some_images(graph, count: int = 3) -> np.ndarray:
    tensor = graph.tensors[graph.input]
    return np.random.default_rng(1).integers(0, tensor.type.qmax + 1, (count, *tensor.shape))


def programs(folder, runtime):
    graphs = [
        replace(layer(weight_bits=w, act_bits=a), name=f"n{i}")
        for i, (w, a) in enumerate([(8, 8), (4, 8), (1, 2), (3, 5), (1, 1)])
    ]
    graphs.append(replace(layer(groups=5, out_channels=5), name="depthwise"))
    pool = {"in_channels": 3, "in_h": 4, "in_w": 4, "kernel_h": 2, "kernel_w": 2, "rng": np.random.default_rng(2)}
    graphs += [single_layer(kind, **pool) for kind in ("max_pool2d", "avg_pool2d", "add")]
    codegen.generate_networks(graphs, folder, KernelPolicy.of(runtime))
    return graphs


@each_machine
@pytest.mark.parametrize("runtime", codegen.RUNTIMES)
def test_outputs_are_those_of_the_reference(tmp_path, on, runtime):
    graphs = programs(tmp_path, runtime)
    inputs = [some_images(g) for g in graphs]
    result = qemu.run(qemu.build(tmp_path, on), inputs, on)
    for graph, x, run in zip(graphs, inputs, result.networks, strict=True):
        np.testing.assert_array_equal(run.outputs, reference.run(graph, x))
        assert run.instructions.shape == (3, 1) and run.instructions.min() > 100
    assert 50 < result.stack_bytes < 4096


@each_machine
def test_instructions_repeat_exactly_and_fewer_bits_take_fewer(tmp_path, on):
    graphs = [
        replace(
            single_layer(
                "linear", in_channels=64, out_channels=32, batch=16, weight_bits=w, act_bits=a,
                rng=np.random.default_rng(0),
            ),
            name=f"n{a}x{w}",
        )
        for w, a in ((8, 8), (2, 2), (1, 1))
    ]  # fmt: skip
    codegen.generate_networks(graphs, tmp_path, KernelPolicy.of("baremetal"))
    elf = qemu.build(tmp_path, on)
    inputs = [some_images(g) for g in graphs]
    first, again = ([run.instructions for run in qemu.run(elf, inputs, on).networks] for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[0].mean() > first[1].mean() > first[2].mean()
    assert 16 * 64 * 32 < first[0].mean() < 10 * 16 * 64 * 32  # a few instructions for each product of 8 bits


@needs["rv32"]
def test_more_images_than_the_memory_holds_take_several_runs(tmp_path, monkeypatch):
    graph = layer()
    codegen.generate(graph, tmp_path, runtime="baremetal")
    elf, x = qemu.build(tmp_path, "rv32"), some_images(graph, 7)
    whole = qemu.run(elf, [x], "rv32")
    small = qemu.MACHINES["rv32"]._replace(input_bytes=8 + 2 * 5 * 7 * 6)  # two images at a time
    monkeypatch.setitem(qemu.MACHINES, "rv32", small)
    parts = qemu.run(elf, [x], "rv32")
    np.testing.assert_array_equal(parts.networks[0].outputs, whole.networks[0].outputs)
    np.testing.assert_array_equal(parts.networks[0].instructions, whole.networks[0].instructions)
    monkeypatch.setitem(qemu.MACHINES, "rv32", small._replace(input_bytes=100))
    with pytest.raises(ValueError, match="one image of each network takes more than the board's 100 bytes"):
        qemu.run(elf, [x], "rv32")


FAILING = [
    ("int main(void) { return 5; }", "(?s)failed with exit code 5.*0 words of output"),
    ("int main(void) { for (;;) {} }", "(?s)did not end within 2 s and was stopped.*0 words of output"),
    ("int main(void) { put(7); for (;;) {} }", "(?s)did not end within 2 s.*1 words of output, the last ones 00000007"),
    ("int main(void) { return 0; }", "wrote 0 words instead of"),
    ("int main(void) { for (int i = 0; i < NUMBER; i++) put(7); return 0; }", "not the protocol"),
    (
        "int main(void) { put(0x4f43494d); put(1); for (int i = 2; i < NUMBER; i++) put(7); return 0; }",
        "output's sum is wrong",
    ),
]
TRAPS = {
    "rv32": [
        ("__asm__ volatile(\".word 0\");", "trapped at 0x8.*: illegal instruction; 1 words of output before, the last"),
        ("__asm__ volatile(\".word 0x00000001\");", "trapped at 0x8.*: illegal instruction"),  # compressed: not RV32IM
        ("(void)*(volatile int *)0xc0000000;", "load of an address where nothing is"),
        ("*(volatile int *)0xc0000000 = 1;", "store to an address where nothing is"),
    ],
    "cortex-m3": [
        ("__asm__ volatile(\"udf #0\");", "trapped at 0x0000.*: hard fault; 1 words of output before"),
        ("(void)*(volatile int *)0xc0000000;", "hard fault"),
    ],
    "cortex-m33": [("__asm__ volatile(\"udf #0\");", "trapped at 0x1000.*: hard fault; 1 words of output before")],
    "cortex-m55": [("__asm__ volatile(\"udf #0\");", "trapped at 0x1100.*: hard fault; 1 words of output before")],
}  # fmt: skip
CASES = [(on, *case) for on in ("rv32", "cortex-m3") for case in FAILING] + [
    (on, f"int main(void) {{ put(9); {body} return 0; }}", message)
    for on, cases in TRAPS.items()
    for body, message in cases
]


@pytest.mark.parametrize(
    ("on", "body", "message"), [pytest.param(*case, marks=needs[case[0]]) for case in CASES], ids=str
)
def test_a_program_that_fails_is_an_error_with_its_last_words(tmp_path, on, body, message):
    codegen.generate(layer(), tmp_path, runtime="baremetal")
    main = tmp_path / "boards" / "bare.c"
    kept, _ = main.read_text().split("int main(void)\n{")
    assert kept != main.read_text()
    words = 3 + 1 + 6 * 5 * 5 + 2
    unused = "".join(f"(void){name}; " for name in ("networks", "forward", "input", "output", "arena", "stack_used"))
    keep = f"void keep(void); void keep(void) {{ {unused}put(0); }}"
    main.write_text(f"{kept}{keep}\n{body.replace('NUMBER', str(words))}\n")
    elf = qemu.build(tmp_path, on)
    with pytest.raises(StepError, match=message):
        qemu.run(elf, [some_images(layer(), 1)], on, timeout_s=2)


@needs["rv32"]
def test_a_deeper_call_uses_more_stack(tmp_path):
    codegen.generate(layer(), tmp_path, runtime="baremetal")
    before = qemu.run(qemu.build(tmp_path, "rv32"), [some_images(layer(), 1)], "rv32").stack_bytes
    source = tmp_path / "conv2d.c"
    text = source.read_text()
    buffer = "volatile uint8_t room[1000]; room[0] = 1; (void)room[0];"
    source.write_text(text.replace("uint8_t *arena)\n{\n", f"uint8_t *arena)\n{{\n    {buffer}\n"))
    after = qemu.run(qemu.build(tmp_path, "rv32"), [some_images(layer(), 1)], "rv32").stack_bytes
    assert 900 < after - before < 1100


@pytest.mark.parametrize(
    ("on", "message"),
    [
        pytest.param(
            "rv32", "failed with exit code 3", marks=needs["rv32"]
        ),  # into the constants below, seen at the end
        # Out of the memory, where this board loses what is written and reads zeros: the program jumps to one, or counts for ever.
        pytest.param("cortex-m3", "(?s)hard fault|did not end within 5 s", marks=needs["cortex-m3"]),
    ],
)
def test_a_stack_that_is_full_is_an_error(tmp_path, on, message):
    codegen.generate(layer(), tmp_path, runtime="baremetal")
    script = tmp_path / "boards" / qemu.MACHINES[on].folder / "link.ld"
    script.write_text(script.read_text().replace("16K", "128"))
    with pytest.raises(StepError, match=message):
        qemu.run(qemu.build(tmp_path, on), [some_images(layer(), 1)], on, timeout_s=5)


@each_machine
def test_a_compile_error_shows_the_compilers_words(tmp_path, on):
    codegen.generate(layer(), tmp_path, runtime="baremetal")
    (tmp_path / "boards" / "bare.c").write_text("int main(void) { return undeclared; }")
    with pytest.raises(StepError, match=rf"(?s){qemu.MACHINES[on].gcc} failed.*undeclared"):
        qemu.build(tmp_path, on)


@pytest.mark.parametrize("on", qemu.MACHINES)
def test_a_missing_tool_skips_the_step_and_says_what_to_install(tmp_path, on, monkeypatch):
    codegen.generate(layer(), tmp_path, runtime="baremetal")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepSkipped, match=rf"needs {qemu.MACHINES[on].gcc}, .*: make setup-qemu"):
        qemu.build(tmp_path, on)
    with pytest.raises(StepSkipped, match=rf"needs {qemu.MACHINES[on].qemu}, .*: make setup-qemu"):
        qemu.run(tmp_path / on / "conv2d.elf", [some_images(layer(), 1)], on)


def test_an_unknown_machine(tmp_path):
    with pytest.raises(UnknownName, match="unknown QEMU machine 'cortex-m0'; did you mean 'cortex-m"):
        qemu.build(tmp_path, "cortex-m0")


SECTION = build(
    Profile,
    {
        "target": "qemu",
        "sampler": "lhs",
        "shapes": 3,
        "bits": {"weight": [2, 8], "activation": [2, 8]},
        "kernels": {"linear": {"in_channels": [64, 96], "out_channels": [8, 16]}},
        "repeats": 1,
        "seed": 0,
    },
)


@needs["cortex-m3"]
def test_a_profile_of_instructions_repeats_exactly(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        profiling.make(SECTION, hardware.load("cortex-m3"), tmp_path / "work").save(tmp_path / name)
    assert (tmp_path / "a" / "linear.csv").read_bytes() == (tmp_path / "b" / "linear.csv").read_bytes()
    table = pd.read_csv(tmp_path / "a" / "linear.csv")
    counts = table.groupby(["act_bits", "weight_bits"])["latency_instructions"].sum()
    assert len(table) == 12 and counts[2, 2] < counts[8, 8]


@pytest.mark.parametrize("device", ["host", "vexriscv-full"])
def test_instructions_are_no_profile_of_a_device_that_counts_cycles(tmp_path, device):
    with pytest.raises(UsageError, match=f"hardware is '{device}'; allowed: a device with a core, whose latency_unit"):
        profiling.make(SECTION, hardware.load(device), tmp_path)
