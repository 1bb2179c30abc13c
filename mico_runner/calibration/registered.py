"""Registered operators as operations to calibrate: each is timed on samples of its own, in batches over decades.

So an operator of a new file, of the package or of a user's own, has curves without a line here: its samples say which shapes it takes,
and its meaning in floats is what is timed. Light until an operator is asked for: the names need no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from mico_runner.ops import operator

if TYPE_CHECKING:
    import torch

    from mico_runner.ops.base import Shapes
    from mico_runner.ops.node import Node

SAMPLES = 2  # of each operator, that differ in shape or attributes
COUNTS = (1, 8, 64, 512, 4096, 32768, 262144)  # samples in a batch
FEWEST, MOST = 2**8, 2**23  # elements read and written


def sizes(op: str) -> Iterator[tuple[dict[str, int], int]]:
    """What `build` takes, and the elements that are read and written."""
    for number, (node, shapes) in enumerate(_samples(op)):
        each = sum(prod(shapes[tensor]) for tensor in (*node.inputs, node.output))
        for count in COUNTS:
            if FEWEST <= count * each <= MOST:
                yield {"sample": number, "count": count}, count * each


def build(op: str, shape: dict[str, int], batch: int) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    """The operator as a function of the first tensor that it reads, and that tensor."""
    import torch

    of, (node, shapes) = operator(op), list(_samples(op))[shape["sample"]]
    generator = torch.Generator().manual_seed(0)
    count = shape["count"] * batch
    words = of.vocabulary(node)

    def tensor(name: str) -> torch.Tensor:
        size = (count, *shapes[name])
        if words:
            return torch.randint(words, size, generator=generator).float()
        return torch.randn(*size, generator=generator)

    first, *others = (tensor(name) for name in node.inputs)
    return (lambda x: of.real(node, [x, *others])), first


def _samples(op: str) -> Iterator[tuple[Node, Shapes]]:
    return islice(operator(op).samples(np.random.default_rng(0)), SAMPLES)
