"""Work that depends on other work, on workers: each piece begins when all that it waits for has ended well."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from mico_runner.executor import Outcome, Workers


@dataclass(frozen=True)
class Node:
    """A piece of work.

    Attributes:
        after: keys of what it waits for.
    """

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: Sequence[Hashable] = ()


def execute(nodes: Sequence[Node], workers: Workers, ended: Callable[[Outcome], object]) -> dict[Hashable, Outcome]:
    """Do all the work; of what may begin, the first comes first.

    Args:
        nodes: none waits for one behind it.
        ended: called with each outcome as it comes; what it raises ends everything.

    Returns:
        How each ended. What waits for something that failed is not begun, and has the outcome of that.
    """
    outcomes: dict[Hashable, Outcome] = {}
    left = {node.key: len(set(node.after)) for node in nodes}
    behind: dict[Hashable, list[int]] = {node.key: [] for node in nodes}
    for number, node in enumerate(nodes):
        for key in set(node.after):
            behind[key].append(number)
    ready = [number for number, node in enumerate(nodes) if not node.after]  # a heap

    def end(outcome: Outcome) -> None:
        todo = [outcome]
        while todo:
            now = todo.pop()
            if now.key in outcomes:
                continue
            outcomes[now.key] = now
            ended(now)
            for number in behind[now.key]:
                key = nodes[number].key
                left[key] -= 1
                if now.error is not None:
                    todo.append(Outcome(key, error=now.error))
                elif not left[key] and key not in outcomes:
                    heappush(ready, number)

    running = 0
    while ready or running:
        while ready and workers.free:
            node = nodes[heappop(ready)]
            workers.submit(node.key, node.function, *node.arguments)
            running += 1
        if outcome := workers.wait():
            running -= 1
            end(outcome)
    return outcomes


def raising(outcome: Outcome) -> None:
    """An `ended` that ends everything with the first failure."""
    if outcome.error is not None:
        raise outcome.error
