"""What programs without an operating system read and write: codegen/templates/bare.c.j2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mico_runner.codegen.description import NetworkAbout
from mico_runner.errors import StepError
from mico_runner.targets import host

MAGIC = 0x4F43494D
TRAPPED = 0x50415254


class NetworkRun(NamedTuple):
    """What one network gave on its images.

    Attributes:
        outputs: int32 (N, *output shape), in the IR's order.
        cycles: int64 (N, kernel calls), of the board's clock, its own cost taken off.
    """

    outputs: np.ndarray
    cycles: np.ndarray


def encode(networks: Sequence[NetworkAbout], inputs: Sequence[Sequence[np.ndarray]]) -> bytes:
    """The input: per network (an entry of network.json) a uint32 count, then its samples, each input (N, *shape) of a sample in turn.

    Raises:
        ValueError: images of another shape, or integers that an input's type does not hold.
    """
    parts = []
    for network, given in zip(networks, inputs, strict=True):
        count = len(given[0])
        stored = [host.to_memory(x, tensor) for x, tensor in zip(given, network["inputs"], strict=True)]
        parts += [np.uint32(count).tobytes(), _by_sample(stored).tobytes()]
    return b"".join(parts)


def _by_sample(stored: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 (N, bytes of a sample): all inputs of the first sample, then those of the next; N may be 0."""
    raw = [np.frombuffer(x.tobytes(), np.uint8).reshape(len(x), math.prod(x.shape[1:]) * x.itemsize) for x in stored]
    return np.concatenate(raw, axis=1)


def output_count(network: NetworkAbout) -> int:
    """Numbers that a sample gives."""
    return sum(int(np.prod(tensor["shape"])) for tensor in network["outputs"])


def split(values: np.ndarray, network: NetworkAbout) -> list[np.ndarray]:
    """The outputs (N, *shape) of a network, in the IR's order, for what its program has written of all samples."""
    sizes = [int(np.prod(tensor["shape"])) for tensor in network["outputs"]]
    parts = np.split(values.reshape(-1, sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    return [
        host.from_memory(part, tuple(tensor["shape"])) for part, tensor in zip(parts, network["outputs"], strict=True)
    ]


def parse(
    words: np.ndarray, networks: Sequence[NetworkAbout], counts: Sequence[int], name: str, stack: bool = False
) -> tuple[list[NetworkRun], int]:
    """The output's words by network, and the bytes of stack in use (0 when the board does not report them).

    Args:
        words: uint32 (n,).
        counts: images of each network.
        name: of the program, for messages.
        stack: whether the board reports its stack.

    Raises:
        StepError: a word too many or too few, a wrong begin or sum.
    """
    outputs = [output_count(network) for network in networks]
    records = [o + len(n["layers"]) + 1 for o, n in zip(outputs, networks, strict=True)]
    expected = 3 + stack + sum(r * c for r, c in zip(records, counts, strict=True))
    if len(words) != expected:
        raise StepError(f"{name} ended normally but wrote {len(words)} words instead of {expected}")
    if words[0] != MAGIC or words[1] != len(networks):
        raise StepError(f"{name}: the output begins with 0x{words[0]:08x}, {words[1]}: not the protocol")
    if int(words[:-1].sum(dtype=np.uint64)) % (1 << 32) != words[-1]:
        raise StepError(f"{name}: the output's sum is wrong")
    found, at = [], 2
    for network, size, record, count in zip(networks, outputs, records, counts, strict=True):
        part = words[at : at + record * count].reshape(count, record)
        at += record * count
        values = np.ascontiguousarray(part[:, :size]).view(np.int32).ravel()
        cycles = part[:, size:].astype(np.int64)
        (output,) = split(values, network)
        found.append(NetworkRun(output, cycles[:, :-1] - cycles[:, -1:]))
    return found, int(words[-2]) if stack else 0
