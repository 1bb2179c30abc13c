"""A QDQ model run by ONNX Runtime, beside the integers that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mico_runner.errors import StepError, StepSkipped
from mico_runner.quant import Executor, reference
from mico_runner.quant.qgraph import QGraph

BATCH_SIZE = 256


@dataclass(frozen=True)
class Agreement:
    """How ONNX Runtime's outputs compare with the integer network's.

    Attributes:
        same_class: share of samples whose largest output is the same one.
        steps: greatest difference of an output, in steps of the output's scale.
    """

    same_class: float
    steps: float


def compare(graph: QGraph, path: Path, images: np.ndarray) -> Agreement:
    """For real inputs (N, *shape), by ONNX Runtime as it is installed. Raises StepSkipped: it is not; StepError: it refuses the model."""
    try:
        import onnxruntime
    except ImportError as error:
        raise StepSkipped("needs the package onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds have no kind in common
        message = str(error).splitlines()[0]
        raise StepError(f"{graph.name}: ONNX Runtime {onnxruntime.__version__} refuses the model: {message}") from error
    scale = graph.tensors[graph.output].type.scale
    same, steps, executor = 0, 0.0, Executor(graph)
    for start in range(0, len(images), BATCH_SIZE):
        batch = np.asarray(images[start : start + BATCH_SIZE], np.float32)
        (found,) = session.run(None, {"input": batch})
        wanted = executor.run(reference.quantize_input(graph, batch))
        found = np.rint(found / scale)
        flat = [x.reshape(len(batch), -1) for x in (found, wanted)]
        same += int((flat[0].argmax(1) == flat[1].argmax(1)).sum())
        steps = max(steps, float(np.abs(found - wanted).max()))
    return Agreement(same / len(images), steps)
