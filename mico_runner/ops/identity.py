"""identity: calls that leave their input as it is, in the program that is deployed."""

from __future__ import annotations

import torch

from mico_runner.ops import register
from mico_runner.ops.base import Operator
from mico_runner.ops.capture import Call, Refused

_ASSERTION = "_assert_tensor_metadata"  # what stands before a `.float()`; torch.export has seen to it


@register("identity")
class Identity(Operator):
    """Dropout in eval mode, copies, conversions to float32: no node."""

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
        kind = call.node.meta["val"].dtype
        if kind not in (torch.float32, call.reads[0].meta["val"].dtype):
            raise Refused(f"a conversion to {kind} is not supported; tensors are float32")
        tensor: str = call.args["input"] if "input" in call.args else call.args["self"]
        return tensor
