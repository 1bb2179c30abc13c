"""Operators that are a function of one value: a table says what becomes of each integer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mico_runner.ops.arithmetic import to_integers
from mico_runner.ops.base import Example, Operator, Quantiser, Row, Shapes, elements_row, sample
from mico_runner.ops.c import Lowerer
from mico_runner.ops.capture import Call
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import INPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import INT64, OnnxGraph
from mico_runner.ops.reach import ELEMENTWISE, Reach


class Table(Operator):
    """A function of one value: 256 entries say what becomes of each integer. Constant `table`, by input integer less the least.

    An entry is the nearest integer to the function of the real value that the input stands for, within the type of the output.
    """

    TAKES_RELU = True
    FAMILIES = ("table",)
    PER_TOKEN = True

    ONNX = ""  # the operator of ONNX that computes the same and has no attributes
    EXAMPLE: tuple[Any, ...] = ()  # attributes of its samples, in the order of ATTRS

    def capture(self, call: Call) -> str:
        return call.builder.elementwise(call.name, self.name, [call.input()], call.source, attrs=self.attrs(call))

    def attrs(self, call: Call) -> dict[str, Any]:
        """The call's arguments of the same names; others override this."""
        return {name: call[name] for name in self.ATTRS}

    def row(self, node: Node, shapes: Shapes, batch: int) -> Row:
        return elements_row(shapes[node.inputs[0]]) | {"kind": "table"}

    def example(self, family: str, row: Row, weight_bits: float, rng: np.random.Generator) -> Example:
        shape = (row["in_channels"], row["in_h"], row["in_w"])
        return Example(shape, shape, constants={"table": np.arange(1 << INPUT_BITS, dtype=np.int16)})

    def quantise(self, q: Quantiser, step: Any) -> None:
        (tensor,) = (q.read(t, INPUT_BITS) for t in step.node.inputs)
        read, made = q.type_of(tensor), q.made(step)
        real = torch.arange(read.qmin, read.qmax + 1, dtype=torch.float64) * read.scale
        found = np.nan_to_num(self.real(step.node, [real]).numpy(), posinf=np.inf, neginf=-np.inf)  # none is reached
        table = to_integers(found, made)
        q.add(step, (tensor,), constants={"table": table.astype(np.int32 if made.bits > INPUT_BITS else np.int16)})

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        found: np.ndarray = node.constants["table"][x[0] - read[0].qmin].astype(np.int64)
        return found

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        table, least = torch.from_numpy(node.constants["table"].astype(np.float32)), read[0].qmin
        return lambda x: table[x[0].to(torch.int64) - least]

    def reach(self, node: Node | QNode, shapes: Shapes) -> Reach | None:
        return ELEMENTWISE if len(shapes[node.output]) == 3 else None

    def lower(self, to: Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        table = node.constants["table"]
        wide = output.tag == "MICO_S32"
        tables = {"words": table.astype(np.int32)} if wide else {"bytes": table.astype(np.uint8)}
        fields = {"size": output.size, "input": source.tag, "least": source.type.qmin, "bytes" if wide else "words": 0}
        to.emit(node, "table", [source], output, fields, tables=tables)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """The function where ONNX has it (`ONNX`), else the table."""
        if self.ONNX:
            return to.add(self.ONNX, x)
        steps = to.add("Round", [to.add("Mul", [x[0], to.constant(float(1 / read[0].scale))])])
        index = to.add("Cast", [to.add("Sub", [steps, to.constant(float(read[0].qmin))])], to=INT64)
        return to.add("Gather", [to.constant(node.constants["table"] * made.scale), index])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape in ((5,), (3, 4, 5), (7, 6)):
            yield sample(self.name, [shape], shape, dict(zip(self.ATTRS, self.EXAMPLE, strict=True)))
