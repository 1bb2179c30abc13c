"""Search over per-layer bit-widths: the space, what each point costs, what it scores, and the algorithms (one file each).

    space = Space.grid(["conv1", "fc1"], weight_bits=[2, 4, 8], activation_bits=[8])
    problem = Problem(space, score, [Objective("accuracy"), Objective("latency")], {"latency": Cost(table)}, budget=Budget(40))
    result = run(problem, "exact", seed=0)
    space.decode(result.configs[result.chosen])     # {"conv1": LayerBits(weight=8, activation=8), ...}

Loaded on first use: importing this package imports neither scipy nor pygmo.
"""

from importlib import import_module

from mico_runner.registry import Registry

ALGORITHMS = Registry("search algorithm", __name__)
register = ALGORITHMS.register

_HOME = {
    "Budget": "problem",
    "Constraint": "problem",
    "Cost": "problem",
    "InfeasibleError": "feasibility",
    "Objective": "problem",
    "Problem": "problem",
    "SearchResult": "running",
    "Searcher": "base",
    "Space": "space",
    "enumerate_all": "running",
    "regret": "running",
    "report_non_monotone": "monotone",
    "run": "running",
}

__all__ = ["ALGORITHMS", "register", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
