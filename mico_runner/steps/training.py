"""The part of a step that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mico_runner.models import training
from mico_runner.sections import Recipe
from mico_runner.steps.base import StepContext

if TYPE_CHECKING:
    import torch

    from mico_runner.data.dataset import DataSet


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
    history = training.train(
        model,
        samples.task,
        samples.train,
        samples.validation,
        recipe,
        ctx.seed,
        ctx.work,
        lambda *_: next(ticks, None),
        ctx.log,
        loss,
        section,
    )
    pd.DataFrame(history).to_csv(ctx.dir / "history.csv", index=False)
