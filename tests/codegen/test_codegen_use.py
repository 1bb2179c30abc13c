"""A generated folder in a user's program: from C++, beside another network, as a CMake library, by several threads."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from codegen_graphs import Network, images
from test_codegen_builds import STRICT, needs
from test_codegen_output import small_network

from mico_runner import codegen
from mico_runner.codegen.footprint import BOARDS
from mico_runner.codegen.layout import BUNDLES, Layout
from mico_runner.codegen.planner import ALIGNMENT
from mico_runner.ops.c import memory_order
from mico_runner.quant import reference
from mico_runner.targets.one_kernel import single_layer

TWO = """#include <stdio.h>
#include "alpha_test_vector.h"
#include "gamma_test_vector.h"
static int32_t first[ALPHA_OUTPUTS], second[GAMMA_OUTPUTS];
static uint8_t a[ALPHA_ARENA_BYTES] __attribute__((aligned(ALPHA_ARENA_ALIGNMENT)));
static uint8_t b[GAMMA_ARENA_BYTES] __attribute__((aligned(GAMMA_ARENA_ALIGNMENT)));
int main(void)
{
    alpha_forward(alpha_test_input, first, a);
    gamma_forward(gamma_test_input, second, b);
    for (int i = 0; i < ALPHA_OUTPUTS; i++) printf("%ld\\n", (long)first[i]);
    for (int i = 0; i < GAMMA_OUTPUTS; i++) printf("%ld\\n", (long)second[i]);
    return 0;
}
"""
THREADS = """#include <cstdio>
#include <thread>
#include <vector>
#include "small_test_vector.h"
static int wrong[2];
static void work(int *count)
{
    std::vector<int32_t> out(SMALL_OUTPUTS);
    alignas(SMALL_ARENA_ALIGNMENT) uint8_t arena[SMALL_ARENA_BYTES];
    for (int n = 0; n < 300; n++) {
        small_forward(small_test_input, out.data(), arena);
        for (int i = 0; i < SMALL_OUTPUTS; i++) *count += out[(size_t)i] != small_test_output[i];
    }
}
int main()
{
    std::thread one(work, &wrong[0]), two(work, &wrong[1]);
    one.join();
    two.join();
    std::printf("%d %d\\n", wrong[0], wrong[1]);
}
"""
PROJECT = """cmake_minimum_required(VERSION 3.13)
project(app C)
add_subdirectory(alpha)
add_subdirectory(gamma)
add_executable(app app.c)
target_include_directories(app PRIVATE alpha/example gamma/example)
target_link_libraries(app PRIVATE alpha gamma::gamma)
"""
INSTALLED = """cmake_minimum_required(VERSION 3.13)
project(app C)
find_package(small 1.0 REQUIRED)
add_executable(app main.c)
target_link_libraries(app PRIVATE small::small)
"""
MISALIGNED = """#include "small_test_vector.h"
static int32_t output[SMALL_OUTPUTS];
static uint8_t arena[SMALL_ARENA_BYTES + 4] __attribute__((aligned(SMALL_ARENA_ALIGNMENT)));
int main(int argc, char **argv)
{
    (void)argv;
    small_forward(small_test_input, output, arena + (argc - 1));
    return 0;
}
"""


def run(*command, cwd=None, **more) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_vector(graph, folder) -> tuple[np.ndarray, np.ndarray]:
    """Input and expected output of a folder, as its header has them."""
    text = next((folder / "example").glob("*_test_vector.h")).read_text()
    return tuple(np.array(re.findall(r"-?\d+", body), int) for body in re.findall(r"= \{([^}]*)\}", text))


test_vector.__test__ = False


def expected(graph, given: np.ndarray) -> np.ndarray:
    """What the reference makes of an input in memory's order, in memory's order."""
    shape = graph.tensors[graph.input].shape
    image = np.empty(len(given), int)
    image[memory_order(shape)] = given
    out = reference.run(graph, image.reshape(1, *shape))[0]
    return out.ravel()[memory_order(out.shape)]


def two_networks(folder, layout=None):
    """`alpha` for a host and `gamma` for small cores: other kernels, and others in common; their outputs by the reference."""
    gamma = single_layer(
        "conv2d",
        in_channels=3,
        out_channels=16,
        in_h=9,
        in_w=9,
        kernel_h=3,
        kernel_w=3,
        weight_bits=2,
        rng=np.random.default_rng(0),
    )
    graphs = {"alpha": small_network("alpha"), "gamma": replace(gamma, name="gamma")}
    outputs = []
    for (name, graph), runtime in zip(graphs.items(), codegen.RUNTIMES, strict=True):
        codegen.generate(graph, folder / name, runtime=runtime, layout=layout)
        outputs.append(expected(graph, test_vector(graph, folder / name)[0]))
    (folder / "app.c").write_text(TWO)
    return np.concatenate(outputs)


@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_two_folders_link_into_one_program(tmp_path, compiler, bundle):
    needs(compiler)
    wanted = two_networks(tmp_path, Layout(bundle))
    folders = [word for name in ("alpha", "gamma") for word in (f"-I{name}", f"-I{name}/example")]
    sources = [path for name in ("alpha", "gamma") for path in sorted((tmp_path / name).glob("*.c"))]
    run(compiler, "-O0", *STRICT, *folders, *sources, "app.c", "-o", "app", cwd=tmp_path)
    np.testing.assert_array_equal(np.array(run("./app", cwd=tmp_path).split(), int), wanted)


def test_two_folders_are_libraries_of_one_cmake_project(tmp_path):
    needs("cmake", "make", "gcc")
    wanted = two_networks(tmp_path)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    run("cmake", "-G", "Unix Makefiles", "-B", "made", "-D", "CMAKE_BUILD_TYPE=Debug", cwd=tmp_path)
    run("cmake", "--build", "made", cwd=tmp_path)
    np.testing.assert_array_equal(np.array(run("made/app", cwd=tmp_path).split(), int), wanted)
    assert not list((tmp_path / "made").rglob("alpha_host*"))  # programs are made of a folder that is built for itself


@pytest.fixture(scope="module", params=[(r, b) for r in codegen.RUNTIMES for b in BUNDLES], ids="-".join)
def small(request, tmp_path_factory):
    runtime, bundle = request.param
    folder = tmp_path_factory.mktemp("small")
    codegen.generate(small_network("small"), folder, runtime=runtime, layout=Layout(bundle))
    return folder


def test_the_test_vector_is_the_references(small):
    graph = small_network("small")
    given, out = test_vector(graph, small)
    assert given.min() >= 0 and given.max() > 200 and len(given) == 2 * 9 * 9
    np.testing.assert_array_equal(out, expected(graph, given))


def test_the_example_compares_with_the_test_vector(small, tmp_path):
    needs("gcc", "make")
    assert "0 of 10 outputs are wrong" in run("make", "-s", "CFLAGS=-O0", f"BUILD={tmp_path}", "test", cwd=small)
    header = small / "example" / "small_test_vector.h"
    before = header.read_text()
    head, last, tail = re.split(r"(-?\d+)(?=,\n\};\n\n#endif)", before)
    header.write_text(f"{head}{int(last) + 1}{tail}")
    try:
        failed = subprocess.run(
            ["make", "CFLAGS=-O0", f"BUILD={tmp_path}", "test"], cwd=small, capture_output=True, text=True
        )
    finally:
        header.write_text(before)
    assert failed.returncode and "1 of 10 outputs are wrong" in failed.stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_cpp_program_calls_it_from_two_threads(small, tmp_path, compiler):
    cpp = {"gcc": "g++", "clang": "clang++"}[compiler]
    needs(compiler, cpp)
    for source in small.glob("*.c"):
        run(compiler, "-O0", *STRICT, "-c", source, cwd=tmp_path)
    (tmp_path / "user.cpp").write_text(THREADS)
    here = ["-I", small, "-I", small / "example"]
    strict = ["-std=c++11", *STRICT[1:]]
    run(cpp, *strict, "-pthread", *here, "user.cpp", *sorted(tmp_path.glob("*.o")), "-o", "user", cwd=tmp_path)
    assert run("./user", cwd=tmp_path) == "0 0\n"


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_headers_compile_as_cpp(compiler, tmp_path):
    needs(compiler)
    net = Network(np.random.default_rng(0), (2, 5, 5))
    codegen.generate(net.done(net.conv("x", 3, (3, 3), 4), "small"), tmp_path)
    headers = sorted(tmp_path.rglob("small*.h")) + sorted(tmp_path.glob("mico*.h"))
    assert len(headers) == 8
    for header in headers:
        run(
            compiler,
            "-std=c++11",
            *STRICT[1:],
            f"-I{tmp_path}",
            "-fsyntax-only",
            "-x",
            "c++",
            "-include",
            header,
            "/dev/null",
        )


def test_no_variable_outlives_a_call(small, tmp_path):
    """All that a network writes is the caller's: its objects have constants and code alone."""
    needs("gcc", "nm")
    for source in small.glob("*.c"):
        run("gcc", "-O0", "-fno-pie", "-c", source, "-o", tmp_path / "x.o")
        variables = [line for line in run("nm", tmp_path / "x.o").splitlines() if re.search(r" [bBdDcC] ", line)]
        assert not variables, source


