"""What workers of any kind make of a list of items."""

from __future__ import annotations


def run(workers, function, items):
    """Key -> outcome of each item."""
    todo, outcomes = list(items), {}
    while len(outcomes) < len(items):
        while todo and workers.free:
            item = todo.pop(0)
            workers.submit(item, function, item)
        if outcome := workers.wait():
            outcomes[outcome.key] = outcome
    return outcomes
