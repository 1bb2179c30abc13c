"""Compiles the kernels that cases call, once, and runs the cases as data: on the host under sanitizers, on QEMU, on RTL."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np

from mico_runner.codegen import micro
from mico_runner.codegen.emit import (
    ARM_CFLAGS,
    ARM_TARGETS,
    BOARDS,
    KERNELS,
    RV32_CFLAGS,
    RV32_TARGET,
    kernel_files,
)
from mico_runner.codegen.program import Call
from mico_runner.errors import StepSkipped
from mico_runner.targets import host, program, qemu, rtl
from tests.fuzz.cases import Case

HERE = Path(__file__).parent
TYPES = {"MICO_U8": 0, "MICO_S8": 1, "MICO_S32": 2}
TIMEOUT_S = 3600.0
HOSTS = {"host": "", "avx2": "-O2 -march=haswell", "native": "-O3 -march=native"}  # under sanitizers, all of them
TARGETS = (*HOSTS, *qemu.MACHINES, *rtl.CORES)
DEFINES = {"fullcfu-dot": ["-DMICO_DOT_UNIT"], "ibex": ["-DMICO_IBEX"]}  # as the generated Makefile's `make rtl`


class Function(NamedTuple):
    """What the driver must know of a kernel's function to call it."""

    function: str
    kernel: str
    units: tuple[str, ...]
    members: tuple[str, ...]
    weights: bool
    inputs: int
    scratch: bool

    @classmethod
    def of(cls, call: Call) -> Function:
        shape = (call.weights is not None, len(call.inputs), bool(call.scratch_bytes))
        return cls(call.function, call.kernel, call.units, tuple(_members(call)), *shape)


def run(cases: Sequence[Case], functions: Sequence[Function], target: str, folder: Path) -> list[np.ndarray]:
    """The elements that the kernels wrote, by case: int32.

    Args:
        functions: all that the cases call; the driver is built once for each such list.
        target: one of `TARGETS`.

    Raises:
        StepSkipped: a compiler, QEMU or verilator is missing.
        StepError: a sanitizer's finding, a trap, a hang, or an output of another size or sum.
    """
    binary = _build(functions, target, folder)
    words = np.concatenate([_encode(case, functions) for case in cases])
    if target in HOSTS:
        found = _on_host(binary, words)
    elif target in qemu.MACHINES:
        found = _on_qemu(binary, words, target)
    else:
        found = _on_rtl(binary, words, target)
    sizes = [case.expected.size for case in cases]
    assert len(found) == sum(sizes) + 1, f"{target}: {len(found)} words instead of {sum(sizes) + 1}"
    assert int(found[:-1].sum(dtype=np.uint64)) % (1 << 32) == found[-1], f"{target}: the output's sum is wrong"
    return np.split(found[:-1].view(np.int32), np.cumsum(sizes)[:-1])


def _build(functions: Sequence[Function], target: str, folder: Path) -> Path:
    headers = sorted({f"{unit}.h" for f in functions for unit in f.units})
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        (HERE / "driver.c.j2").read_text(encoding="utf-8")
    )
    text = template.render(functions=functions, headers=headers)
    home = folder / f"{target}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if (home / "done").is_file():
        return home / "done"
    home.mkdir(parents=True, exist_ok=True)
    (home / "driver.c").write_text(text, encoding="utf-8")
    units = {unit for f in functions for unit in f.units}
    sources = [home / "driver.c", *(KERNELS / path.name for path in kernel_files(units) if path.suffix == ".c")]
    sources += micro.write(units, home)
    include = [f"-I{KERNELS}", f"-I{home}"]
    if target in HOSTS:
        if target == "avx2" and "avx2" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
            raise StepSkipped("this processor has no AVX2")
        gcc, flags, link = "gcc", [*host.SANITIZE.split(), *HOSTS[target].split()], []
        include.append(f"-I{HERE / 'host'}")
    else:
        board = "rtl" if target in rtl.CORES else qemu.MACHINES[target].folder
        arm = ARM_TARGETS.get(board)
        options = f"{arm} {ARM_CFLAGS}" if arm else f"{RV32_TARGET} {RV32_CFLAGS}"
        gcc = qemu.MACHINES[target].gcc if target in qemu.MACHINES else rtl.GCC
        flags = [*options.split(), *DEFINES.get(target, [])]
        place = BOARDS / board
        include.append(f"-I{place}")
        link = ["-nostdlib", "-Wl,--gc-sections", "-T", str(place / "link.ld"), str(place / "start.S"), "-lgcc"]
    flags.append("-std=c99")  # as the generated Makefile has it: its objects are these
    objects = [str(home / f"{source.stem}.o") for source in sources]
    for source, made in zip(sources, objects, strict=True):
        program.checked([gcc, *flags, *include, "-c", "-o", made, str(source)], gcc, program.BUILD_TIMEOUT_S)
    program.checked([gcc, *flags, *include, *objects, *link, "-o", str(home / "binary")], gcc, program.BUILD_TIMEOUT_S)
    if target in rtl.CORES:
        subprocess.run([rtl.OBJCOPY, "-O", "binary", home / "binary", home / "image"], check=True)
        (home / "image").rename(home / "binary")
    (home / "binary").rename(home / "done")
    return home / "done"


