"""Networks in the files of other tools: each format is read into a torch module, so that there is one capture for all of them.

A reader is registered under the file's ending, in a file of its own: a function
`(path, input_shape) -> network.FileNetwork`; see `read`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    from mico_runner.formats.network import FileNetwork

READERS = Registry("network format", __name__)
register = READERS.register


def read(file: Path, input_shape: tuple[int, ...] | None = None) -> FileNetwork:
    """The network in a file of another tool.

    Args:
        input_shape: without the batch, of the only input, where the file leaves sizes of it open.

    Raises UsageError: no reader for its ending, a missing package, a damaged file.
    """
    network: FileNetwork = READERS.get(ending(file))(file, input_shape)
    return network


def ending(file: Path) -> str:
    """Under which a file's reader is registered: ".ONNX" is "onnx"."""
    return file.suffix.lower().removeprefix(".")
