"""`read`: the operators of a file, one after the other, become a module; all that cannot be expressed is named at once."""

from __future__ import annotations

from pathlib import Path

import torch

from mico_runner.errors import UsageError
from mico_runner.formats.network import FileNetwork
from mico_runner.formats.tflite_file import activations, arithmetic, images, movement, reductions, weighted, windows
from mico_runner.formats.tflite_file.contents import Contents, Operator, Tensor, parse
from mico_runner.formats.tflite_file.layout import IMAGE, READERS, Made, Order, Use, Value, natural
from mico_runner.formats.tflite_file.module import End, Layer, Network, Step
from mico_runner.ops.capture import Refused

_KINDS = (activations, arithmetic, images, movement, reductions, weighted, windows)  # what fills READERS

# Inputs that say nothing but the shape of the output, which the file states: what computes them is not read.
_SHAPES = {
    **{"RESHAPE": (1,), "SQUEEZE": (), "EXPAND_DIMS": (1,), "TRANSPOSE_CONV": (0,), "TILE": (1,), "BROADCAST_TO": (1,)},
    **{"RESIZE_BILINEAR": (1,), "RESIZE_NEAREST_NEIGHBOR": (1,)},
}
_SAME = ("QUANTIZE", "DEQUANTIZE")
_TO_IMAGE, _FROM_IMAGE = [0, 2, 3, 1], [0, 3, 1, 2]  # transpositions of networks that were converted from (N, C, H, W)


def read(path: Path) -> FileNetwork:
    """A network that computes in float32 what the file says, quantised files with the real values of their weights.

    Images are (N, C, H, W): an input or output of 4 dimensions is the file's (N, H, W, C) in this order, but one that the file itself
    transposes from (N, C, H, W), or to it, is taken as it stands.

    Raises:
        UsageError: the package `tflite` is missing; the file cannot be read, is damaged, has a batch or sizes that are not fixed to
            one sample, or uses operators that cannot be expressed, of which each is named.
    """
    return _Assembly(path, parse(path)).network()


