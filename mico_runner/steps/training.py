"""The part of a step that trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from mico_runner.models import training
from mico_runner.sections import Recipe, Sections
from mico_runner.steps.base import StepContext
from mico_runner.steps.network import build_teacher

if TYPE_CHECKING:
    from mico_runner.data.dataset import DataSet

HISTORY = "history.csv"
TEACHER = "model.train.teacher.train"  # what messages call its recipe


def trained(
    ctx: StepContext,
    model: torch.nn.Module,
    samples: DataSet,
    recipe: Recipe,
    loss: training.Loss | None = None,
    section: str = "model.train",
) -> None:
    """Train `model` in place, as `models.training.train` does; progress is shown, and history.csv written."""
    ticks = iter(ctx.progress(range(recipe.epochs), total=recipe.epochs, desc="epochs"))
    lesson = training.Lesson(samples.task, samples.train, samples.validation, recipe, ctx.seed, loss, section)
    history = training.train(model, lesson, ctx.work, lambda *_: next(ticks, None), ctx.log)
    pd.DataFrame(history).to_csv(ctx.dir / HISTORY, index=False)


def loss_of_teacher(
    spec: Sections, samples: DataSet, model: torch.nn.Module, work: Path, log: Callable[[str], None]
) -> training.Loss | None:
    """The loss with the share of the teacher in `model.train`, which is trained first where it is to be; None: it has none.

    Args:
        model: that is to learn from it.
        work: folder for the checkpoints of its training.
    """
    recipe = spec.model.train if spec.model else None
    if recipe is None or (section := recipe.teacher) is None:
        return None
    teacher, task = build_teacher(spec, section, samples, model), samples.task
    if section.train is not None:
        folder = work / "teacher"
        folder.mkdir(exist_ok=True)
        train, validation = samples.train, samples.validation
        lesson = training.Lesson(task, train, validation, section.train, spec.seed, section=TEACHER)
        training.train(teacher, lesson, folder, log=log)
    quality = task.quality(training.outputs(teacher, samples.validation), samples.validation)
    log(f"teacher: validation {task.MEASURE.name} {task.MEASURE.text(quality)}")

    def answers(inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return training.scores(teacher.to(inputs.device), inputs)

    return training.distilled(task, answers, section.distillation, training.loss_of(recipe, task))
