"""Networks in the files of other tools: each format is read into a torch module, so that there is one capture for all of them.

A reader is registered under the file's ending; `read` is what others call.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    import torch

READERS = Registry("network format", __name__)
register = READERS.register


@dataclass(frozen=True)
class FileNetwork:
    """A network that a file holds.

    Attributes:
        module: takes and returns float32 tensors whose first dimension is the batch; images are (N, C, H, W) whatever the file's own
            layout is. Each operator of the file is a submodule that bears the operator's name in the file: `graph.capture` names it
            where it cannot be expressed.
        input_shapes: of each input in the order of the module's arguments, without the batch dimension.
    """

    module: torch.nn.Module
    input_shapes: tuple[tuple[int, ...], ...]


def read(file: Path) -> FileNetwork:
    """The network in a file of another tool. Raises UsageError: no reader for its ending, a missing package, a damaged file."""
    network: FileNetwork = READERS.get(ending(file))(file)
    return network


def ending(file: Path) -> str:
    """Under which a file's reader is registered: ".ONNX" is "onnx"."""
    return file.suffix.lower().removeprefix(".")
