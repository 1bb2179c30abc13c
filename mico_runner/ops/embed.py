"""embed: rows of a table by an input of whole numbers, as tokens."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.affine import emit_affine
from mico_runner.ops.arithmetic import to_integers
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import BATCH, Call, Refused, as_doubles
from mico_runner.ops.fast import Kernel
from mico_runner.ops.node import INPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import INT64, OnnxGraph
from mico_runner.ops.pool import averaged
from mico_runner.ops.whole import Range, store_whole

_SUM_AND_MEAN = (0, 1)  # torch's numbers of a bag's modes


@register("embed")
class Embedding(Operator):
    """Row q of `table` for each number q of the input; numbers beyond the last row give the last, negative ones the first.

    Attribute: `table`, float64 (rows, width). In integers a constant: the nearest integers of the type of the output.
    """

    ATEN = ("embedding.default", "embedding_bag.padding_idx")
    ATTRS = ("table",)
    PER_TOKEN = True
    NO_KERNEL = "copies are not profiled"

    def capture(self, call: Call) -> str | list[str]:
        if not isinstance(call["weight"], torch.Tensor):
            raise Refused("the rows of an embedding must be parameters, not computed from the input")
        if call.target == "embedding_bag":
            return [self._bag(call)]
        return call.reshape(rows_of(call, call.input("indices"), as_doubles(call["weight"])), call.shape)

    def _bag(self, call: Call) -> str:
        """The mean, sum or maximum of the rows of each sample, of which there are as many in each."""
        tensor, offsets = call.input("indices"), call["offsets"]
        length = call.builder.shapes[tensor][0]
        whole = torch.arange(BATCH) * length
        if not (
            isinstance(offsets, torch.Tensor)
            and torch.equal(offsets[:BATCH], whole)
            and len(call.builder.shapes[tensor]) == 1
        ):
            raise Refused("the numbers of a bag must be all those of a sample: indices of shape (N, L) and no offsets")
        if call["padding_idx"] is not None and call["padding_idx"] >= 0:
            raise Refused("padding_idx, which makes bags of different sizes, is not supported")
        found = rows_of(call, tensor, as_doubles(call["weight"]))
        if (weights := call["per_sample_weights"]) is not None:
            factors = call.reshape(call.tensor(weights), (length, 1))
            found = call.builder.elementwise(f"{call.name}.weighted", "mul", [found, factors], call.source)
        if call["mode"] not in _SUM_AND_MEAN:
            raise Refused("the maximum of a bag is not supported; allowed: mode 'mean' and 'sum'")
        call.batch = 0
        mean = call.reshape(averaged(call, found, [0]), call.shape)
        return mean if call["mode"] else emit_affine(call, mean, factor=length)

    def vocabulary(self, node: Node) -> int:
        return len(node.attrs["table"])

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        table = torch.as_tensor(node.attrs["table"], dtype=x[0].dtype)
        return table[x[0].long().clamp(0, len(table) - 1)]

    def quantise(self, q: Quantiser, step: Any) -> None:
        made = q.made(step)
        table = to_integers(step.node.attrs["table"], made)
        constants = {"table": table.astype(np.int32 if made.bits > INPUT_BITS else np.int16)}
        q.add(step, step.node.inputs, attrs={}, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        table = node.constants["table"].astype(np.int64)
        found: np.ndarray = table[x[0].clip(0, len(table) - 1)]
        return found

    def fast(self, node: QNode, read: list[QType], made: QType) -> Kernel:
        table = torch.from_numpy(node.constants["table"].astype(np.float32))
        return lambda x: table[x[0].to(torch.int64).clamp(0, len(table) - 1)]

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        table = node.constants["table"]
        if len(source.shape) == 3:
            source = to.row_major(node, source)
        image = len(output.shape) == 3
        written = to.temporary(f"{node.name}_rows", output, (output.size,)) if image else output
        wide = output.tag == "MICO_S32"
        tables = {"words": table} if wide else {"bytes": table.astype(np.uint8)}
        fields: c.Fields = {
            **{"count": prod(source.shape), "rows": len(table), "width": table.shape[1]},
            **{"input": source.tag, "bytes" if wide else "words": 0},
        }
        to.emit(node, "embedding", [source], written, fields, tables=tables)
        if image:
            to.from_row_major(node, written, output)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        table = node.constants["table"]
        within = to.add("Clip", [x[0], to.constant(0.0), to.constant(float(len(table) - 1))])
        return to.add("Gather", [to.constant(table * made.scale), to.add("Cast", [within], to=INT64)])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape, rows, width in (((6,), 11, 5), ((3, 4), 300, 3), ((2, 3, 2), 7, 4)):
            yield sample(self.name, [shape], (*shape, width), {"table": rng.normal(size=(rows, width))})


def rows_of(call: Call, tensor: str, table: np.ndarray) -> str:
    """The rows of a table (rows, width) that numbers say: (..., width)."""
    made = (*call.builder.shapes[tensor], table.shape[1])
    store_whole(call.builder, tensor, Range(0, len(table) - 1, len(table) - 1))
    return call.builder.emit(call.name, "embed", [tensor], made, call.source, attrs={"table": table})