def _on_host(binary: Path, words: np.ndarray) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="mico-fuzz-") as scratch:
        source, target = Path(scratch) / "in", Path(scratch) / "out"
        source.write_bytes(words.tobytes())
        program.checked(["sh", "-c", f"{binary} < {source} > {target}"], "the kernels on the host", TIMEOUT_S)
        return np.fromfile(target, "<u4")


def _on_qemu(binary: Path, words: np.ndarray, machine: str) -> np.ndarray:
    board = qemu.machine(machine)
    content = np.uint32(words.nbytes).tobytes() + words.tobytes()
    assert len(content) <= board.input_bytes, "fewer cases at a time"
    return qemu.execute(board, binary, content, TIMEOUT_S)


def _on_rtl(binary: Path, words: np.ndarray, core: str) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="mico-fuzz-") as scratch:
        source, target = Path(scratch) / "in", Path(scratch) / "out"
        source.write_bytes(words.tobytes())
        command = [str(rtl.core(core)), str(binary), str(source), str(target), "0", str(rtl.MAX_CYCLES)]
        program.checked(command, f"the kernels on {core}", TIMEOUT_S)
        return np.fromfile(target, "<u4")


def _encode(case: Case, functions: Sequence[Function]) -> np.ndarray:
    """The case as the driver reads it: uint32 words."""
    names = {"input": 0}
    for call in case.calls:
        for buffer in (*call.inputs, call.output):
            names.setdefault(buffer.name, len(names))
    sizes = {b.name: b.bytes for call in case.calls for b in (*call.inputs, call.output)}
    parts: list[Any] = [len(names), case.input.size % 4, *_table(case.input)]
    parts += [sizes[name] for name in names if name != "input"]
    parts.append(len(case.calls))
    for call in case.calls:
        parts += [functions.index(Function.of(call)), *(v & 0xFFFFFFFF for v in _members(call).values())]
        if w := call.weights:
            for data in (w.words, w.bias, w.multiplier, w.shift):
                parts += _table(data)
            parts += [w.words.shape[1], w.taps, w.bits]
        parts += [names[b.name] for b in (*call.inputs, call.output)]
        if call.scratch_bytes:
            parts.append(call.scratch_bytes)
    parts += [names[case.output.name], TYPES[case.output.tag], case.output.size]
    return np.array(parts, np.uint32)


def _table(data: np.ndarray) -> Iterator[int]:
    raw = np.ascontiguousarray(data).view(np.uint8).ravel()
    yield raw.size
    yield from np.pad(raw, (0, -raw.size % 4)).view("<u4").tolist()


def _members(call: Call) -> dict[str, int]:
    """Members of the call's struct but the weights: name in C -> value."""
    found: dict[str, int] = {}
    for key, value in call.fields.items():
        inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        for name, v in inner.items():
            found[name] = TYPES[v] if v in TYPES else int(v.rstrip("u"), 0) if isinstance(v, str) else int(v)
    return found
