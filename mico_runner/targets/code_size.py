"""Measures what each kernel function adds to a linked program and to its stack: the figures behind `codegen.footprint`.

    python -m mico_runner.targets.code_size        # writes hardware/programs/<board>.yaml of each board whose kernels have changed

Every function is linked alone, with all that it calls; the linker's map says which sections that takes. What start, main and a network's
own function take is the rest of whole programs.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mico_runner import codegen, paths
from mico_runner.codegen import description, dsp, emit, footprint, micro, mla, mve
from mico_runner.codegen.footprint import BOARDS
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.kernel_table import DENSE
from mico_runner.ops.families import FAMILIES
from mico_runner.quant.qgraph import QGraph, QTensor
from mico_runner.targets import machines, program, qemu, rtl, stack
from mico_runner.targets.kernel_code import parsed_text_sha256
from mico_runner.targets.one_kernel import single_layer

HOST_ONLY = ("mico_conv2d_simd", "mico_depthwise_simd", "mico_frame", "mico_simd", "mico_widen")  # sources and headers
KINDS, CHAINS = DENSE, (2, 24)  # of the layers of whole programs, and how many
REGISTERS = 16  # bytes: four more registers that the function of a network of many tensors has to keep
_SECTION = re.compile(r"^ (\.(?:text|s?rodata|s?data)\S*)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S+)$", re.MULTILINE)
_HEAD = """# What kernels add to a program for {board}: measured by `python -m mico_runner.targets.code_size`, \
see docs/reference/codegen.md.
# Source: the compiler below with the flags of a generated Makefile; sizes from the linker's map, stack from gcc's call graph.
#   program: what start, main and the network's function take (rest, and for each call), and the stack of these
#   sections: bytes of each section of kernels' code and constants
#   functions: the most stack that a call takes, and the sections that it needs
compiler: {compiler}
kernels: {kernels}
"""


def measure(board: str, work: Path) -> dict[str, Any]:
    """`program`, `sections` and `functions` of one of `BOARDS`, as hardware/programs/ has them; `work` is a folder for files.

    Raises:
        StepSkipped, StepError: the compiler is missing, or a kernel does not compile.
    """
    objects = _compiled(board, work)
    names = sorted(_functions(board, objects))
    _link(board, objects, work / "all.elf", [f"-u,{name}" for name in names])
    sections: dict[str, int] = {}
    functions: dict[str, dict[str, Any]] = {}
    for name in names:
        chart = work / "one.map"
        _link(board, objects, work / "one.elf", [f"-e,{name}", f"-Map={chart}"])
        needed = _sections(chart.read_text(encoding="utf-8"))
        sections |= needed
        deepest = stack.bound(work / "all.elf", f"{BOARDS[board].tool}nm", name).bytes
        functions[name] = {"stack": deepest, "sections": sorted(needed)}
    found = {"sections": dict(sorted(sections.items())), "functions": functions}
    return {"program": _rest(board, found, work), **found}


def version(board: str) -> str:
    """The first line that the board's compiler says of itself. Raises StepSkipped when it is missing."""
    return rtl.compiler_version() if board == "rtl" else qemu.compiler_version(machines.machine_for(board))


def kernels(board: str, work: Path) -> str:
    """Hash of what is measured: the kernels' text without comments, written or emitted into `work`, and the board's flags."""
    digest = hashlib.sha256(" ".join(BOARDS[board].flags).encode())
    headers = (path for path in emit.KERNELS.glob("*.h") if path.stem not in HOST_ONLY)
    for path in sorted([*_sources(work), *headers], key=lambda path: path.name):
        digest.update(f"{path.name} {parsed_text_sha256([path])}\n".encode())
    return digest.hexdigest()[:16]


def text(board: str, found: dict[str, Any], of: str) -> str:
    """What `measure` found of some `kernels`, as a file of hardware/programs/."""
    lines = [
        _HEAD.format(board=board, compiler=version(board), kernels=of) + f"program: {_flow(found['program'])}",
        "sections:",
    ]
    lines += [f"  {name}: {size}" for name, size in found["sections"].items()]
    lines += ["functions:", *(f"  {name}: {_flow(about)}" for name, about in found["functions"].items())]
    return "\n".join(lines) + "\n"


