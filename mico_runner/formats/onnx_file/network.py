"""The torch module of an ONNX file: each node is a submodule, values are named as in the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.formats.network import FileOperator
from mico_runner.formats.onnx_file.constants import compute
from mico_runner.formats.onnx_file.model_file import describe, package
from mico_runner.formats.onnx_file.translation import Translation

SHAPES = frozenset(("Shape", "Size"))
Value = torch.Tensor | np.ndarray  # computed from the network's input; or known, as shapes are


class OnnxNode(FileOperator):
    """One node. Arguments as axes and shapes are numpy arrays; tensors are torch's, constant ones among them are its parameters.

    Attributes:
        inputs, outputs: names of values; "" for one that is left out.
        known: constant inputs that are arguments, by their place.
    """

    def __init__(self, node: Any, name: str, file: str, opset: int, translation: Translation | None) -> None:
        super().__init__()
        self.kind = str(node.op_type)
        self.title = name
        self.file = file
        self.place = f"{file}: {describe(node)}"
        self.opset = opset
        self.inputs, self.outputs = list(node.input), list(node.output)
        self.known: dict[int, np.ndarray] = {}
        self.attributes = {a.name: _plain(package().helper.get_attribute_value(a)) for a in node.attribute}
        self._asked: set[str] = set()  # names of attributes
        self._node = node
        self._translation = translation
        self._tensors: dict[int, str] = {}  # place of a constant tensor -> attribute that holds it

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute of the node; `default` where it is left out."""
        self._asked.add(name)
        return self.attributes.get(name, default)

    def hold(self, index: int, value: np.ndarray, tensor: torch.nn.Parameter | None) -> None:
        """A constant input: an argument, or a tensor that becomes a parameter; a buffer where it is a statistic."""
        if tensor is None or (self._translation and index in self._translation.arguments):
            self.known[index] = value
            return
        names = self._translation.names if self._translation else ()
        attribute = names[index] if index < len(names) else f"constant{index}"
        self._tensors[index] = attribute
        if self._translation and index in self._translation.statistics:
            self.register_buffer(attribute, tensor.detach())
        else:
            self.register_parameter(attribute, tensor)

    def forward(self, *values: Value | None) -> Any:
        """The outputs; `values` are the inputs, None for one that is constant or left out."""
        found = [self._held(i, value) for i, value in enumerate(values)]
        if self.kind in SHAPES and isinstance(found[0], torch.Tensor):
            return _shape(self, found[0])
        if not any(isinstance(value, torch.Tensor) for value in found):  # what is computed from shapes
            return tuple(compute(self._node, [_array(value) for value in found], self.opset, self.place))
        if self._translation is None:
            raise ValueError("the operator is not supported")
        while found and found[-1] is None:
            found.pop()
        made = self._translation.function(self, *self._typed(found))
        if unknown := self.attributes.keys() - self._asked - self._translation.ignored:
            raise ValueError(f"its attribute {min(unknown)!r} is not supported")
        return made

    def _held(self, index: int, value: Value | None) -> Value | None:
        if index in self._tensors:
            held: torch.Tensor = getattr(self, self._tensors[index])
            return held
        return self.known.get(index, value)

    def _typed(self, values: Sequence[Value | None]) -> list[Value | None]:
        """Arguments as arrays, all others as tensors of one type."""
        assert self._translation is not None
        like = next(value for value in values if isinstance(value, torch.Tensor))
        found: list[Value | None] = []
        for i, value in enumerate(values):
            if i in self._translation.arguments:
                if isinstance(value, torch.Tensor) and i not in self._translation.computed:
                    raise ValueError(f"its input {self.inputs[i]!r} must not depend on the input of the network")
                found.append(value)
            elif isinstance(value, np.ndarray):
                found.append(torch.from_numpy(np.array(value)).to(like.dtype))
            else:
                found.append(value)
        return found


@dataclass(frozen=True)
class Signature:
    """Names of the values that a network takes and returns."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OnnxNetwork(torch.nn.Module):
    """The nodes of a file in its order. Takes and returns float tensors; several outputs are a tuple."""

    def __init__(self, signature: Signature, nodes: Sequence[OnnxNode]) -> None:
        super().__init__()
        self.signature = signature
        self.order = [node.title for node in nodes]
        for node in nodes:
            self.add_module(node.title, node)

    def nodes(self) -> list[OnnxNode]:
        return [getattr(self, title) for title in self.order]

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Tensors (N, ...) in the order of the file."""
        values = self.run(inputs)
        outputs = tuple(values[name] for name in self.signature.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def run(
        self, inputs: Sequence[torch.Tensor], before: Callable[[OnnxNode, list[Value | None]], None] | None = None
    ) -> dict[str, Value]:
        """Every value; `before(node, its inputs)` is called before each node. Raises UsageError: a node cannot be computed."""
        values: dict[str, Value] = dict(zip(self.signature.inputs, inputs, strict=True))
        for node in self.nodes():
            read = [values.get(name) for name in node.inputs]
            try:
                if before:
                    before(node, read)
                made = node(*read)
            except UsageError:
                raise
            except Exception as error:  # torch's and numpy's, for shapes that do not fit
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise UsageError(f"{node.place}: {reason}") from error
            made = made if isinstance(made, tuple | list) else (made,)
            values.update({name: value for name, value in zip(node.outputs, made, strict=False) if name})
        return values


def _plain(value: Any) -> Any:
    """An attribute's value without bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple) or type(value).__name__.startswith("Repeated"):
        return [_plain(one) for one in value]
    return value


def _array(value: Value | None) -> np.ndarray | None:
    assert not isinstance(value, torch.Tensor)
    return value


def _shape(node: OnnxNode, x: torch.Tensor) -> np.ndarray:
    """Sizes, of some dimensions, or their product."""
    if node.kind == "Size":
        return np.array(x.numel(), np.int64)
    return np.array(tuple(x.shape)[node.get("start", 0) : node.get("end", x.ndim)], np.int64)
