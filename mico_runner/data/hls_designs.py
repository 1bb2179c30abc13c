"""Designs of high-level synthesis: what pragmas cost, measured by the tool, for many kernels.

An archive (.tar.gz) as published with HLSyn (https://github.com/UCLA-DM/HLSyn): `designs/*/KERNEL.json`, a mapping to designs with
`point` (pragma name -> value), `perf` (cycles; 0 where synthesis failed) and `valid`; `sources/KERNEL_kernel.c`; and the program graph,
`graphs/KERNEL_processed_result.gexf`, in which a node of type 3 is a pragma.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mico_runner.data import catalog
from mico_runner.errors import UsageError

PRAGMA = 3  # type of a node
_TITLES = {"text", "type", "full_text"}
_NAME = re.compile(r"auto\{(\w+)\}")


@dataclass(frozen=True)
class ProgramGraph:
    """A program as a graph.

    Attributes:
        texts: (nodes,) what each node is: an instruction's name, a type, a kind of pragma.
        kinds: (nodes,) 0 instruction, 1 variable, 2 constant, 3 pragma.
        pragmas: name of a pragma's value -> node.
        edges: (edges, 2) node indices, from and to.
    """

    texts: tuple[str, ...]
    kinds: np.ndarray
    pragmas: Mapping[str, int]
    edges: np.ndarray


@dataclass(frozen=True)
class Designs:
    """All designs of one kernel: `points` by pragma name, `cycles` and `valid` (designs,), its C source and its graph."""

    kernel: str
    points: tuple[Mapping[str, object], ...]
    cycles: np.ndarray
    valid: np.ndarray
    source: str
    graph: ProgramGraph


def load_designs(name: str) -> dict[str, Designs]:
    """A data set of kind `design_table`, by kernel. Raises UnknownName, UsageError: it is missing or malformed."""
    catalog.entry(name, "design_table")
    (path,) = catalog.fetch(name)
    return read_designs(path)


def read_designs(path: Path) -> dict[str, Designs]:
    """An archive as the module says. Kernels that lack a source or a graph are left out. Raises UsageError naming archive and file."""
    try:
        with tarfile.open(path) as archive:
            files = {m.name: _content(archive, m) for m in archive.getmembers() if m.isfile()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"{path}: no archive of designs: {error}") from None
    named = {Path(name).name: name for name in files}
    found = {}
    for name in sorted(files):
        place = Path(name)
        if place.suffix != ".json" or "designs" not in place.parts:
            continue
        kernel = place.stem
        source, graph = (_of(named, kernel, end) for end in ("kernel.c", "processed_result.gexf"))
        if source and graph:
            where = f"{path}: {name}"
            points, cycles, valid = _designs(where, files[name])
            of_program = _graph(f"{path}: {graph}", files[graph])
            found[kernel] = Designs(kernel, points, cycles, valid, files[source].decode(), of_program)
    if not found:
        raise UsageError(
            f"{path}: no kernel with designs/*/NAME.json, sources/NAME_kernel.c and graphs/NAME_processed_result.gexf"
        )
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _of(named: Mapping[str, str], kernel: str, end: str) -> str | None:
    """The file of a kernel; some have an underscore more, or the kernel's name twice."""
    for name in (f"{kernel}_{end}", f"{kernel}__{end}", f"{kernel}_{kernel}2d_{end}"):
        if name in named:
            return named[name]
    return None


def _designs(where: str, text: bytes) -> tuple[tuple[Mapping[str, Any], ...], np.ndarray, np.ndarray]:
    try:
        rows = list(json.loads(text).values())
        points = tuple(row["point"] for row in rows)
        cycles = np.array([float(row["perf"]) for row in rows])
        valid = np.array([bool(row["valid"]) for row in rows]) & (cycles > 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{where}: no mapping to designs with point, perf and valid: {error}") from None
    if not points or any(point.keys() != points[0].keys() for point in points):
        raise UsageError(f"{where}: designs of one kernel must have the same pragmas")
    return points, cycles, valid


def _graph(where: str, text: bytes) -> ProgramGraph:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise UsageError(f"{where}: no GEXF: {error}") from None
    space = root.tag.partition("}")[0] + "}"
    titles = {a.get("id"): a.get("title") for a in root.iter(f"{space}attribute") if a.get("title") in _TITLES}
    numbers: dict[str | None, int] = {}
    texts, kinds, pragmas = [], [], {}
    for node in root.iter(f"{space}node"):
        values = {titles.get(v.get("for")): v.get("value", "") for v in node.iter(f"{space}attvalue")}
        numbers[node.get("id")] = len(texts)
        if name := _NAME.search(values.get("full_text", "")):
            pragmas[name[1]] = len(texts)
        texts.append(values.get("text", ""))
        kinds.append(int(values.get("type", 0)))
    edges = [(numbers[e.get("source")], numbers[e.get("target")]) for e in root.iter(f"{space}edge")]
    return ProgramGraph(tuple(texts), np.array(kinds), pragmas, np.array(edges).reshape(-1, 2))
