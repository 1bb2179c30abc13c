"""ONNX files (.onnx)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.formats import register

if TYPE_CHECKING:
    from mico_runner.formats.network import FileNetwork


@register("onnx")
def read(file: Path, input_shape: tuple[int, ...] | None) -> FileNetwork:
    """See `mico_runner.formats.onnx_file`."""
    from mico_runner.formats.onnx_file import read

    return read(file, input_shape)
