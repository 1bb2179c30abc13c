"""A model of ONNX in place of a C program, and what ONNX Runtime makes of it."""

from __future__ import annotations

import numpy as np

from mico_runner.codegen import qdq
from mico_runner.errors import StepSkipped
from mico_runner.quant.qgraph import QGraph
from mico_runner.steps.base import StepContext


def write_model(ctx: StepContext, deployed: QGraph, images: np.ndarray) -> None:
    """Write model.onnx; where ONNX Runtime is installed, compare its outputs for these real images with the integer network's."""
    from mico_runner.codegen.qdq.check import compare

    path = ctx.dir / "model.onnx"
    ctx.metric("codegen.onnx_bytes", qdq.write(deployed, path), "bytes", "lower")
    try:
        found = compare(deployed, path, images)
    except StepSkipped as missing:
        ctx.log(f"model.onnx is not compared with the integer network: {missing}")
        return
    ctx.metric("codegen.onnx_same_class", 100 * found.same_class, "%", "higher")
    ctx.metric("codegen.onnx_greatest_difference", found.steps, "steps", "lower")
    ctx.log(f"model.onnx: {len(images)} images, {100 * found.same_class:.2f} % with the class of the integer network")
