"""network.json: what another program must know to run the C program."""

from __future__ import annotations

from typing import TypedDict

from mico_runner.codegen.program import Program
from mico_runner.ops.c import Buffer


class TensorAbout(TypedDict):
    """An input or an output, its shape without the batch."""

    name: str
    shape: list[int]
    bits: int
    signed: bool
    scale: float


class CallAbout(TypedDict):
    """A kernel call; `node`: of the network."""

    node: str
    call: str
    kernel: str


class ExitAbout(TypedDict):
    """Where the network may end: after that many calls."""

    after: int
    margin: int


class PlaceAbout(TypedDict):
    """Where a tensor lies in the arena, and from which call to which."""

    tensor: str
    offset: int
    bytes: int
    first_node: int
    last_node: int


class NetworkAbout(TypedDict):
    """A network of a program; sizes in bytes."""

    name: str
    inputs: list[TensorAbout]
    outputs: list[TensorAbout]
    layers: list[CallAbout]
    exits: list[ExitAbout]
    arena_bytes: int
    arena_lower_bound: int
    flash_bytes: int
    sections: dict[str, int]
    memory: list[PlaceAbout]


class ProgramAbout(TypedDict):
    """The whole file."""

    name: str
    networks: list[NetworkAbout]


def sections(program: Program) -> dict[str, int]:
    """Bytes of each constant table: "<layer>.weight", ".bias", ".multiplier", ".shift"."""
    return {f"{c.node}.{name}": table.nbytes for c in program.calls for name, table in c.constants.items()}


def description(program: Program) -> NetworkAbout:
    """The entry of one network."""

    def tensor(buffer: Buffer) -> TensorAbout:
        t = buffer.type
        return {"name": buffer.name, "shape": list(buffer.shape), "bits": t.bits, "signed": t.signed, "scale": t.scale}

    return {
        "name": program.name,
        "inputs": [tensor(buffer) for buffer in program.inputs],
        "outputs": [tensor(buffer) for buffer in program.outputs],
        "layers": [{"node": c.node, "call": c.name, "kernel": c.kernel} for c in program.calls],
        "exits": [{"after": exit.call, "margin": exit.margin} for exit in program.exits],
        "arena_bytes": program.arena_bytes,
        "arena_lower_bound": program.lower_bound,
        "flash_bytes": sum(sections(program).values()),
        "sections": sections(program),
        "memory": [
            {
                "tensor": p.tensor,
                "offset": p.offset,
                "bytes": p.bytes,
                "first_node": p.first_node,
                "last_node": p.last_node,
            }
            for p in program.memory
        ],
    }