def test_names_that_others_see_begin_with_the_networks(small, tmp_path):
    needs("gcc", "nm")
    for source in small.glob("*.c"):
        run("gcc", "-O0", "-fno-pie", "-c", source, "-o", tmp_path / "x.o")
        seen = run("nm", "--defined-only", "--extern-only", "-P", tmp_path / "x.o").splitlines()
        assert all(line.startswith("small_") for line in seen), seen


def test_a_misaligned_arena_is_refused(small, tmp_path):
    needs("gcc")
    (tmp_path / "app.c").write_text(MISALIGNED)
    run("gcc", "-O0", "-I", small, "-I", small / "example", *small.glob("*.c"), "app.c", "-o", "app", cwd=tmp_path)
    for extra in range(5):
        done = subprocess.run(["./app", *"x" * extra], cwd=tmp_path)
        assert (done.returncode == 0) == (extra % ALIGNMENT == 0), extra


def test_alignment_is_said_once(small):
    """Arenas are declared by the header's macro; that of boards/bare.c, which may lie on a cache line, by a multiple."""
    texts = {path: path.read_text() for path in small.rglob("*.[ch]")}
    stated = {word for text in texts.values() for word in re.findall(r"aligned\((.*?)\)", text)}
    assert stated == {"SMALL_ARENA_ALIGNMENT", "ALIGNMENT"}
    board = texts[small / "boards" / "bare.c"]
    assert int(re.search(r"ALIGNMENT = BOARD_CACHE \? BOARD_CACHE : (\d+)", board)[1]) % ALIGNMENT == 0
    for offset in re.findall(r"arena \+ (\d+)\)", texts[small / "small.c"]):  # what kernels see as words
        assert int(offset) % ALIGNMENT == 0


