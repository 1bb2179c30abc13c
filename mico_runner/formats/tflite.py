"""TensorFlow Lite files (.tflite)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.formats import register

if TYPE_CHECKING:
    from mico_runner.formats.network import FileNetwork


@register("tflite")
def read(file: Path, _input_shape: tuple[int, ...] | None) -> FileNetwork:
    """See `mico_runner.formats.tflite_file`. The format has no open sizes but the batch's."""
    from mico_runner.formats.tflite_file import read

    return read(file)
