"""Integer graph to a QDQ model of ONNX, so that a network can go on elsewhere. See docs/reference/codegen.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.quant.qgraph import QGraph


def write(graph: QGraph, path: Path) -> int:
    """Write the model into a file; its size in bytes.

    Raises:
        StepSkipped: the package `onnx` is missing.
        StepError: operators that have no form in ONNX, all of them by name.
    """
    from mico_runner.codegen.qdq.writer import model

    data = model(graph)
    path.write_bytes(data)
    return len(data)
