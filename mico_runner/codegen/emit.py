"""Program -> C files."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mico_runner import plugins
from mico_runner.codegen import bundle, micro
from mico_runner.codegen.description import description, sections
from mico_runner.codegen.layout import VERSION, Layout
from mico_runner.codegen.placement import places
from mico_runner.codegen.planner import ALIGNMENT, Placement
from mico_runner.codegen.program import Call, Program
from mico_runner.errors import StepError
from mico_runner.ops.c import shape_text

KERNELS = Path(__file__).parent / "kernels"
TEMPLATES = Path(__file__).parent / "templates"
BOARDS = Path(__file__).parent / "boards"  # one folder each: board.h, start.S, link.ld, toolchain.cmake
CFLAGS = "-O3 -march=native"
# The multilib's own name of the ISA: "_zicsr" in it would pick a libgcc of another ABI. Loops stay loops, not calls of memcpy.
RV32_TARGET = "-march=rv32im -misa-spec=2.2 -mabi=ilp32"
RV32_CFLAGS = "-O3 -ffreestanding -fno-tree-loop-distribute-patterns -fno-schedule-insns -ffunction-sections"
ARM_TARGETS = {  # by folder of `BOARDS`
    "cortex-m": "-mcpu=cortex-m3 -mthumb",
    "cortex-m4": "-mcpu=cortex-m4 -mthumb",
    "cortex-m7": "-mcpu=cortex-m7 -mthumb",
    "cortex-m33": "-mcpu=cortex-m33 -mthumb",
    "cortex-m55": "-mcpu=cortex-m55 -mthumb -mfloat-abi=hard",  # vectors are passed in registers of the FPU
}
ARM_CFLAGS = "-O3 -ffreestanding -fno-tree-loop-distribute-patterns -ffunction-sections"
WARNINGS = "-std=c99 -pedantic -Wall -Wextra -Werror -Wconversion"
EXIT = "mico_exit"  # what asks whether a network may end early
STAGE = "mico_stage"  # what runs layers row by row
BUNDLE = "networks"  # the program of `generate_networks`
_LINE = 8  # numbers per line of a table
_KERNEL_NAME = re.compile(
    r"\bmico_(?!(?:layer|stage)_hook\b|\w+\.[ch]\b)"
)  # the program's hooks and names of files stay as they are
_INCLUDE = re.compile(r'^#include "(mico\w*)\.h"', re.MULTILINE)

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # C, not HTML
)


def network_files(program: Program, title: str) -> dict[str, str]:
    """The network itself: `<name>.h`, `<name>.c`, `<name>_weights.h`, `<name>_weights.c`."""
    n = program.name
    templates = {
        f"{n}.h": "network.h",
        f"{n}.c": "network.c",
        f"{n}_weights.h": "weights.h",
        f"{n}_weights.c": "weights.c",
    }
    return {name: render(template, program, title) for name, template in templates.items()}


def source_files(program: Program, title: str, layout: Layout) -> dict[str, str]:
    """The library of a network: C files and headers that no other network's meet in one program."""
    files = {**network_files(program, title), **kernel_texts([program])}
    if layout.bundle == "single":
        return bundle.single(program, title, files)
    return {file: own_names(text, program.name) for file, text in files.items()}


def bundle_files(programs: Sequence[Program], core: str | None = None) -> dict[str, str]:
    """What many networks in one program need to run: `boards/host.c`, and what `build_files` gives."""
    main = _TEMPLATES.get_template("bundle.c.j2").render(programs=programs, alignment=ALIGNMENT)
    return {"boards/host.c": main, **build_files(programs, BUNDLE, _sources(programs), core)}


