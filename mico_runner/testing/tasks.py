"""Tasks: what a task takes, makes small and measures agrees with itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.tasks import create
from mico_runner.tasks.base import Task

STEP = 1e-3  # along the gradient
WRONG = (7, 7, 7, 7)  # a shape of outputs that no task takes


@dataclass(frozen=True)
class _Samples:
    inputs: np.ndarray
    targets: np.ndarray

    def floats(self) -> np.ndarray:
        return self.inputs


def check_task(
    name: str, inputs: np.ndarray, targets: np.ndarray, perfect: np.ndarray, options: dict[str, object] | None = None
) -> None:
    """Try a task on some samples.

    - It takes the targets, as those of a training part, and the shape of the outputs; another shape is refused in one line.
    - Outputs that are right are better than random ones, and than a network that knows nothing, by quality and by loss.
    - The loss falls along its gradient; so does the distance from a teacher, which is least at the teacher's own outputs.
    - What it summarises it draws, on axes with a label.

    Args:
        inputs, targets: (N, ...) as a loader gives them.
        perfect: (N, ...) outputs of a network that makes no mistake.
        options: of the task.

    Raises:
        AssertionError: what does not hold.
        UsageError: the task refuses the samples.
    """
    task = create(name, options or {})
    part = _Samples(inputs, task.checked("samples", targets, inputs.shape, True))
    task.check_parts("samples", part.targets, part.targets)
    assert task.learns_from(part.targets).any(), f"task {name!r}: training would see no sample"
    assert task.strata(part.targets).shape == (len(inputs),), f"task {name!r}: strata are not one number a sample"
    _check_shapes(name, task, part, perfect)
    _check_quality(name, task, part, perfect)
    _check_losses(name, task, part, perfect)
    _check_figure(name, task, part, perfect)


def _check_shapes(name: str, task: Task, part: _Samples, perfect: np.ndarray) -> None:
    task.check_output(perfect.shape[1:], part.targets, part.inputs.shape[1:])
    try:
        task.check_output(WRONG, part.targets, part.inputs.shape[1:])
    except UsageError as error:
        assert "allowed: " in str(error) and "\n" not in str(error), f"task {name!r}: {error}"
    else:
        raise AssertionError(f"task {name!r} takes outputs of shape {WRONG}")


def _check_quality(name: str, task: Task, part: _Samples, perfect: np.ndarray) -> None:
    measure, guessed = task.MEASURE, np.random.default_rng(1).normal(size=perfect.shape)
    best = task.quality(perfect, part)
    for what, other in (("random outputs", task.quality(guessed, part)), ("nothing", task.knows_nothing(part.targets))):
        assert measure.drop(best, other) > 0, (
            f"task {name!r}: {measure.name} of perfect outputs {best}, of {what} {other}"
        )
    losses = [task.measured_loss(outputs, part) for outputs in (perfect, guessed)]
    assert losses[0] < losses[1], f"task {name!r}: loss of perfect outputs {losses[0]}, of random ones {losses[1]}"
    assert measure.text(best), f"task {name!r}: its quality has no text"
    assert measure.allowed(len(part.inputs)) >= measure.tolerance, f"task {name!r}: no tolerance"


def _check_losses(name: str, task: Task, part: _Samples, perfect: np.ndarray) -> None:
    inputs, targets, teacher = (torch.from_numpy(np.asarray(each)) for each in (part.inputs, part.targets, perfect))
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    teacher, drawn = teacher.double(), torch.Generator().manual_seed(0)
    outputs = torch.randn(perfect.shape, dtype=torch.float64, generator=drawn).requires_grad_()

    def losses(x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": task.loss(x, targets, inputs), "distance": task.distance(x, teacher)}

    before = losses(outputs)
    for what, here in before.items():
        (gradient,) = torch.autograd.grad(here, outputs)
        there = losses((outputs - STEP * gradient).detach())[what]
        assert float(there) < here.item(), f"task {name!r}: its {what} does not fall along its gradient"
    near = float(task.distance(teacher, teacher))
    far = before["distance"].item()
    assert near < far, f"task {name!r}: the teacher is {near} from itself, random outputs {far}"


def _check_figure(name: str, task: Task, part: _Samples, perfect: np.ndarray) -> None:
    from matplotlib.figure import Figure

    table = task.summary(perfect, part)
    if table is None:
        return
    assert len(table) and task.TITLE, f"task {name!r}: its table or its title is empty"
    axes = Figure().subplots()
    task.draw(table, axes)
    assert axes.has_data() and axes.get_xlabel(), f"task {name!r}: its figure shows nothing, or has no label"
