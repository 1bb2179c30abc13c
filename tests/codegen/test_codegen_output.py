"""What `generate` writes: self-contained, strict C99, integers only, as large as it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network, images

from mico_runner import codegen
from mico_runner.codegen.packing import row_words
from mico_runner.codegen.planner import ALIGNMENT, Request, lower_bound
from mico_runner.errors import StepError, UnknownName
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QType, storage_bits

needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
U8 = QType(8, False, 0.5)


def small_network(name: str = "net-1.small", weight_bits: float = 3):
    """Every operator once."""
    net = Network(np.random.default_rng(3), (2, 9, 9))
    a = net.conv("x", 6, (3, 3), weight_bits, padding=(1, 1), to=U8)
    b = net.conv(a, 6, (3, 3), weight_bits, padding=(1, 1), groups=6, to=U8)
    y = net.concat([net.add(a, b, to=U8), net.requant(a, QType(4, False, 0.5))], 0, to=U8)
    y = net.pool("avg_pool2d", net.pool("max_pool2d", y, (2, 2), (2, 2)), (2, 2), (1, 1), to=U8)
    return net.done(net.linear(net.reshape(y, None), 10, weight_bits, to=OUTPUT), name)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return codegen.generate(small_network(), tmp_path_factory.mktemp("c") / "folder with space")


def test_the_header_states_the_sizes(written):
    header = (written.folder / "net_1_small.h").read_text()
    defines = {name: int(value) for name, value in re.findall(r"#define NET_1_SMALL_(\w+) (\d+)", header)}
    assert defines == {
        "ARENA_BYTES": written.arena_bytes,
        "ARENA_ALIGNMENT": ALIGNMENT,
        "FLASH_BYTES": written.flash_bytes,
        "INPUT_BYTES": 2 * 9 * 9,
        "OUTPUTS": 10,
        "LAYERS": 9,
    }
    (described,) = json.loads((written.folder / "network.json").read_text())["networks"]
    assert (described["arena_bytes"], described["flash_bytes"]) == (written.arena_bytes, written.flash_bytes)


def test_flash_is_the_packed_tables(written):
    weighted = [n for n in small_network().nodes if n.weight is not None]
    words = sum(len(n.weight) * row_words(n.weight[0].size, storage_bits(n.weight_bits)) for n in weighted)
    channels = sum(len(n.weight) for n in weighted)
    assert written.flash_bytes == sum(written.sections.values()) == 4 * words + (4 + 4 + 1) * channels
    assert {name.rsplit(".", 1)[0] for name in written.sections} == {n.name for n in weighted}


def test_the_memory_map_holds_every_tensor_while_it_lives(written):
    memory = {p.tensor: p for p in written.memory}
    first = memory["layers_0_conv2d_out"]  # read by the depthwise convolution, the sum and the requantisation
    assert (first.bytes, first.first_node, first.last_node) == (6 * 9 * 9, 0, 3)
    framed, weights = 65, 6 * 3 * 2 + 4  # words; weights in pieces of 6
    assert memory["layers_0_conv2d.scratch"].bytes == 4 * (framed + weights)
    assert written.arena_bytes == max(-(-(p.offset + p.bytes) // 4) * 4 for p in written.memory)
    rows = [Request(p.tensor, p.bytes, p.first_node, p.last_node) for p in written.memory]
    assert written.arena_lower_bound == lower_bound(rows) <= written.arena_bytes


def test_only_the_kernels_in_use_are_copied(tmp_path):
    net = Network(np.random.default_rng(0), (5,))
    result = codegen.generate(net.done(net.linear("x", 3, 4, to=OUTPUT), "mlp"), tmp_path)
    found = {p.name for p in tmp_path.iterdir()}
    assert {n for n in found if n.startswith("mico")} == {
        *("mico.c", "mico.h", "mico_conv2d_simd.c", "mico_conv2d_simd.h", "mico_simd.h"),
        *("mico_frame.c", "mico_frame.h", "mico_widen.c", "mico_widen.h"),
    }
    assert found >= {"Makefile", "README.md", "memory.txt", "mlp.c", "mlp.h", "mlp_weights.c", "mlp_weights.h"}
    assert result.arena_bytes == 4 * (6 + 3 * 2 + 4) and result.memory[0].tensor.endswith(".scratch")


def test_nodes_that_the_output_does_not_need_are_left_out(tmp_path):
    net = Network(np.random.default_rng(0), (5,))
    hidden = net.linear("x", 3, 4, to=U8)
    net.linear(hidden, 100, 8)
    result = codegen.generate(net.done(hidden), tmp_path)
    assert {name.rsplit(".", 1)[0] for name in result.sections} == {"layers.0.linear"}


def test_generation_is_repeatable(written, tmp_path):
    codegen.generate(small_network(), tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert tmp_path / "boards" / "bare.c" in files
    for path in files:
        assert path.read_bytes() == (written.folder / path.relative_to(tmp_path)).read_bytes()


@needs_gcc
def test_the_makefile_builds_and_runs_without_python(written):
    """In a folder whose name has a space, with the flags that the Makefile itself sets (-Werror -Wconversion among them)."""
    subprocess.run(["make", "-s"], cwd=written.folder, check=True)
    graph = small_network()
    x = images(graph, np.random.default_rng(0))
    (written.folder / "in.bin").write_bytes(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).astype(np.uint8).tobytes())
    subprocess.run(["build/net_1_small", "in.bin", "out.bin"], cwd=written.folder, check=True)
    logits = np.fromfile(written.folder / "out.bin", np.int32).reshape(-1, 10)
    np.testing.assert_array_equal(logits, reference.run(graph, x))


@needs_gcc
@pytest.mark.parametrize("flags", ["-O0", "-Os", "-O2 -Wshadow -Wundef", "-O3 -m32 -march=i686"])
def test_other_flags_compile_without_a_warning(written, tmp_path, flags):
    if (
        "-m32" in flags
        and subprocess.run(
            ["gcc", "-m32", "-E", "-include", "stdint.h", "-"], input=b"", capture_output=True
        ).returncode
    ):
        pytest.skip("no 32-bit headers")
    for source in sorted(written.folder.glob("*.c")):
        command = ["gcc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", *flags.split()]
        subprocess.run([*command, "-c", source, "-o", tmp_path / "x.o"], check=True)


@needs_gcc
def test_the_forward_pass_has_no_float_and_no_allocation(written, tmp_path):
    """Neither in the source nor, with soft floats, as a call of the compiler's helpers; memcpy and memset are its own."""
    sources = sorted(written.folder.glob("*.c"))
    for source in [*sources, *written.folder.glob("*.h")]:
        code = re.sub(r"/\*.*?\*/", "", source.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(float|double|malloc|calloc|free|alloca|math\.h|stdlib\.h)\b", code), source
    objects = []
    for source in sources:
        objects.append(tmp_path / f"{source.stem}.o")
        flags = ["-O2", "-mgeneral-regs-only"] if _is_x86() else ["-O2"]  # an instruction on floats would not compile
        subprocess.run(["gcc", "-std=c99", *flags, "-c", source, "-o", objects[-1]], check=True)
    symbols = subprocess.run(["nm", "-u", *objects], check=True, capture_output=True, text=True).stdout
    undefined = set(re.findall(r" U (\S+)", symbols))
    outside = {s for s in undefined if not s.startswith(("mico_", "net_1_small_"))}
    assert outside <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}


