"""The torch module that a file becomes: its operators in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mico_runner.formats.network import FileOperator
from mico_runner.formats.tflite_file.layout import Made, Order, arranged

_TRAINED = ("weight", "bias")


@dataclass(frozen=True)
class Step:
    """Which submodule reads and makes which tensors of the file."""

    name: str
    reads: tuple[int, ...]
    makes: tuple[int, ...]


@dataclass(frozen=True)
class End:
    """An input or output: the order of dimensions outside the module, and inside."""

    tensor: int
    outside: Order
    inside: Order


class Layer(FileOperator):
    """One operator of the file."""

    def __init__(self, made: Made, file: str, place: str) -> None:
        super().__init__()
        self._function, self.file, self.place = made.function, file, place
        for name, value in made.constants.items():
            if name in _TRAINED:
                self.register_parameter(name, torch.nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, *x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        return self._function(*x, **dict(self.named_parameters()), **dict(self.named_buffers()))


class Network(torch.nn.Module):
    """The operators by their names in the file ("3_CONV_2D")."""

    def __init__(
        self, layers: dict[str, Layer], steps: Sequence[Step], inputs: Sequence[End], outputs: Sequence[End]
    ) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._steps, self._inputs, self._outputs = tuple(steps), tuple(inputs), tuple(outputs)

    def forward(self, *x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """A tensor for each input of the file; a tensor, or a tuple of them where the file has several outputs."""
        held = {e.tensor: arranged(t, e.outside, e.inside) for t, e in zip(x, self._inputs, strict=True)}
        for step in self._steps:
            made = self.get_submodule(step.name)(*(held[i] for i in step.reads))
            held.update(zip(step.makes, made if isinstance(made, tuple) else (made,), strict=True))
        found = tuple(arranged(held[e.tensor], e.inside, e.outside) for e in self._outputs)
        return found[0] if len(found) == 1 else found