def _flow(values: dict[str, Any]) -> str:
    items = (f"{k}: [{', '.join(v)}]" if isinstance(v, list) else f"{k}: {v}" for k, v in values.items())
    return "{" + ", ".join(items) + "}"


def _compiled(board: str, work: Path) -> list[Path]:
    """An object of each file of kernels, and beside it the call graph that `stack.bound` reads."""
    about = BOARDS[board]
    command = [about.gcc, f"-I{emit.KERNELS}", *emit.WARNINGS.split(), "-DMICO_TIMING", stack.CFLAG, *about.flags]
    objects = []
    for source in _sources(work):
        made = work / f"{source.stem}.o"
        program.checked([*command, "-c", "-o", str(made), str(source)], about.gcc, program.BUILD_TIMEOUT_S)
        objects.append(made)
    return objects


def _sources(work: Path) -> list[Path]:
    emitted = micro.write(micro.UNITS, work)
    return sorted([*emitted, *(file for file in emit.KERNELS.glob("*.c") if file.stem not in HOST_ONLY)])


def _functions(board: str, objects: Iterable[Path]) -> list[str]:
    """The functions that a network may call."""
    command = [f"{BOARDS[board].tool}nm", "--defined-only", "--extern-only", *map(str, objects)]
    symbols = program.checked(command, command[0], program.BUILD_TIMEOUT_S).splitlines()
    return [parts[2] for parts in map(str.split, symbols) if parts[1:2] == ["T"] and parts[2].startswith("mico_")]


def _link(board: str, objects: Iterable[Path], into: Path, options: Iterable[str]) -> None:
    """What main would bring is left open: only sizes are wanted."""
    about = BOARDS[board]
    command = [about.gcc, "-nostdlib", *about.flags, "-T", str(emit.BOARDS / board / "link.ld"), "-o", str(into)]
    command += [f"-Wl,{option}" for option in ("--gc-sections", "--unresolved-symbols=ignore-all", *options)]
    program.checked([*command, *map(str, objects), "-lgcc"], about.gcc, program.BUILD_TIMEOUT_S)


def _sections(chart: str) -> dict[str, int]:
    """Bytes of the sections that the linker has kept, as `<object><section>`."""
    found: dict[str, int] = {}
    for section, size, file in _SECTION.findall(chart[chart.index("Linker script and memory map") :]):
        name = re.sub(r".*\(|\)$", "", Path(file).name).removesuffix(".o") + section
        if int(size, 16):
            found[name] = found.get(name, 0) + int(size, 16)
    return found


