"""Integer graph to C: readable C99 that needs no library, no float and no allocation. See docs/reference/codegen.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.codegen.layout import Layout
    from mico_runner.codegen.planner import Placement
    from mico_runner.codegen.policy import KernelPolicy
    from mico_runner.codegen.program import KernelRow, Program
    from mico_runner.quant.qgraph import QGraph

RUNTIMES = ("host", "baremetal")
SCRATCH = ("two_rows", "tables")  # of convolutions by the tiled kernels
TILED = ("baremetal",)  # products packed into one multiplication; the host has wide registers instead


@dataclass(frozen=True)
class CodegenResult:
    """What `generate` has written.

    Attributes:
        name: C identifier of the network: `<name>_forward`, `<name>.c`.
        arena_bytes: RAM for activations and scratch; the caller's input and output come on top.
        arena_lower_bound: the most bytes that live at one time; no plan can be smaller.
        flash_bytes: constant tables, the sum of `sections` ("<layer>.weight", ".bias", ".multiplier", ".shift"); no code.
        kernels: which kernel each weighted layer gets, and why.
        memory: (tensor, offset, bytes, first_node, last_node) of each buffer in the arena; nodes count kernel calls.
        stages: layers that run together, row by row.
    """

    name: str
    folder: Path
    arena_bytes: int
    arena_lower_bound: int
    flash_bytes: int
    sections: dict[str, int]
    memory: list[Placement]
    kernels: list[KernelRow]
    stages: list[list[str]]


def generate(
    graph: QGraph,
    folder: Path | str,
    runtime: str = "host",
    core: str | None = None,
    scratch: str = "two_rows",
    layout: Layout | None = None,
    schedule: str = "layers",
    max_macs: float = 1.0,
) -> CodegenResult:
    """Write the C program of `graph` into `folder` (made if absent; files of the same names are replaced).

    Args:
        core: the core that will run it, as `hardware.Hardware.core`: one with a function unit gets kernels that use it, and Ibex
            traps where it looks for them.
        scratch: of the runtime `baremetal`: convolutions have two rows of an im2col matrix of 16 bits at most, or 2 to 4 KiB of "tables"
            besides; layers without im2col columns, linear and 1 x 1, may have these in any case.
        layout: one file or many, for which build system; None: a file per kernel, for make and CMake.
        schedule: "layers", one after the other, or "rows", the order of least memory: some layers run together, a row at a time.
        max_macs: how many products "rows" may compute, relative to the network's: with more than 1, layers may run in strips of columns.

    Raises:
        UnknownName: for a runtime, scratch or schedule that does not exist.
        StepError: when a node has no kernel or breaks a bound of `quant.qgraph`.
    """
    from mico_runner.codegen import description, emit
    from mico_runner.codegen.example import example_files
    from mico_runner.codegen.layout import Layout
    from mico_runner.codegen.lowering import lower
    from mico_runner.codegen.packages import package_files
    from mico_runner.codegen.policy import KernelPolicy

    layout = layout or Layout()
    program = lower(graph, KernelPolicy.of(runtime, core, scratch), schedule, max_macs)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sources = emit.source_files(program, graph.name, layout)
    units = [file.removesuffix(".c") for file in sources if file.endswith(".c")]
    _write(sources, folder / layout.sources)
    _write(emit.build_files([program], program.name, units, core, layout), folder)
    example = example_files(graph, program, layout)
    _write(example, folder)
    test_vector = example[f"example/{program.name}_test_vector.h"]
    _write(package_files(program, graph.name, units, layout, test_vector), folder)
    emit.copy_boards(folder)
    tables = description.sections(program)
    return CodegenResult(
        name=program.name,
        folder=folder,
        arena_bytes=program.arena_bytes,
        arena_lower_bound=program.lower_bound,
        flash_bytes=sum(tables.values()),
        sections=tables,
        memory=program.memory,
        kernels=[choice.row() for choice in program.choices],
        stages=[[call.node for call in program.calls[s.first : s.last + 1]] for s in program.stages],
    )


def generate_networks(
    graphs: Sequence[QGraph],
    folder: Path | str,
    policy: KernelPolicy,
    core: str | None = None,
    schedule: str = "layers",
    max_macs: float = 1.0,
) -> list[Program]:
    """Write one C program of several networks (of different names) into `folder`, to check or time many at once.

    Args:
        core: as `generate`; here it decides nothing but where traps are.
        schedule, max_macs: as `generate`.

    Returns:
        Their programs, in order.
    """
    from mico_runner.codegen import emit
    from mico_runner.codegen.lowering import lower

    programs = [lower(graph, policy, schedule, max_macs) for graph in graphs]
    if len({p.name for p in programs}) < len(programs):
        raise ValueError("networks in one folder need different names")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for program, graph in zip(programs, graphs, strict=True):
        _write(emit.network_files(program, graph.name), folder)
    _write({**emit.kernel_texts(programs), **emit.bundle_files(programs, core)}, folder)
    emit.copy_boards(folder)
    return programs


def _write(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
