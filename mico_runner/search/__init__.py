"""Search over per-layer bit-widths: the space, what each point costs, what it scores, and the algorithms (one file each).

    space = Space.grid(["conv1", "fc1"], weight_bits=[2, 4, 8], activation_bits=[8])
    problem = Problem(space, score, [Objective("quality"), Objective("latency")], {"latency": Cost(table)}, budget=Budget(40))
    result = run(problem, "exact", seed=0)
    space.decode(result.configs[result.chosen])     # {"conv1": LayerBits(weight=8, activation=8), ...}

Loaded on first use: importing this package imports neither scipy nor pygmo.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    from mico_runner.search.base import Searcher as Searcher
    from mico_runner.search.binding import bindings as bindings
    from mico_runner.search.certificate import certify as certify
    from mico_runner.search.dominated import hypervolume as hypervolume
    from mico_runner.search.feasibility import InfeasibleError as InfeasibleError
    from mico_runner.search.monotone import report_non_monotone as report_non_monotone
    from mico_runner.search.problem import Budget as Budget
    from mico_runner.search.problem import Constraint as Constraint
    from mico_runner.search.problem import Cost as Cost
    from mico_runner.search.problem import Objective as Objective
    from mico_runner.search.problem import Problem as Problem
    from mico_runner.search.running import SearchResult as SearchResult
    from mico_runner.search.running import enumerate_all as enumerate_all
    from mico_runner.search.running import regret as regret
    from mico_runner.search.running import run as run
    from mico_runner.search.running import with_uniforms as with_uniforms
    from mico_runner.search.space import Space as Space

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
    "bindings": "binding",
    "certify": "certificate",
    "enumerate_all": "running",
    "hypervolume": "dominated",
    "regret": "running",
    "report_non_monotone": "monotone",
    "run": "running",
    "with_uniforms": "running",
}

__all__ = ["ALGORITHMS", "register", *sorted(_HOME)]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
