"""Float graph -> integer graph, and two programs that compute it: the reference (numpy) and the executor (torch, fast).

    ptq = PTQ(graph, calibration_images)
    qgraph = ptq.quantize({"conv1": LayerBits(4, 8), ...})
    logits = Executor(qgraph).run(quantize_input(qgraph, images))
    logits = reference.run(qgraph, quantize_input(qgraph, images))     # the same integers

The exact arithmetic is defined in `quant.qgraph`. Loaded on first use: importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.quant import executor as executor
    from mico_runner.quant import reference as reference
    from mico_runner.quant.executor import Executor as Executor
    from mico_runner.quant.ptq import PTQ as PTQ
    from mico_runner.quant.qgraph import LayerBits as LayerBits
    from mico_runner.quant.qgraph import QGraph as QGraph
    from mico_runner.quant.reference import dequantize_output as dequantize_output
    from mico_runner.quant.reference import quantize_input as quantize_input
    from mico_runner.quant.reference import quantize_inputs as quantize_inputs

_HOME = {
    "PTQ": "ptq",
    "Executor": "executor",
    "LayerBits": "qgraph",
    "QGraph": "qgraph",
    "dequantize_output": "reference",
    "quantize_input": "reference",
    "quantize_inputs": "reference",
}
_MODULES = ("executor", "reference")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
