"""Which code the rows of a kernel table run, as hashes of what the recorded compiler makes of it.

A word of C or Python that is renamed, a comment, a kernel that no row calls: all leave the hashes alone. Another instruction in a
function that a row calls, another kernel chosen for a row, another tile, scratch or place in memory: each changes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from mico_runner.codegen import emit, micro
from mico_runner.codegen.program import Call, Program
from mico_runner.paths import cache_folder
from mico_runner.targets import program as tools
from mico_runner.targets.object_code import FLAGS, Objects

COMPILE_TIMEOUT_S = 600.0
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Compiler:
    """A C compiler with the options that decide what code it makes. Compiled kernels are kept in the user's cache.

    Attributes:
        gcc: the program.
        version: first line of its `--version`.
        options: processor, optimisation, definitions.
    """

    gcc: str
    version: str
    options: tuple[str, ...]
    language: tuple[str, ...] = ("-std=c99",)

    def objects(self, sources: Iterable[Path]) -> list[Path]:
        """Object files of C files, in order; what they include is `emit.KERNELS`. Raises StepError: one does not compile."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._object, sources))

    def _object(self, source: Path) -> Path:
        command = [self.gcc, *self.language, *self.options, *FLAGS, f"-I{emit.KERNELS}"]
        digest = hashlib.sha256(json.dumps([self.version, *command[1:-1]]).encode())
        headers = [file for file in emit.kernel_files(emit.included(source)) if file.suffix == ".h"]
        for file in (source, *headers):
            digest.update(file.read_bytes())
        kept = cache_folder() / "objects" / f"{source.stem}-{digest.hexdigest()[:16]}.o"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=kept.parent) as scratch:
                made = Path(scratch) / "made.o"
                tools.checked([*command, "-c", "-o", str(made), str(source)], self.gcc, COMPILE_TIMEOUT_S)
                made.replace(kept)
        return kept


@dataclass(frozen=True)
class Row:
    """What one row of a kernel table runs.

    Attributes:
        calls: the kernels that its latency counts.
        program: the program that they are of, whose arena is planned.
        place: where stack, arena and input lie, in bytes, on targets where that is chosen.
    """

    calls: tuple[Call, ...]
    program: Program
    place: tuple[int, ...] = ()


def version_of(gcc: str) -> str | None:
    """First line of a compiler's `--version`; None when it is not installed: planning needs none, measuring says so."""
    if shutil.which(gcc) is None:
        return None
    return tools.first_line([gcc, "--version"])


def describe(rows: Sequence[Row], compiler: Compiler) -> dict[str, str]:
    """The two hashes of rows of one kind.

    Returns:
        code_sha256: of the machine code of all functions that the rows call, and of all that these call;
        calls_sha256: of each row's calls: which of the functions, the constants that it is given besides weights, its scratch, and
        where its tensors lie.

    Raises:
        StepError: something does not compile.
    """
    calls = [call for row in rows for call in row.calls]
    units = {unit for call in calls for unit in call.units}
    functions = list(dict.fromkeys(call.function for call in calls))
    sources = [path for path in emit.kernel_files(units) if path.suffix == ".c"]
    with tempfile.TemporaryDirectory(prefix="mico-kernels-") as scratch:
        objects = Objects(compiler.objects([*sources, *micro.write(units, Path(scratch))]))
    codes = sorted({objects.digest(function) for function in functions})
    constants = _constants(calls, compiler)
    known = {function: number for number, function in enumerate(functions)}
    digest, done = hashlib.sha256(), 0
    for row in rows:
        own = constants[done : done + len(row.calls)]
        done += len(row.calls)
        digest.update(json.dumps([_plan(row), row.place]).encode())
        for call, constant in zip(row.calls, own, strict=True):
            digest.update(json.dumps([known[call.function], len(constant)]).encode() + constant)
    return {"code_sha256": hashlib.sha256("".join(codes).encode()).hexdigest(), "calls_sha256": digest.hexdigest()}


def parsed_text_sha256(files: Iterable[Path]) -> str:
    """sha256 of sources in C, Verilog or a linker's language, without comments and however they are indented."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(" ".join(_COMMENT.sub(" ", file.read_text(encoding="utf-8")).split()).encode() + b"\n")
    return digest.hexdigest()


def _plan(row: Row) -> list[tuple[int, ...]]:
    """Offset, bytes, first and last call of each buffer in the arena."""
    return sorted((p.offset, p.bytes, p.first_node, p.last_node) for p in row.program.memory)


def _constants(calls: Sequence[Call], compiler: Compiler) -> list[bytes]:
    """Of each call the constant that its function is given, as compiled; its pointers to weights are 0."""
    includes = sorted({f'#include "mico_{call.kernel}.h"' for call in calls})
    structs = [
        f"extern const mico_{call.kernel}_t call_{i};\n"
        f"const mico_{call.kernel}_t call_{i} = {{{', '.join(emit.members(_without_tables(call), ''))}}};"
        for i, call in enumerate(calls)
    ]
    with tempfile.TemporaryDirectory(prefix="mico-calls-") as scratch:
        source = Path(scratch) / "calls.c"
        source.write_text("\n".join([*includes, *structs]) + "\n", encoding="utf-8")
        objects = Objects(compiler.objects([source]))
    return [objects.constant(f"call_{i}") for i in range(len(calls))]


def _without_tables(call: Call) -> Call:
    """The call with what its struct says of its weights, but not the tables that it points to."""
    if call.weights is None:
        return call
    w = call.weights
    sizes = {"row_words": w.words.shape[1], "taps": w.taps, "bits": w.bits}
    return replace(call, weights=None, fields={**call.fields, "weights": sizes})
