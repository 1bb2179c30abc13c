"""What programs without an operating system read and write: codegen/templates/bare.c.j2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

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


def encode(networks: Sequence[dict[str, Any]], images: Sequence[np.ndarray]) -> bytes:
    """The input: per network (an entry of network.json) a uint32 count, then its images (N, *input shape).

    Raises:
        ValueError: images of another shape, or integers that an input's type does not hold.
    """
    parts = []
    for network, batch in zip(networks, images, strict=True):
        parts += [np.uint32(len(batch)).tobytes(), host.to_memory(batch, network["input"]).tobytes()]
    return b"".join(parts)


def parse(
    words: np.ndarray, networks: Sequence[dict[str, Any]], counts: Sequence[int], name: str, stack: bool = False
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
    outputs = [int(np.prod(network["output"]["shape"])) for network in networks]
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
        shape = tuple(network["output"]["shape"])
        found.append(NetworkRun(host.from_memory(values, shape), cycles[:, :-1] - cycles[:, -1:]))
    return found, int(words[-2]) if stack else 0
