"""LLaMa models of Hugging Face (.safetensors with config.json)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.formats import register

if TYPE_CHECKING:
    from mico_runner.formats.network import FileNetwork


@register("safetensors")
def read(file: Path, _input_shape: tuple[int, ...] | None) -> FileNetwork:
    """See `mico_runner.formats.llama_file.hugging_face`."""
    from mico_runner.formats.llama_file import read_hugging_face

    return read_hugging_face(file)