class _Assembly:
    """A network in the making.

    Attributes:
        values: what is known of each tensor so far, by its index in the file.
    """

    def __init__(self, path: Path, contents: Contents) -> None:
        self._path, self._contents = path, contents
        self._tensors = contents.tensors
        self._refused: list[tuple[Operator, str]] = []
        self._layers: dict[str, Layer] = {}
        self._steps: list[Step] = []
        self._operators = _needed(contents)
        self.values = {
            i: Value(t.shape, natural(len(t.shape)), t.constant)
            for i, t in enumerate(self._tensors)
            if t.constant is not None
        }

    def network(self) -> FileNetwork:
        inputs = [self._input(i) for i in self._contents.inputs]
        for operator in self._operators:
            self._add(operator)
        self._raise_refused()
        outputs = [self._output(i) for i in self._contents.outputs]
        shapes = tuple(tuple(self._tensors[e.tensor].shape[d] for d in e.outside[1:]) for e in inputs)
        return FileNetwork(Network(self._layers, self._steps, inputs, outputs), shapes)

    def _input(self, index: int) -> End:
        tensor = self._tensors[index]
        found = f"{self._path}: input {tensor.name!r}"
        if tensor.is_dynamic or tensor.shape[:1] != (1,) or len(tensor.shape) < 2:
            open_sizes = " and sizes that are not fixed" if tensor.is_dynamic else ""
            raise UsageError(
                f"{found} has the shape {list(tensor.shape)}{open_sizes}; allowed: a batch of one sample, all other sizes"
                " fixed: convert the network with such an input"
            )
        if not tensor.is_real:
            raise UsageError(f"{found} is {tensor.kind} without a scale; allowed: real numbers")
        order = self._outside(tensor, self._readers(index), _TO_IMAGE)
        self.values[index] = Value(tensor.shape, order)
        return End(index, order, order)

    def _output(self, index: int) -> End:
        value = self.values[index]
        if value.constant is not None:
            raise UsageError(f"{self._path}: output {self._tensors[index].name!r} is a constant")
        return End(index, self._outside(self._tensors[index], self._makers(index), _FROM_IMAGE), value.order)

    def _readers(self, index: int) -> list[Operator]:
        """The operators that read a tensor, as it is or quantised."""
        direct = [o for o in self._operators if index in o.inputs]
        return [r for o in direct for r in (self._readers(o.outputs[0]) if o.kind in _SAME else [o])]

    def _makers(self, index: int) -> list[Operator]:
        """The operator that makes a tensor, as it is or before it is quantised."""
        direct = [o for o in self._operators if index in o.outputs]
        return [m for o in direct for m in (self._makers(o.inputs[0]) if o.kind in _SAME else [o])]

    def _outside(self, tensor: Tensor, operators: list[Operator], permutation: list[int]) -> Order:
        """The order of an input or output as the module's caller has it; `operators` read it or make it."""
        if len(tensor.shape) != 4:
            return natural(len(tensor.shape))
        return natural(4) if operators and all(self._transposes(o, permutation) for o in operators) else IMAGE

    def _transposes(self, operator: Operator, permutation: list[int]) -> bool:
        if operator.kind != "TRANSPOSE" or len(operator.inputs) != 2 or operator.inputs[1] < 0:
            return False
        constant = self._tensors[operator.inputs[1]].constant
        return constant is not None and constant.ravel().tolist() == permutation

    def _add(self, operator: Operator) -> None:
        """Its layer, or a refusal; then capturing goes on with what the file says of its outputs."""
        for i in operator.outputs:
            self.values[i] = Value(self._tensors[i].shape, natural(len(self._tensors[i].shape)))
        if operator.kind not in READERS:
            self._refused.append((operator, _advice(operator)))
            return
        try:
            self._make(operator)
        except Refused as error:
            self._refused.append((operator, str(error)))
        except Exception as error:  # what a damaged file makes torch and numpy raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._refused.append((operator, f"this use of it cannot be expressed: {reason}"))

    def _make(self, operator: Operator) -> None:
        made_shapes = tuple(self._tensors[i].shape for i in operator.outputs)
        shaping = _SHAPES.get(operator.kind, ())
        inputs = tuple(
            self.values[t] if t >= 0 and (i not in shaping or t in self.values) else None
            for i, t in enumerate(operator.inputs)
        )
        if operator.kind in ("DEQUANTIZE", "CAST") and inputs[0] is not None and inputs[0].constant is not None:
            self.values[operator.outputs[0]] = inputs[0]  # weights that are stored as float16
            return
        self._check_real(operator)
        made = READERS[operator.kind](Use(operator, inputs, made_shapes))
        reads = tuple(
            t for i, t in enumerate(operator.inputs) if i not in shaping and t >= 0 and self.values[t].constant is None
        )
        for i, shape in zip(operator.outputs, made_shapes, strict=True):
            self.values[i] = Value(shape, made.order)
        self._check_shapes(made, [self.values[t] for t in reads], [self.values[t] for t in operator.outputs])
        place = f"{self._path.name}: operator {operator.index} ({operator.kind})"
        self._layers[operator.name] = Layer(made, self._path.name, place)
        self._steps.append(Step(operator.name, reads, operator.outputs))

    def _check_real(self, operator: Operator) -> None:
        for i in operator.outputs:
            if not self._tensors[i].is_real:
                raise Refused(f"its output is {self._tensors[i].kind} without a scale; allowed: real numbers")

    def _check_shapes(self, made: Made, reads: list[Value], makes: list[Value]) -> None:
        """What torch makes of the shapes that the file says of the inputs is what it says of the outputs. Raises Refused."""
        inputs = [torch.empty(value.held, device="meta") for value in reads]
        constants = {name: value.to("meta") for name, value in made.constants.items()}
        found = made.function(*inputs, **constants)
        for one, value in zip(found if isinstance(found, tuple) else (found,), makes, strict=True):
            if tuple(one.shape) != value.held:
                raise Refused(
                    f"it makes the shape {list(one.shape)}, the file says {list(value.held)} (as torch orders them)"
                )

    def _raise_refused(self) -> None:
        if not self._refused:
            return
        groups: dict[tuple[str, str], list[Operator]] = {}
        for operator, reason in self._refused:
            groups.setdefault((operator.custom or operator.kind, reason), []).append(operator)
        lines = [f"{self._path}: {len(self._refused)} operators cannot be expressed:"]
        for (kind, reason), operators in groups.items():
            where = ", ".join(str(o.index) for o in operators[:5]) + (", ..." if len(operators) > 5 else "")
            times = f"{len(operators)} times, at" if len(operators) > 1 else "at"
            lines.append(f"  {kind} ({times} index {where}): {reason}")
        raise UsageError("\n".join(lines))


def _needed(contents: Contents) -> tuple[Operator, ...]:
    """The operators that the outputs depend on; what computes nothing but a shape is left out."""
    wanted, kept = set(contents.outputs), []
    for operator in reversed(contents.operators):
        if wanted.intersection(operator.outputs):
            shaping = _SHAPES.get(operator.kind, ())
            wanted.update(t for i, t in enumerate(operator.inputs) if i not in shaping)
            kept.append(operator)
    return tuple(reversed(kept))


def _advice(operator: Operator) -> str:
    if operator.custom.startswith("Flex"):
        return "an operator of TensorFlow itself; convert the network without SELECT_TF_OPS"
    if operator.kind == "CUSTOM":
        return "a custom operator; convert the network without it, end it in front of it and do the rest outside"
    return "the operator is not supported; docs/reference/tflite.md lists those that are and says what to do"
