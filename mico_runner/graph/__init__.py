"""Torch module -> graph IR, and everything that is counted on it.

    graph = capture(module, input_shape=(1, 28, 28), name="lenet")
    layer_table(graph)                      # shapes, MACs and parameters of every node
    kernel_rows(graph, batch=1)             # what a latency predictor is asked
    costs.model_bytes(graph, assignment)    # flash; costs.bops(graph, assignment)
    run_float(graph, images)                # the float network, to compare with

The functions are loaded on first use: importing this package imports neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.graph import costs as costs
    from mico_runner.graph.costs import layer_table as layer_table
    from mico_runner.graph.frontend import capture as capture
    from mico_runner.graph.ir import Graph as Graph
    from mico_runner.graph.ir import Node as Node
    from mico_runner.graph.kernels import elementwise_row as elementwise_row
    from mico_runner.graph.kernels import kernel_rows as kernel_rows
    from mico_runner.graph.run import run_float as run_float
    from mico_runner.graph.run import run_many as run_many

_HOME = {
    "Graph": "ir",
    "Node": "ir",
    "capture": "frontend",
    "elementwise_row": "kernels",
    "kernel_rows": "kernels",
    "layer_table": "costs",
    "run_float": "run",
    "run_many": "run",
}
_MODULES = ("costs",)

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
