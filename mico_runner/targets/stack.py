"""The most stack that a compiled program can use on any path, from what gcc writes with -fcallgraph-info=su: frames and calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from mico_runner.errors import StepError
from mico_runner.targets import program

CFLAG = "-fcallgraph-info=su"
BOUNDED = ("static", "dynamic,bounded")  # frames whose bytes, as gcc states them, are the most that they take
_POINTER = "__indirect_call"
_NODE = re.compile(r'^node: { title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(([a-z,]+)\)')
_EDGE = re.compile(r'^edge: { sourcename: "([^"]+)" targetname: "([^"]+)"')

Calls = dict[str, set[str]]  # function -> those that it calls; a static function is "file:name"


class Bound(NamedTuple):
    """The deepest stack.

    Attributes:
        bytes: of all frames on the path.
        path: the functions, `main` first.
    """

    bytes: int
    path: tuple[str, ...]


def bound(elf: Path, nm: str, entry: str = "main") -> Bound:
    """Worst case over all paths of the call graph of a program that was compiled with `CFLAG`; gcc leaves one beside each object.

    A call through a pointer counts as one of every function of its file that does not itself lead to the caller. A function that gcc has
    replaced by an equal one has no frame of its own: both names have one address.

    Args:
        elf: the program, alone in the folder of its objects.
        nm: the program of that name for the program's processor.

    Raises:
        StepError: no graphs; a function calls itself, has a frame of varying size, calls through a pointer in a file where nothing can
            be meant, or calls one of no known frame (of a library).
    """
    frames, calls = _read(elf, nm)
    if entry not in frames:
        raise StepError(f"{elf.name}: no call graph with {entry!r} beside it; it is to be compiled with {CFLAG}")
    done: dict[str, Bound] = {}

    def deepest(name: str, above: tuple[str, ...]) -> Bound:
        if name in above:
            raise StepError(f"the stack has no bound: {' calls '.join((*above[above.index(name) :], name))}")
        if name not in frames:
            raise StepError(f"the stack's bound is not known: {above[-1]} calls {name}, whose frame gcc has not seen")
        if name not in done:
            below = [deepest(target, (*above, name)) for target in sorted(calls.get(name, ()))]
            most = max(below, key=lambda b: b.bytes, default=Bound(0, ()))
            done[name] = Bound(frames[name] + most.bytes, (_bare(name), *most.path))
        return done[name]

    return deepest(entry, ())


def _read(elf: Path, nm: str) -> tuple[dict[str, int], Calls]:
    """Bytes of each function's frame, and the calls."""
    frames: dict[str, int] = {}
    calls: Calls = {}
    pointers: Calls = {}  # caller -> the functions of its file
    for graph in sorted(elf.parent.glob("*.ci")):
        lines = graph.read_text(encoding="utf-8").splitlines()
        nodes = [node for node in map(_NODE.match, lines) if node]
        own = {node[1]: int(node[2]) for node in nodes}
        frames |= own
        for node in nodes:
            if node[3] not in BOUNDED:
                raise StepError(f"the stack has no known bound: the frame of {node[1]} is {node[3]}")
        for edge in filter(None, map(_EDGE.match, lines)):
            if edge[2] == _POINTER:
                pointers[edge[1]] = set(own)
            else:
                calls.setdefault(edge[1], set()).add(edge[2])
    for name, equal in _replaced(set().union(*calls.values()) - set(frames), frames, elf, nm).items():
        calls[name], frames[name] = equal, 0  # a jump to it, or the same code
    for caller, functions in pointers.items():
        found = {name for name in functions if caller not in _reached(name, calls)}
        if not found:
            raise StepError(f"the stack's bound is not known: {caller} calls through a pointer")
        calls[caller] = calls.get(caller, set()) | found
    return frames, calls


def _replaced(unknown: set[str], frames: dict[str, int], elf: Path, nm: str) -> Calls:
    """Of functions without a frame: those of their file that have the same address, where there are any."""
    listed = program.checked([nm, "--defined-only", str(elf)], nm, program.VERSION_TIMEOUT_S)
    symbols = {(address, name) for address, _, name in map(str.split, listed.splitlines())}
    found: Calls = {}
    for missing in unknown:
        places = {address for address, name in symbols if name == _bare(missing)}
        names = {name for address, name in symbols if address in places}
        file = missing.rpartition(":")[0]
        if equal := {f for f in frames if _bare(f) in names and f.rpartition(":")[0] in ("", file)}:
            found[missing] = equal
    return found


def _reached(start: str, calls: Calls) -> set[str]:
    """`start`, and all that it leads to."""
    found, waiting = {start}, [start]
    while waiting:
        new = calls.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _bare(name: str) -> str:
    return name.rpartition(":")[2]
