"""Libraries for Arduino, PlatformIO and Zephyr: well-formed, complete, and compiled as these tools compile them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from test_codegen_builds import needs
from test_codegen_output import small_network

from mico_runner import codegen
from mico_runner.codegen import bundle, emit, micro
from mico_runner.codegen.layout import BUNDLES, PACKAGES, Layout
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UnknownName

M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"]
ARDUINO = ["-Os", "-w", "-std=gnu11", "-ffunction-sections", "-fdata-sections", "-nostdlib", *M4]  # of the SAMD core
PLATFORMIO = ["-Os", "-std=gnu11", "-Wall", "-ffunction-sections", "-fdata-sections", *M4]  # of its ststm32 builder
ZEPHYR = ["-Os", "-std=c99", "-ffreestanding", "-fno-common", "-Wall", "-Werror=implicit-int", "-fno-pic", *M4]


def written(folder: Path, package: str, layout_of: str = "files") -> Path:
    codegen.generate(small_network("small"), folder, layout=Layout(layout_of, package))
    return folder


def compile_all(sources, flags, tmp_path):
    needs("arm-none-eabi-gcc")
    for source in sources:
        done = subprocess.run(
            ["arm-none-eabi-gcc", *flags, "-c", str(source), "-o", str(tmp_path / "x.o")],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_every_package_builds_by_its_own_makefile(tmp_path):
    """Whatever reads the folder, its tests, boards and programs are there."""
    needs("gcc", "make")
    for package in PACKAGES:
        folder = written(tmp_path / package, package, "single")
        done = subprocess.run(["make", "CFLAGS=-O0", "test"], cwd=folder, capture_output=True, text=True)
        assert "0 of 10 outputs are wrong" in done.stdout, done.stderr
        sources = {path.parent.relative_to(folder).name for path in folder.rglob("small.c")}
        assert sources == {"src" if package in ("arduino", "platformio") else ""}


def test_arduino(tmp_path):
    folder = written(tmp_path / "small", "arduino")
    lines = (folder / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= properties.keys() and all(properties.values())
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] in ("Data Processing", "Other")  # of the specification's list
    assert (folder / "src" / properties["includes"]).is_file()
    sketches = list((folder / "examples").rglob("*.ino"))
    assert [sketch.stem for sketch in sketches] == [sketch.parent.name for sketch in sketches] == ["small"]
    compile_all((folder / "src").rglob("*.c"), [*ARDUINO, "-I", folder / "src"], tmp_path)


def test_the_sketch_is_cpp_that_runs(tmp_path):
    """With the few functions of Arduino that it calls."""
    needs("gcc", "g++")
    folder = written(tmp_path / "small", "arduino", "single")
    (tmp_path / "Arduino.h").write_text("""#include <stdio.h>
#include <stdlib.h>
static struct {
    void begin(long) {}
    void print(int value) { printf("%d", value); }
    void print(const char *text) { printf("%s", text); }
    void println(unsigned long) { printf("\\n"); }
} Serial;
static unsigned long micros() { return 0; }
static void delay(int) { exit(0); }
""")
    here = ["-I", folder / "src", "-I", folder / "examples" / "small", "-include", tmp_path / "Arduino.h"]
    (tmp_path / "main.cpp").write_text('#include "small.ino"\nint main() { setup(); for (;;) loop(); }\n')
    subprocess.run(["gcc", "-O0", "-c", folder / "src" / "small.c", "-o", tmp_path / "small.o"], check=True)
    strict = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *strict, *here, "main.cpp", "small.o", "-o", "sketch"], cwd=tmp_path, check=True)
    said = subprocess.run(["./sketch"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.startswith("0 of 10 outputs are wrong")


def test_platformio(tmp_path):
    folder = written(tmp_path, "platformio")
    manifest = json.loads((folder / "library.json").read_text())
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,50}", manifest["name"]) and re.fullmatch(
        r"\d+\.\d+\.\d+", manifest["version"]
    )
    build = manifest["build"]
    assert (folder / build["includeDir"] / manifest["headers"]).is_file()
    assert all((folder / path).exists() for path in manifest["export"]["include"])
    compile_all((folder / build["srcDir"]).rglob("*.c"), [*PLATFORMIO, "-I", folder / build["includeDir"]], tmp_path)


@pytest.mark.parametrize("kind", BUNDLES)
def test_zephyr(tmp_path, kind):
    """Its CMake functions, as macros that note what they are given: all sources are named, each once, and exist."""
    needs("cmake")
    folder = written(tmp_path / "small", "zephyr", kind)
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    assert module == {"name": "small", "build": {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"}}
    assert re.match(
        r"config SMALL\n\tbool \"[^\"\n]+\"\n\thelp\n\t  ", (folder / module["build"]["kconfig"]).read_text()
    )
    (tmp_path / "noted.cmake").write_text(f"""set(CMAKE_CURRENT_SOURCE_DIR {folder / "zephyr"})