def build_files(
    programs: Sequence[Program], name: str, units: Sequence[str], core: str | None = None, layout: Layout | None = None
) -> dict[str, str]:
    """`boards/bare.c`, the main function without an operating system; `Makefile`, `CMakeLists.txt`, `network.json`.

    Args:
        name: of the program and of the library.
        units: names of the library's C files, without suffix.
        core: that of `make rtl`; some need a start of their own (`boards/rtl/start.S`).
        layout: of the folder of a network, which has an example; None for many networks.
    """
    layers = max(len(p.calls) for p in programs)
    flags = {
        "warnings": WARNINGS,
        "cflags": CFLAGS,
        "rv32": {"target": RV32_TARGET, "cflags": RV32_CFLAGS},
        "arm": {
            "targets": {_arm_variable(board): target for board, target in ARM_TARGETS.items()},
            "cflags": ARM_CFLAGS,
        },
    }
    dot_unit = any(file.stem == "mico_dot" for file in kernel_files(_units(programs)))
    of_rtl = " -DMICO_PLACED" + " -DMICO_DOT_UNIT" * dot_unit + " -DMICO_IBEX" * (core == "ibex")
    boards = [("rv32", "RV32", "RV32", "RV32", ""), ("rtl", "RTL", "RV32", "RV32", of_rtl)]
    boards += [(board, _arm_variable(board), "ARM", _arm_variable(board), "") for board in ARM_TARGETS]
    content = {"name": name, "networks": [description(p) for p in programs]}
    files = {"name": name, "units": units, "headers": [f"{p.name}.h" for p in programs], "boards": boards}
    where = {"src": layout.sources if layout else ".", "example": layout is not None, "version": VERSION}
    build = {
        file: _TEMPLATES.get_template(f"{file}.j2").render(**files, **where, **flags)
        for file in ("Makefile", "CMakeLists.txt")
    }
    bare = _TEMPLATES.get_template("bare.c.j2").render(programs=programs, places=places(programs), most_layers=layers)
    return {**build, "boards/bare.c": bare, "network.json": json.dumps(content, indent=1) + "\n"}


def _arm_variable(board: str) -> str:
    """What variables of the Makefile for a board with a Cortex-M begin with."""
    return "ARM" if board == "cortex-m" else board.removeprefix("cortex-").upper()


def kernel_texts(programs: Sequence[Program]) -> dict[str, str]:
    """The C of the kernels that the programs call, and of what they share, by name of the file."""
    units = _units(programs)
    texts = {source.name: source.read_text(encoding="utf-8") for source in kernel_files(units)}
    return texts | micro.sources(units)


def own_names(text: str, network: str) -> str:
    """C whose kernels are named after a network, so that it meets no other network's in one program: `<network>_mico_conv2d`."""
    return _KERNEL_NAME.sub(f"{network}_mico_", text)


def copy_boards(folder: Path) -> None:
    """Copy what each board needs besides `boards/bare.c`."""
    shutil.copytree(BOARDS, folder / "boards", dirs_exist_ok=True)


def kernel_files(units: Iterable[str]) -> list[Path]:
    """Headers and sources of these names, and of all that they include; micro-kernels have no file but what they include.

    Raises StepError: two folders have files of one name.
    """
    due, found = {"mico", *units}, set[Path]()
    due |= {name for text in micro.sources(units).values() for name in _INCLUDE.findall(text)}
    while due:
        new = {path for unit in due for path in _files_of(unit)} - found
        due = {name for path in new for name in included(path)}
        found |= new
    return sorted(found)


def _files_of(unit: str) -> list[Path]:
    """Header and source of a name, some of which are a header alone: the package's, or beside a plug-in."""
    paths = [folder / f"{unit}{suffix}" for folder in (KERNELS, *plugins.folders()) for suffix in (".h", ".c")]
    found = [path for path in paths if path.is_file()]
    if len({path.parent for path in found}) > 1:
        raise StepError(f"codegen: there are two kernels of the name {unit!r}: {', '.join(map(str, found))}")
    return found


def included(source: Path) -> list[str]:
    """Names of the kernels' headers that a C file includes itself, without suffix."""
    return _INCLUDE.findall(source.read_text(encoding="utf-8"))


def _units(programs: Sequence[Program]) -> set[str]:
    """Names of the files of the kernels that are called, without suffix."""
    calls = {unit for program in programs for call in program.calls for unit in call.units}
    calls |= {STAGE} if any(program.stages for program in programs) else set()
    return calls | ({EXIT} if any(program.exits for program in programs) else set())


def _sources(programs: Sequence[Program]) -> list[str]:
    """Names of all C files of the library without suffix: networks, tables, kernels."""
    networks = [unit for p in programs for unit in (p.name, f"{p.name}_weights")]
    kernels = (file for file in sorted(kernel_texts(programs)) if file.endswith(".c"))
    return [*networks, *(file.removesuffix(".c") for file in kernels)]


