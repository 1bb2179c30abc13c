"""Operators over the last dimension, whose rows must lie together in memory: images are brought to row-major order and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mico_runner.ops import c
from mico_runner.ops.node import QNode


def lower_rows(to: c.Lowerer, node: QNode, emit: Callable[[c.Buffer, c.Buffer], None]) -> None:
    """Let `emit` add the call that reads one buffer and writes another, both row-major."""
    source, output = to.buffer_of(node.inputs[0]), to.target(node)
    if len(source.shape) != 3:
        emit(source, output)
        return
    vector = replace(to.row_major(node, source), shape=(1, source.size))
    written = to.temporary(f"{node.name}_rows", output, (output.size,))
    emit(vector, written)
    to.from_row_major(node, written, output)
