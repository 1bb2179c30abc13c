"""The generated folder builds for every target by make and by CMake, without a warning of gcc or clang, and without Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from codegen_graphs import images
from test_codegen_output import small_network
from test_codegen_tiling import PAIRS, layers

from mico_runner import codegen
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.quant import reference
from mico_runner.targets.host_kernels import run_networks

BARE = {
    "rv32": ("riscv64-unknown-elf-gcc", ["--target=riscv32", "-march=rv32im", "-mabi=ilp32"], "RISC-V"),
    "cortex-m": ("arm-none-eabi-gcc", ["--target=arm-none-eabi", "-mcpu=cortex-m3", "-mthumb"], "ARM"),
}
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion"]


def needs(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


@pytest.fixture(params=codegen.RUNTIMES)
def folder(tmp_path, request):
    codegen.generate(small_network("small"), tmp_path / "c", runtime=request.param)
    return tmp_path / "c"


def without_python(folder, *command: str) -> str:
    """Run a build with a PATH that holds no Python."""
    tools = folder.parent / "bin"
    tools.mkdir(exist_ok=True)
    for place in os.environ["PATH"].split(os.pathsep):
        for tool in os.scandir(place) if os.path.isdir(place) else ():
            if "python" not in tool.name and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool.path)
    done = subprocess.run(command, cwd=folder, env={"PATH": str(tools)}, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
    return done.stdout


def assert_it_runs(folder, binary: str) -> None:
    graph = small_network("small")
    x = images(graph, np.random.default_rng(0))
    (folder / "in.bin").write_bytes(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).astype(np.uint8).tobytes())
    subprocess.run([f"./{binary}", "in.bin", "out.bin"], cwd=folder, check=True)
    logits = np.fromfile(folder / "out.bin", np.int32).reshape(len(x), -1)
    np.testing.assert_array_equal(logits, reference.run(graph, x))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_make(folder, compiler):
    needs(compiler, "make")
    without_python(folder, "make", f"CC={compiler}")
    assert_it_runs(folder, "build/small")


@pytest.mark.parametrize("board", BARE)
def test_make_for_a_board(folder, board):
    gcc, _, machine = BARE[board]
    needs(gcc, "make", "readelf")
    without_python(folder, "make", board)
    header = subprocess.run(
        ["readelf", "-h", folder / "build" / board / "small.elf"], check=True, capture_output=True, text=True
    ).stdout
    assert machine in header.split("Machine:")[1].splitlines()[0] and "ELF32" in header


@pytest.mark.parametrize("board", BARE)
def test_a_changed_header_of_a_board_compiles_anew(folder, board):
    needs(BARE[board][0], "make")
    without_python(folder, "make", board)
    assert without_python(folder, "make", "-q", board) == ""
    (folder / "boards" / board / "board.h").touch()
    said = without_python(folder, "make", "-n", board)
    assert "bare.o" in said and f"{board}/small.o" in said


def test_make_stack_lists_every_function(folder):
    needs("gcc", "make")
    table = without_python(folder, "make", "-s", "stack")
    assert "small_forward" in table and all(int(line.split("\t")[1]) > 0 for line in table.strip().splitlines())


@pytest.mark.parametrize("board", [None, *BARE])
def test_cmake(folder, board):
    needs("cmake", "make", BARE[board][0] if board else "gcc")
    toolchain = ["-D", f"CMAKE_TOOLCHAIN_FILE=boards/{board}/toolchain.cmake"] if board else []
    without_python(folder, "cmake", "-G", "Unix Makefiles", "-B", "made", *toolchain)
    without_python(folder, "cmake", "--build", "made")
    if board:
        assert (folder / "made" / "small.elf").is_file()
    else:
        assert_it_runs(folder, "made/small")


@pytest.mark.parametrize("board", BARE)
def test_clang_compiles_for_the_boards_without_a_warning(folder, board, tmp_path):
    needs("clang")
    for source in [*folder.glob("*.c"), folder / "boards" / "bare.c"]:
        here = ["-I", folder, "-I", folder / "boards" / board]
        flags = [*BARE[board][1], "-O2", "-ffreestanding", "-DMICO_TIMING", *STRICT, *here]
        subprocess.run(["clang", *flags, "-c", source, "-o", tmp_path / "x.o"], check=True)


@pytest.mark.nightly
@pytest.mark.parametrize("runtime", codegen.RUNTIMES)
def test_every_pair_of_bits_by_clang(tmp_path, runtime):
    needs("clang", "make")
    rng = np.random.default_rng(6)
    graphs = [layers(*pair, rng) for pair in PAIRS]
    inputs = [images(graph, rng) for graph in graphs]
    named = [replace(g, name=f"n{i}") for i, g in enumerate(graphs)]
    codegen.generate_networks(named, tmp_path, KernelPolicy.of(runtime))
    subprocess.run(["make", "-s", "CC=clang", "CFLAGS=-O2", "BUILD=."], cwd=tmp_path, check=True)
    found = run_networks(tmp_path / "networks", inputs)
    for graph, x, y in zip(graphs, inputs, found, strict=True):
        np.testing.assert_array_equal(y, reference.run(graph, x))
