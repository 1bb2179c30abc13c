"""Networks in the files of other tools: each format is read into a torch module, so that there is one capture for all of them.

A reader is registered under the file's ending, in a file of its own: a function `(path) -> network.FileNetwork`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    from mico_runner.formats.network import FileNetwork

READERS = Registry("network format", __name__)
register = READERS.register


def read(file: Path) -> FileNetwork:
    """The network in a file of another tool. Raises UsageError: no reader for its ending, a missing package, a damaged file."""
    network: FileNetwork = READERS.get(ending(file))(file)
    return network


def ending(file: Path) -> str:
    """Under which a file's reader is registered: ".ONNX" is "onnx"."""
    return file.suffix.lower().removeprefix(".")
