"""constant: values that do not depend on the input, as class tokens; the program copies them from flash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import to_integers
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import Call
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole


@register("constant")
class Constant(Operator):
    """`value` (float64, no batch), whatever the input is. Constant: `value`, its nearest integers, int32."""

    ATEN = (
        *("new_zeros.default", "zeros_like.default", "new_ones.default", "ones_like.default"),
        *("new_full.default", "full_like.default"),
    )
    ATTRS = ("value",)
    READS = False
    NO_KERNEL = "copies are not profiled"

    def capture(self, call: Call) -> torch.Tensor:
        """Values that only take a shape from the network: a node where an operator reads them."""
        value = call.node.meta["val"]
        fill = call["fill_value"] if "full" in call.target else float("ones" in call.target)
        return torch.full(value.shape, fill, dtype=value.dtype)

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        value = torch.as_tensor(node.attrs["value"], dtype=x[0].dtype)
        return value.expand(len(x[0]), *value.shape)

    def quantise(self, q: Quantiser, step: Any) -> None:
        made = q.made(step)
        value = to_integers(step.node.attrs["value"], made).astype(np.int32)
        q.add(step, step.node.inputs, attrs={}, constants={"value": value})

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        value = node.constants["value"].astype(np.int64)
        return np.broadcast_to(value, (len(x[0]), *value.shape))

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        output = to.target(node)
        value = node.constants["value"].ravel()[c.memory_order(output.shape)]
        wide = output.tag == "MICO_S32"
        tables = {"words": value} if wide else {"bytes": value.astype(np.uint8)}
        fields = {"size": output.size, "bytes" if wide else "words": 0}
        to.emit(node, "constant", [], output, fields, tables=tables)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        """Repeated for each sample: the sum of the input times zero would be the same, but for infinities."""
        value = node.constants["value"] * made.scale
        batch = to.add("Slice", [to.add("Shape", [x[0]]), to.constant(whole(0)), to.constant(whole(1))])
        return to.add(
            "Expand", [to.constant(value[None]), to.add("Concat", [batch, to.constant(whole(*value.shape))], axis=0)]
        )

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for shape in ((5,), (3, 4, 5)):
            yield sample(self.name, [(8,)], shape, {"value": rng.normal(size=shape)})
