"""Elements of one dimension by constant indices, as slices."""

from __future__ import annotations

import numpy as np
import torch


def pick(x: torch.Tensor, axis: int, index: np.ndarray) -> torch.Tensor:
    """`x` with element `index[i]` at place i of a dimension: slices side by side, one for each run of equal steps."""
    parts = [_run(x, axis, run) for run in runs(index)]
    if not parts:
        raise ValueError(f"nothing is left of dimension {axis}")
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def runs(index: np.ndarray) -> list[np.ndarray]:
    """The index in parts that each go up or down by one step."""
    found, start, values = [], 0, [int(i) for i in index]
    while start < len(values):
        end = start + 1
        step = values[end] - values[start] if end < len(values) else 1
        while end < len(values) and step and values[end] - values[end - 1] == step:
            end += 1
        found.append(index[start:end])
        start = end
    return found


def _run(x: torch.Tensor, axis: int, run: np.ndarray) -> torch.Tensor:
    first, last = int(run[0]), int(run[-1])
    step = int(run[1] - run[0]) if len(run) > 1 else 1
    if step < 0:
        return _run(x, axis, run[::-1]).flip(axis)
    if (first, last, step) == (0, x.shape[axis] - 1, 1):
        return x
    found: torch.Tensor = torch.ops.aten.slice.Tensor(x, axis, first, last + 1, step)
    return found
