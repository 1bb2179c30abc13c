"""Networks that may end early: which exit each sample takes, and the order of nodes in which one can be taken.

Early exits are BranchyNet's (Teerapittayanon et al., ICPR 2016); here a sample leaves where the difference of its two largest scores,
an integer, reaches the exit's margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mico_runner.errors import StepError
from mico_runner.quant.qgraph import Exit, QGraph, QNode


def margins(scores: np.ndarray) -> np.ndarray:
    """int64 (N,): by how much the largest of each sample's scores (N, classes) exceeds the second largest."""
    highest = np.partition(scores.astype(np.int64), -2, axis=1)[:, -2:]
    found: np.ndarray = highest[:, 1] - highest[:, 0]
    return found


def taken(exits: Sequence[Exit], answers: Sequence[np.ndarray]) -> np.ndarray:
    """int64 (N,): the number of the exit that each sample takes, that of the network's end where it takes none.

    Args:
        answers: integers (N, classes) of each exit and of the end.
    """
    left = np.full(len(answers[-1]), len(exits))
    for number in reversed(range(len(exits))):
        left[margins(answers[number]) >= exits[number].margin] = number
    return left


def answered(graph: QGraph, answers: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a network for the values of `graph.answers`: themselves where it has no exits."""
    if not graph.exits:
        return answers
    left = taken(graph.exits, answers)
    return [np.stack(answers)[left, np.arange(len(left))]]


def staged(graph: QGraph, exits: Sequence[Exit]) -> QGraph:
    """A network of several outputs as one that ends at the last of them, or early at the others, in the order of `exits`.

    Raises StepError: an exit is no output of the network, or has another shape than the network's end.
    """
    end = graph.outputs[-1]
    for exit in exits:
        if exit.tensor not in graph.outputs[:-1] or graph.tensors[exit.tensor].shape != graph.tensors[end].shape:
            known = ", ".join(t for t in graph.outputs[:-1] if graph.tensors[t].shape == graph.tensors[end].shape)
            raise StepError(f"network {graph.name!r}: exit {exit.tensor!r}; allowed: outputs before {end!r}: {known}")
    found = replace(graph, outputs=(end,), exits=tuple(exits))
    return replace(found, nodes=tuple(node for stage in stages(found) for node in stage))


def stages(graph: QGraph) -> list[list[QNode]]:
    """The nodes that each exit, and then the end, needs beyond those before it, in order. Others are left out."""
    found, done = [], set[str]()
    for answer in graph.answers:
        wanted, stage = {answer}, list[QNode]()
        for node in reversed(graph.nodes):
            if node.output in wanted and node.output not in done:
                wanted |= set(node.inputs)
                stage.insert(0, node)
        done |= {node.output for node in stage}
        found.append(stage)
    return found