def _rest(board: str, found: dict[str, Any], work: Path) -> dict[str, int]:
    """What tables, structs and kernels leave of whole programs, and what each call adds to it."""
    slopes, left, frames = [], [], []
    for kind in KINDS:
        sizes = []
        for length in CHAINS:
            graph = _chain(kind, length)
            sources = work / graph.name
            codegen.generate(graph, sources, runtime="baremetal", core=_core(board))
            lowered = lower(graph, KernelPolicy.of("baremetal", _core(board)))
            needed = set().union(*(found["functions"][c.function]["sections"] for c in lowered.calls))
            kernels = sum(found["sections"][name] for name in needed)
            known = (
                footprint.table_bytes(description.sections(lowered).values())
                + footprint.struct_bytes_of(lowered)
                + kernels
            )
            elf = _built(board, sources)
            sizes.append(program.flash_bytes(elf, board) - known)
            left.append((sizes[-1], length))
            deepest = max(found["functions"][c.function]["stack"] for c in lowered.calls)
            whole = rtl.stack_bound(elf) if board == "rtl" else qemu.stack_bound(elf, machines.machine_for(board))
            frames.append(whole.bytes - deepest)
        slopes.append(-(-(sizes[1] - sizes[0]) // (CHAINS[1] - CHAINS[0])))
    slope = max(slopes)
    rest = [size - slope * length for size, length in left]
    safe = 2 * max(rest) - min(
        rest
    )  # by how much they differ, once more: limits are to be kept by programs of other layers, too
    code = {"rest": safe, "rest_per_call": slope, "rest_per_stage": _stage_code(board, found, work, min(rest), slope)}
    return {**code, "stack": max(frames) + REGISTERS}


def _core(board: str) -> str | None:
    """The core whose kernels programs for a board have; None: those of every core."""
    core = "cortex-m3" if board == "cortex-m" else board
    return core if core in (*dsp.CORES, *mla.CORES, *mve.CORES) else None


def _stage_code(board: str, found: dict[str, Any], work: Path, rest: int, slope: int) -> int:
    """What a stage of four layers, as many as an inverted residual has, adds to a program beside its constants and its calls."""
    graph = _residual()
    sources = work / graph.name
    codegen.generate(graph, sources, runtime="baremetal", core=_core(board), schedule="rows")
    lowered = lower(graph, KernelPolicy.of("baremetal", _core(board)), "rows")
    needed = set().union(*(found["functions"][name]["sections"] for name in footprint.called(lowered)))
    known = footprint.table_bytes(description.sections(lowered).values()) + footprint.struct_bytes_of(lowered)
    known += sum(found["sections"][name] for name in needed) + rest + slope * len(lowered.calls)
    code: int = program.flash_bytes(_built(board, sources), board) - known
    return -(-code // len(lowered.stages))


def _residual() -> QGraph:
    """Pointwise, depthwise, pointwise and a sum with what the first reads, which a layer in front makes."""
    rng = np.random.default_rng(0)
    shape = dict.fromkeys(("in_channels", "out_channels"), 8) | {"in_h": 8, "in_w": 8}
    layers = [
        single_layer("conv2d", **shape, rng=rng),
        single_layer("conv2d", **shape, rng=rng),
        single_layer("depthwise", **shape | {"in_h": 10, "in_w": 10}, kernel_h=3, kernel_w=3, rng=rng),
        single_layer("conv2d", **shape, rng=rng),
        single_layer("add", in_channels=8, in_h=8, in_w=8, rng=rng),
    ]
    like = layers[0].tensors["x"]
    nodes = [
        replace(layer.nodes[0], name=f"layer{i}", inputs=(f"t{i}",) if i < 4 else ("t1", "t4"), output=f"t{i + 1}")
        for i, layer in enumerate(layers)
    ]
    tensors = {f"t{i}": QTensor(like.shape, like.type) for i in range(len(layers) + 1)}
    return QGraph("residual", ("t0",), (f"t{len(layers)}",), tuple(nodes), tensors)


def _chain(kind: str, length: int) -> QGraph:
    """Layers of one kind in a row."""
    rng = np.random.default_rng(0)
    shape = dict.fromkeys(("in_channels", "out_channels"), 8) | (
        {"in_h": 8, "in_w": 8} if "in_h" in FAMILIES[kind].columns else {}
    )
    layer = single_layer(kind, **shape, rng=rng)
    node, like = layer.nodes[0], layer.tensors["x"]
    nodes = [replace(node, name=f"layer{i}", inputs=(f"t{i}",), output=f"t{i + 1}") for i in range(length)]
    tensors = {f"t{i}": QTensor(like.shape, like.type) for i in range(length + 1)}
    return QGraph(f"{kind}_{length}", ("t0",), (f"t{length}",), tuple(nodes), tensors)


def _built(board: str, sources: Path) -> Path:
    if board == "rtl":
        return rtl.build(sources).with_suffix(".elf")
    return qemu.build(sources, machines.machine_for(board))


def main() -> None:
    """Measure the boards whose kernels or compiler are others than those recorded, and write what was found."""
    for board in BOARDS:
        path = paths.shipped("hardware") / "programs" / f"{board}.yaml"
        before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        with tempfile.TemporaryDirectory() as work:
            of = kernels(board, Path(work))
            if (before.get("kernels"), before.get("compiler")) == (of, version(board)):
                continue
            found = measure(board, Path(work))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(board, found, of), encoding="utf-8")


if __name__ == "__main__":
    main()
