"""What every loader's samples must be, checked before anything is computed from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError
from mico_runner.tasks.base import Task, refuse, size


def checked(name: str, task: Task, train: Split, test: Split) -> tuple[Split, Split]:
    """The splits of a data set with float inputs as float32 and targets as the task takes them.

    Raises:
        UsageError: naming data set, part and row (counted from 0): inputs that are neither uint8 nor finite floats, of two shapes, or
            targets that are none of the task.
    """
    train = part_checked(f"{name}: train", task, train, training=True)
    test = part_checked(f"{name}: test", task, test, training=False)
    shape, other = train.input_shape, test.input_shape
    if shape != other:
        raise UsageError(f"{name}: train images are {size(shape)}, test images {size(other)}; allowed: one shape")
    task.check_parts(name, train.targets, test.targets)
    return train, test


def part_checked(where: str, task: Task, split: Split, training: bool) -> Split:
    """One part of them, likewise."""
    targets = np.asarray(split.targets)
    if not isinstance(split.inputs, np.ndarray):  # read when asked for, and checked then
        if len(split.inputs) == 0 or len(targets) != len(split.inputs):
            raise UsageError(
                f"{where}: {len(split.inputs)} samples, {len(targets)} targets; allowed: one each, one or more"
            )
        return replace(split, targets=task.checked(where, targets, split.inputs.shape, training))
    inputs = split.inputs
    if inputs.ndim < 2 or len(inputs) == 0 or targets.shape[:1] != inputs.shape[:1]:
        raise UsageError(
            f"{where}: images {size(inputs.shape)}, labels {size(targets.shape)}; allowed: one label per image, one or more"
        )
    if inputs.ndim == 2 and inputs.dtype != np.uint8 and np.issubdtype(inputs.dtype, np.integer):
        refuse(where, "input", inputs.min(axis=1) < 0, inputs.min(axis=1), "tokens from 0 up")
        inputs = inputs.astype(np.int64)
    elif inputs.dtype != np.uint8 and not np.issubdtype(inputs.dtype, np.floating):
        raise UsageError(
            f"{where}: images of type {inputs.dtype}; allowed: uint8 (pixels 0..255), floats, or tokens (N, places)"
        )
    elif inputs.dtype != np.uint8:
        with np.errstate(over="ignore"):  # is infinite then, and refused
            inputs = inputs.astype(np.float32, copy=False)
        refuse(where, "image", ~np.isfinite(inputs).reshape(len(inputs), -1).all(1), None, "finite numbers")
    return replace(split, inputs=inputs, targets=task.checked(where, targets, inputs.shape, training))
