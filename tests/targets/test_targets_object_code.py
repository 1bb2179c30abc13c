"""Hashes of machine code: the same for other names, places and neighbours, another for other instructions and constants."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mico_runner.errors import StepError
from mico_runner.targets.object_code import FLAGS, Objects

COMPILERS = {
    "gcc": ("-O2",),
    "riscv64-unknown-elf-gcc": ("-O2", "-march=rv32im", "-mabi=ilp32", "-ffreestanding"),
    "arm-none-eabi-gcc": ("-O2", "-mcpu=cortex-m3", "-mthumb", "-ffreestanding"),  # relocations without addends
}
SOURCE = """
static const int table[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static __attribute__((noinline)) int inner(const int *x, int n) { return n > 3 ? x[n] * table[n & 7] : n * 11; }
int twice(int n);
int outer(const int *x, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        switch (x[i]) {
        case 0: sum += 3; break;
        case 1: sum ^= 17; break;
        case 2: sum *= 5; break;
        case 3: sum -= 23; break;
        case 4: sum |= 64; break;
        case 5: sum += inner(x, i); break;
        default: sum += twice(n); break;
        }
    }
    return sum;
}
"""
SAME = {
    "names": [("inner", "another"), ("table", "numbers"), ("sum", "total"), ("int n)", "int count)"), ("n > 3", "count > 3"),
              ("x[n] * numbers[n & 7] : n * 11", "x[count] * numbers[count & 7] : count * 11"), ("i < n", "i < count"),
              ("twice(n); break", "twice(count); break")],
    "comments and lines": [("int sum = 0;", "/* the sum */\n\n\n    int sum\n = 0; // of all")],
    "a function and a table before": [
        ("static const int table", "int odd(int n);\nstatic const int more[5] = {3, 1, 4, 1, 5};\n"
         "int odd(int n) { return more[n % 5] - n * 7; }\nstatic const int table"),
    ],
}  # fmt: skip
OTHER = {
    "a constant": [("sum += 3;", "sum += 4;")],
    "a table": [("8, 9}", "8, 10}")],
    "a function that it calls": [("n * 11", "n * 13")],
    "a function of another file": [("twice(n)", "thrice(n)"), ("int twice", "int thrice")],
    "branches of a switch": [("sum ^= 17", "sum ^= 18")],
}


@pytest.fixture(params=COMPILERS)
def build(request, tmp_path):
    gcc = request.param
    if shutil.which(gcc) is None:
        pytest.skip(f"{gcc} is missing (make setup-qemu)")

    def objects(*sources: str) -> Objects:
        files = [tmp_path / f"{len(list(tmp_path.iterdir()))}-{i}.c" for i in range(len(sources))]
        for file, source in zip(files, sources, strict=True):
            file.write_text(source)
            subprocess.run([gcc, *COMPILERS[gcc], *FLAGS, "-c", "-o", file.with_suffix(".o"), file], check=True)
        return Objects(file.with_suffix(".o") for file in files)

    return objects


def edited(changes: list[tuple[str, str]]) -> str:
    text = SOURCE
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize("change", SAME)
def test_what_no_instruction_tells_does_not_count(build, change):
    before, after = build(SOURCE), build(edited(SAME[change]))
    assert before.digest("outer") == after.digest("outer")


@pytest.mark.parametrize("change", OTHER)
def test_another_instruction_or_constant_counts(build, change):
    before, after = build(SOURCE), build(edited(OTHER[change]))
    assert before.digest("outer") != after.digest("outer")


def test_functions_of_other_files_count_by_their_code(build):
    two, three = "int twice(int n) { return 2 * n; }", "int twice(int n) { return 3 * n; }"
    renamed = edited([("twice", "doubled")])
    assert build(SOURCE, two).digest("outer") != build(SOURCE, three).digest("outer")
    assert build(SOURCE, two).digest("outer") != build(SOURCE).digest("outer")
    assert build(SOURCE, two).digest("outer") == build(two.replace("twice", "doubled"), renamed).digest("outer")


def test_constants_are_read_as_compiled(build):
    made = build("enum { A = 258 }; extern const struct { int a; short b; } c; const typeof(c) c = {A, -1};")
    assert made.constant("c") == bytes([2, 1, 0, 0, 255, 255, 0, 0])


def test_what_is_missing_or_double_is_an_error(build, tmp_path):
    with pytest.raises(StepError, match="no object file defines 'inner'"):  # static
        build(SOURCE).digest("inner")
    with pytest.raises(StepError, match="'outer' is defined in two object files"):
        build(SOURCE, SOURCE)
    (tmp_path / "text.o").write_text("no object")
    with pytest.raises(StepError, match=r"text\.o is no little-endian ELF object file"):
        Objects([Path(tmp_path / "text.o")])