set(CONFIG_SMALL y)
macro(zephyr_include_directories)
    message("include ${{ARGN}}")
endmacro()
macro(zephyr_library_named)
    message("library ${{ARGN}}")
endmacro()
macro(zephyr_library_sources)
    message("sources ${{ARGN}}")
endmacro()
include({folder / "zephyr" / "CMakeLists.txt"})
""")
    noted = subprocess.run(["cmake", "-P", tmp_path / "noted.cmake"], capture_output=True, text=True, check=True).stderr
    found = dict(line.split(" ", 1) for line in noted.splitlines())
    assert (found["include"], found["library"]) == ("..", "small")
    sources = [(folder / "zephyr" / path).resolve() for path in found["sources"].split(";")]
    assert sorted(sources) == sorted(path.resolve() for path in folder.glob("*.c"))
    compile_all(sources, [*ZEPHYR, "-I", folder], tmp_path)


@pytest.mark.slow
def test_one_file_holds_any_kernels(tmp_path):
    """All kernels there are, whether or not one network would call them: no name of one meets another's."""
    needs("gcc", "clang", "riscv64-unknown-elf-gcc")
    program = lower(small_network("small"), KernelPolicy.of("baremetal"))
    every = {path.name: path.read_text() for path in emit.KERNELS.glob("*.[ch]")} | micro.sources(micro.UNITS)
    text = bundle.single(program, "all", {**emit.network_files(program, "all"), **every})
    for file, content in text.items():
        (tmp_path / file).write_text(content)
    strict = ["-std=c99", *emit.WARNINGS.split()[1:]]
    for compiler, flags in (
        ("gcc", ["-march=native"]),
        ("clang", []),
        ("riscv64-unknown-elf-gcc", [*emit.RV32_TARGET.split(), "-ffreestanding", "-DMICO_DOT_UNIT", "-DMICO_PLACED"]),
    ):
        command = [compiler, *strict, *flags, "-O0", "-c", "small.c", "-o", f"{compiler}.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        seen = subprocess.run(
            ["nm", "-g", "--defined-only", f"{compiler}.o"], cwd=tmp_path, capture_output=True, text=True
        )
        assert [line.split()[-1] for line in seen.stdout.splitlines()] == ["small_forward"]


def test_names_of_layers_may_be_those_of_functions_in_kernels(tmp_path):
    needs("gcc", "make")
    from dataclasses import replace

    graph = small_network("unpack")
    names = ["unpack", "gather", "wide", "store", "weight_at", "CHUNK", "SCHEME", "copy", "row"]
    nodes = [replace(n, name=name) for n, name in zip(graph.nodes, names, strict=True)]
    for runtime in codegen.RUNTIMES:
        codegen.generate(replace(graph, nodes=tuple(nodes)), tmp_path, runtime=runtime, layout=Layout("single"))
        subprocess.run(["make", "-s", "CFLAGS=-O0", f"BUILD={runtime}", "test"], cwd=tmp_path, check=True)


def test_one_file_is_what_many_are(tmp_path):
    """The same lines of code, whatever way they are written, and nothing else in the folder than with many."""
    many, one = tmp_path / "many", tmp_path / "one"
    codegen.generate(small_network("small"), many)
    codegen.generate(small_network("small"), one, layout=Layout("single"))
    assert {path.name for path in one.glob("*.[ch]")} == {"small.c", "small.h"}
    assert {p.name for p in many.iterdir() if p.suffix not in (".c", ".h")} == {
        p.name for p in one.iterdir() if p.suffix not in (".c", ".h")
    }
    assert (one / "small.h").read_text() == (many / "small.h").read_text()
    text = (one / "small.c").read_text()
    for unit in (path.name for path in many.glob("mico*")):
        assert text.count(f" {unit} ---") == 1
    assert max(map(len, text.splitlines())) <= 160


@pytest.mark.parametrize(("kind", "name"), [("bundle", "sngle"), ("package", "arduin")])
def test_an_unknown_layout_is_an_error(kind, name):
    with pytest.raises(UnknownName, match=f"unknown codegen {kind} '{name}'; did you mean"):
        Layout(**{kind: name})
