"""Torch module -> graph IR, and everything that is counted on it.

    graph = capture(module, input_shape=(1, 28, 28), name="lenet")
    layer_table(graph)                      # shapes, MACs and parameters of every node
    kernel_rows(graph, batch=1)             # what a latency predictor is asked
    costs.model_bytes(graph, assignment)    # flash; costs.bops(graph, assignment)
    run_float(graph, images)                # the float network, to compare with

The functions are loaded on first use: importing this package imports neither torch nor pandas.
"""

from importlib import import_module

_HOME = {
    "Graph": "ir",
    "Node": "ir",
    "capture": "frontend",
    "elementwise_row": "kernels",
    "kernel_rows": "kernels",
    "layer_table": "costs",
    "run_float": "run",
}
_MODULES = ("costs",)

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
