"""What a reader makes of a file."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class FileNetwork:
    """A network that a file holds.

    Attributes:
        module: takes and returns float32 tensors whose first dimension is the batch; images are (N, C, H, W) whatever the file's own
            layout is. Each operator of the file is a submodule that bears the operator's name in the file: `graph.capture` names it
            where it cannot be expressed.
        input_shapes: of each input in the order of the module's arguments, without the batch dimension.
        whole: which inputs, counted from 0, hold whole numbers (int64), as tokens do: see `graph.capture`.
    """

    module: torch.nn.Module
    input_shapes: tuple[tuple[int, ...], ...]
    whole: tuple[int, ...] = ()


class FileOperator(torch.nn.Module):
    """An operator of the file, as a submodule of the network.

    Attributes:
        file: name of the file.
        place: where it is, as messages have it: "net.onnx: node 'conv1' (Conv)".
    """

    file = ""
    place = ""