def _is_x86() -> bool:
    import platform

    return platform.machine() in ("x86_64", "AMD64")


@pytest.mark.parametrize("name", ["1net", "main", "a b/c", "int8_t", "mico", "stride", "for"])
@needs_gcc
def test_any_name_becomes_an_identifier(name, tmp_path):
    graph = small_network(name)
    nodes = [replace(n, name=f"{name}{i}" if i > 1 else ["input", "memcpy"][i]) for i, n in enumerate(graph.nodes)]
    codegen.generate(replace(graph, nodes=tuple(nodes)), tmp_path)
    subprocess.run(["make", "-s", "CFLAGS=-O0"], cwd=tmp_path, check=True)


def broken(**change):
    net = Network(np.random.default_rng(0), (4,))
    graph = net.done(net.linear("x", 3, 4, to=OUTPUT))
    node = graph.nodes[0]
    constants = {name: change.pop(name, value) for name, value in node.constants.items()}
    return replace(graph, nodes=(replace(node, constants=constants, **change),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": "fft"}, "node 'layers.0.linear': no kernel for operator 'fft'; there are abs, add"),
        ({"weight": np.full((3, 4), 8, np.int8)}, "weights outside -8 .. 7"),
        ({"weight": np.zeros((3, 4), np.int8), "weight_bits": 1}, "a 1-bit weight is 0"),
        ({"weight_bits": 9}, "weight_bits 9; allowed"),
        ({"bias": np.full(3, 2**31 - 1, np.int32)}, "more than int32 holds"),
        ({"multiplier": np.array([1, 0, 1], np.int32)}, "multipliers 0 .. 1; allowed: 1 .. 2^22 - 1"),
        ({"multiplier": np.array([1 << 22, 1, 1], np.int32)}, "multipliers 1 .. 4194304"),
        ({"shift": np.array([0, 1, 1], np.int32)}, "shifts 0 .. 1; allowed: 1 .. 52"),
        ({"shift": np.array([53, 1, 1], np.int32)}, "shifts 1 .. 53; allowed: 1 .. 52"),
    ],
)
def test_a_node_outside_the_bounds_is_an_error_that_names_it(change, message, tmp_path):
    with pytest.raises(StepError, match=re.escape(message)) as error:
        codegen.generate(broken(**change), tmp_path / "c")
    assert "layers.0.linear" in str(error.value)
    assert not (tmp_path / "c").exists()


def test_weights_on_16_bit_activations_are_an_error(tmp_path):
    net = Network(np.random.default_rng(0), (4,), bits=16, signed=True)
    with pytest.raises(StepError, match="reads 16-bit activations; at most 8"):
        codegen.generate(net.done(net.linear("x", 3, 4, to=OUTPUT)), tmp_path)


def test_pooling_a_vector_is_an_error(tmp_path):
    net = Network(np.random.default_rng(0), (2, 4, 4))
    graph = net.done(net.pool("max_pool2d", "x", (2, 2), (2, 2)))
    tensors = {**graph.tensors, "x": replace(graph.tensors["x"], shape=(2, 16))}
    with pytest.raises(StepError, match=r"needs an input \(C, H, W\)"):
        codegen.generate(replace(graph, tensors=tensors), tmp_path)


def test_an_unknown_runtime_is_an_error(tmp_path):
    with pytest.raises(UnknownName, match="unknown codegen runtime 'hst'; did you mean 'host'"):
        codegen.generate(small_network(), tmp_path, runtime="hst")
