"""Decoders of llama2.c and its kin (.bin)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.formats import register

if TYPE_CHECKING:
    from mico_runner.formats.network import FileNetwork


@register("bin")
def read(file: Path, _input_shape: tuple[int, ...] | None) -> FileNetwork:
    """See `mico_runner.formats.llama_file`."""
    from mico_runner.formats.llama_file import read

    return read(file)
