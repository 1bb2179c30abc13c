"""log_softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import clamp, shift_that_fits, shifted
from mico_runner.ops.base import Quantiser
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import INPUT_BITS, Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph
from mico_runner.ops.rows import lower_rows
from mico_runner.ops.softmax import EXP_BITS, Softmax, exp_table

LOG_BITS = 24  # behind the point of logarithms
INTERVALS = 64  # of the table of logarithms between powers of two: 3e-5 from the chords to the curve
MOST = 1 << 15  # elements of a row: their sum, shifted up by 24 bits, fits 64
LN2 = round(np.log(2) * 2**LOG_BITS)
_BITS_IN, _BITS_LOG = 45, 30  # of the factors: times 8 bits and times a logarithm below 16 they fit 62 bits together


@register("log_softmax")
class LogSoftmax(Softmax):
    """ln = logarithm of the sum of exp(-scale * (max - q_i)), r_i = ((q_i - max) * factor - ln * part + 2^(shift-1)) >> shift, clamped.

    Over the last dimension. The sum has 24 bits behind the point, from the table `exp`, int32 (256,), as that of `softmax`; its
    logarithm too, by chords between the 65 entries of `log`, int32: of ln(1 + i / 64). Attributes: `factor` = scale * 2^shift /
    output scale, `part` = 2^(shift-24) / output scale, and `shift`.
    """

    ATEN = ("log_softmax.int", "_log_softmax.default")
    BOUND = 0.75  # half a step, and what the tables leave where a step is 2e-4 or more

    def capture(self, call: Call) -> str:
        found = super().capture(call)
        if (length := call.sizes_read[call["dim"]]) > MOST:
            raise Refused(f"sums over {length} elements may overflow 64 bits; at most {MOST}")
        return found

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0].log_softmax(-1)

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], INPUT_BITS)
        read, made = q.type_of(tensor), q.made(step)
        whole, part = read.scale / made.scale, 2.0**-LOG_BITS / made.scale
        shift = shift_that_fits((_BITS_IN, whole), (_BITS_LOG, part))
        attrs = {"factor": round(np.ldexp(whole, shift)), "part": round(np.ldexp(part, shift)), "shift": shift}
        log = np.rint(np.log1p(np.arange(INTERVALS + 1) / INTERVALS) * 2**LOG_BITS).astype(np.int32)
        q.add(step, (tensor,), attrs=attrs, constants={"exp": exp_table(read), "log": log})

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        below = x[0] - x[0].max(-1, keepdims=True)
        total = node.constants["exp"].astype(np.int64)[-below].sum(-1, keepdims=True)
        a = node.attrs
        acc = below * a["factor"] - _logarithm(total, node.constants["log"].astype(np.int64)) * a["part"]
        return clamp(shifted(acc, np.array(a["shift"])), acc, made, node.relu_max)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        return to.add("LogSoftmax", x, axis=-1)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        length = to.buffer_of(node.inputs[0]).shape[-1]

        def emit(source: c.Buffer, output: c.Buffer) -> None:
            fields: c.Fields = {
                **{"rows": source.size // length, "length": length, "input": source.tag, **node.attrs},
                "output": c.output_range(node, output),
            }
            to.emit(node, "log_softmax", [source], output, fields, tables=node.constants)

        lower_rows(to, node, emit)


def _logarithm(total: np.ndarray, log: np.ndarray) -> np.ndarray:
    """ln(total / 2^24) in steps of 2^-24, for total >= 2^24."""
    power = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1  # of two, the largest that is not above: exact
    behind = (total << LOG_BITS) >> power  # 24 bits behind the point, once in front of it
    behind -= 1 << LOG_BITS
    interval, rest = divmod(behind, (1 << LOG_BITS) // INTERVALS)
    chord = log[interval] + ((log[interval + 1] - log[interval]) * rest * INTERVALS >> LOG_BITS)
    found: np.ndarray = (power - EXP_BITS) * LN2 + chord
    return found