def render(template: str, program: Program, title: str, **more: Any) -> str:
    """A file of one network by its template, which has what is listed here and what `more` adds."""
    places = {p.tensor: p for p in program.memory}
    arena = {c.output.name: c.output for c in reversed(program.calls) if c.output.place == "arena"}
    read = [b for c in program.calls for b in c.inputs if b.place == "arena" and b.name not in arena]
    kept = {b.name: b for b in read}  # no call's output: kernels add to what is there
    return _TEMPLATES.get_template(f"{template}.j2").render(
        program=program,
        title=title.replace("*/", "* /"),
        NAME=program.name.upper(),
        alignment=ALIGNMENT,
        flash_bytes=sum(sections(program).values()),
        kernels=sorted({c.kernel for c in program.calls}),
        emitted=sorted({c.unit for c in program.calls if c.unit}),
        constant=[c for c in program.calls if c.constants],
        buffers=[(b, places[name]) for name, b in (*reversed(arena.items()), *kept.items()) if name in places],
        scratch={
            c.name: places[f"{stage.name if (stage := program.stage_of(i)) else c.name}.scratch"].offset
            for i, c in enumerate(program.calls)
            if c.scratch_bytes
        },
        memory_of=lambda name: _memory(program, places if name not in arena else {}, name),
        unread=[b.name for b in program.inputs if b.name not in {r.name for c in program.calls for r in c.inputs}],
        members=lambda call: list(members(call, program.name)),
        pointer=_pointer,
        shape_text=shape_text,
        ctype=lambda table: f"{table.dtype}_t",
        numbers=lambda table: _table([_number(v) for v in table.ravel()]),
        **more,
    )


def _memory(program: Program, places: dict[str, Placement], name: str) -> str:
    """Where a line of a stage is, as bytes: an input's are not written."""
    if name in places:
        return f"arena + {places[name].offset}"
    return f"(uint8_t *)(uintptr_t){name}" if name in {b.name for b in program.inputs} else f"(uint8_t *){name}"


def members(call: Call, prefix: str) -> Iterator[str]:
    """Lines of the call's struct: its own members share lines, those of a nested struct have lines of their own.

    What is absent is 0 in C; members that are 0 are left out.
    """
    plain = {k: _initialiser(v) for k, v in call.fields.items() if not isinstance(v, Mapping)}
    yield from _wrapped([f".{k} = {v}" for k, v in plain.items() if not _is_zero(v)])
    for key, value in call.fields.items():
        if isinstance(value, Mapping):
            yield from _wrapped([f".{key}.{k} = {v}" for k, v in value.items() if not _is_zero(v)])
    for key in call.tables:
        yield f".{key} = {prefix}_{call.name}_{key}"
    if w := call.weights:
        for key, table in (("words", "weight"), ("bias", "bias"), ("multiplier", "multiplier"), ("shift", "shift")):
            yield f".weights.{key} = {prefix}_{call.name}_{table}"
        yield f".weights.row_words = {w.words.shape[1]}, .weights.taps = {w.taps}, .weights.bits = {w.bits}"


def _initialiser(value: Any) -> Any:
    return f"{{{', '.join(map(str, value))}}}" if isinstance(value, tuple) else value


def _is_zero(value: Any) -> bool:
    return value in (0, "0x00000000u")


def _wrapped(items: list[str], width: int = 100) -> Iterator[str]:
    """Join items by commas into lines of at most `width` columns."""
    line = ""
    for item in items:
        if line and len(line) + len(item) > width:
            yield line
            line = ""
        line = f"{line}, {item}" if line else item
    if line:
        yield line


def _pointer(ctype: str, offset: int) -> str:
    return f"arena + {offset}" if ctype == "uint8_t" else f"({ctype} *)(arena + {offset})"


def _number(value: np.integer) -> str:
    """A C literal; packed words are in hexadecimal, and the most negative int32 has none of its own."""
    if value.dtype == np.uint32:
        return f"0x{value:08x}u"
    return "INT32_MIN" if value == np.iinfo(np.int32).min else str(value)


def _table(literals: list[str]) -> str:
    lines = (literals[i : i + _LINE] for i in range(0, len(literals), _LINE))
    return "\n".join(f"    {', '.join(line)}," for line in lines)