def test_it_is_installed_and_found_by_cmake(tmp_path):
    needs("cmake", "make", "gcc")
    small = tmp_path / "small"
    codegen.generate(small_network("small"), small)
    generator = ["-G", "Unix Makefiles"]
    run("cmake", *generator, "-S", small, "-B", "made", "-D", "CMAKE_BUILD_TYPE=Debug", cwd=tmp_path)
    run("cmake", "--build", "made", cwd=tmp_path)
    run("cmake", "--install", "made", "--prefix", tmp_path / "there", cwd=tmp_path)
    assert (tmp_path / "there" / "include" / "small.h").is_file()
    app = tmp_path / "app"
    app.mkdir()
    for file in ("main.c", "small_test_vector.h"):
        (app / file).write_text((small / "example" / file).read_text())
    (app / "CMakeLists.txt").write_text(INSTALLED)
    run("cmake", *generator, "-B", "made", "-D", f"CMAKE_PREFIX_PATH={tmp_path / 'there'}", cwd=app)
    run("cmake", "--build", "made", cwd=app)
    assert "0 of 10 outputs are wrong" in run("made/app", cwd=app)


def test_a_signed_input_and_an_image_as_output(tmp_path):
    needs("gcc", "make")
    net = Network(np.random.default_rng(5), (2, 4, 3), 5, signed=True)
    graph = net.done(net.conv("x", 3, (2, 2), 4), "image")
    codegen.generate(graph, tmp_path)
    given, out = test_vector(graph, tmp_path)
    assert given.min() < 0
    np.testing.assert_array_equal(out, expected(graph, given))
    assert f"0 of {out.size} outputs are wrong" in run("make", "-s", "CFLAGS=-O0", "test", cwd=tmp_path)


def test_the_memory_map_has_every_byte(tmp_path):
    result = codegen.generate(small_network("small"), tmp_path, runtime="baremetal")
    text = (tmp_path / "memory.txt").read_text()
    flash, ram = text.split("\nRAM\n")
    tables = re.findall(r"^  \w+ +(\d+) = (.*)$", flash, re.MULTILINE)
    assert sum(int(size) for size, _ in tables) == result.flash_bytes
    assert all(int(size) == sum(map(int, re.findall(r"\d+", parts))) for size, parts in tables)
    places = re.findall(r"^  (\d+) \.\. (\d+)  (\S+): (\d+), during calls (\d+) \.\. (\d+)$", ram, re.MULTILINE)
    assert [(name, int(at), int(size)) for at, _, name, size, *_ in places] == [p[:3] for p in result.memory]
    assert all(int(end) - int(at) + 1 == int(size) for at, end, _, size, *_ in places)
    assert set(re.findall(r"a program for (\S+), estimated: \d+", flash)) == set(BOARDS)


def test_images_of_the_reference(tmp_path):
    """The file program of one C file computes what the reference does, for many images."""
    needs("gcc", "make")
    from mico_runner.targets import host

    graph = small_network("small")
    codegen.generate(graph, tmp_path, layout=Layout("single", "platformio"))
    x = images(graph, np.random.default_rng(1))
    np.testing.assert_array_equal(host.run(host.build(tmp_path, cflags="-O0"), x), reference.run(graph, x))
