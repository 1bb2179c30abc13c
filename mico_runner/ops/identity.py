"""identity: calls that leave their input as it is, in the program that is deployed."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import WHOLE, Call, Refused
from mico_runner.ops.comparison import compared

_ASSERTION = "_assert_tensor_metadata"  # what stands before a `.float()`; torch.export has seen to it


@register("identity")
class Identity(Operator):
    """Dropout in eval mode, copies, conversions to float32 and between whole numbers: no node. Truth values are what is not 0."""

    ATEN = (
        *("dropout.default", "feature_dropout.default", "alpha_dropout.default", "alias.default", "clone.default"),
        *("contiguous.default", "detach.default", "lift_fresh.default", "_to_copy.default", "to.dtype"),
        "type_as.default",
        f"{_ASSERTION}.default",
    )
    NO_KERNEL = "nothing is computed"

    def capture(self, call: Call) -> str | None:
        if call.target == _ASSERTION:
            return None
        if call.args.get("train"):
            raise Refused("dropout with training=True is random in eval mode, too")
        tensor: str = call.args["input"] if "input" in call.args else call.args["self"]
        kind, before = call.node.meta["val"].dtype, call.reads[0].meta["val"].dtype
        if kind == torch.bool and before != kind:
            return compared(call, tensor, "ne", 0.0)
        if kind not in (torch.float32, before) and not (before in WHOLE and kind in WHOLE):
            raise Refused(f"a conversion from {before} to {kind} is not supported; tensors are float32")
        return tensor
