"""scatter: a tensor with a part of it written anew, as an assignment to a slice does."""

from __future__ import annotations

from mico_runner.ops import register
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.expand import expanded
from mico_runner.ops.slice import within
from mico_runner.ops.take import taken


@register("scatter")
class Scatter(Operator):
    """Elements of the tensor and of the part, one behind the other, taken in the right order. No node of its own."""

    ATEN = ("slice_scatter.default",)
    NO_KERNEL = "it becomes a concatenation and a copy"

    def capture(self, call: Call) -> str:
        call.broadcast()
        whole = call.tensor(call["self"])
        axis = call.axis(call["dim"])
        length = call.node.meta["val"].shape[call["dim"]]
        start, stop = (within(call[key], length, default) for key, default in (("start", 0), ("end", length)))
        written = range(start, stop, int(call["step"]))
        if axis < 0:
            if len(written) == length:
                return call.tensor(call["src"])
            raise Refused("writing to some samples of the batch is not supported")
        shape = call.shape
        part = expanded(call, call.tensor(call["src"]), (*shape[:axis], len(written), *shape[axis + 1 :]))
        if len(written) == length:
            return part
        index = list(range(length))
        for i, place in enumerate(written):
            index[place] = length + i
        both = (*shape[:axis], length + len(written), *shape[axis + 1 :])
        joined = call.emit("concat", [whole, part], both, attrs={"axis": axis})
        return taken(call, joined, axis, index)
