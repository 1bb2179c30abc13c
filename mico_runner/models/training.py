"""Training for a task, resumable after each epoch, the same result for the same seed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mico_runner import durable
from mico_runner.data.dataset import Split
from mico_runner.errors import StepError, UsageError
from mico_runner.models.augment import check_fits
from mico_runner.models.loop import Kept, Loss, Training, fit, layout, loss_of, own_fit
from mico_runner.models.outputs import BATCH, HELD, outputs, scores
from mico_runner.sections import Recipe, Train
from mico_runner.tasks.base import Task

__all__ = ["BATCH", "HELD", "Lesson", "Loss", "check_trainable", "distilled", "loss_of", "outputs", "scores", "train"]


def check_trainable(
    model: nn.Module, task: Task, data: Split, validation: Split, recipe: Recipe, section: str = "model.train"
) -> None:
    """Train an epoch of two samples; the model is of no use afterwards.

    Raises UsageError: nothing of the model can be trained, its forward or the loop fails, or what the loop keeps cannot be kept.
    """
    instead = "model.train: null takes the network as it is"
    if not any(value.requires_grad for value in model.parameters()):
        raise UsageError(
            f"the network has no parameter that requires a gradient, so that it cannot be trained; {instead}"
        )
    _check_recipe(recipe, task, data, section)
    own = isinstance(recipe, Train) and (recipe.loop or recipe.loss)
    tried = replace(recipe, epochs=1, batch_size=2)
    training = Training(model, task, data.first(2), validation.first(2), tried, 0, _Tried())
    try:
        _run(training)
    except UsageError as error:
        raise error if own else UsageError(f"{error}; {instead}") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UsageError(f"the network cannot be trained, its first step fails: {reason}; {instead}") from error


def distilled(
    task: Task, teacher: Callable[[torch.Tensor], torch.Tensor], share: float, other: Loss | None = None
) -> Loss:
    """The task's loss or another one, of which `share` is the task's distance from a teacher's outputs (Hinton et al. 2015)."""

    def loss(outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        found = outputs.new_zeros(())
        if share > 0:
            found = share * task.distance(outputs, teacher(inputs))
        return found if share == 1 else found + (1 - share) * (other or task.loss)(outputs, targets, inputs)

    return loss


@dataclass(frozen=True)
class Lesson:
    """What a model is to learn, from what and how; the seed decides the order of samples and their changes.

    Attributes:
        loss: another one than that of the recipe or the task.
        section: of the spec, which messages name.
    """

    task: Task
    data: Split
    validation: Split
    recipe: Recipe
    seed: int
    loss: Loss | None = None
    section: str = "model.train"


def train(
    model: nn.Module,
    lesson: Lesson,
    work: Path,
    on_epoch: Callable[[int, float | None, float], None] = lambda epoch, loss, quality: None,
    log: Callable[[str], None] = lambda line: None,
) -> list[dict[str, object]]:
    """Train `model` in place; returns a row {epoch, train_loss, validation_<the task's measure>} per epoch.

    After each epoch a checkpoint in `work` is replaced; a later call with the same arguments continues from it and ends
    with the same weights as an uninterrupted one, because each epoch draws from its own generator. A damaged checkpoint is
    dropped, with a line to `log`.

    Raises StepError when the loss, a weight or an output is not finite after an epoch; UsageError: a loop of the user's own fails,
        or the samples cannot be changed as asked.
    """
    task, data, validation, recipe = lesson.task, lesson.data, lesson.validation, lesson.recipe
    _check_recipe(recipe, task, data, lesson.section)
    anywhere = isinstance(recipe, Train) and recipe.device == "auto"
    device = torch.device("cuda" if anywhere and torch.cuda.is_available() else "cpu")
    model.to(device, memory_format=layout(recipe))  # type: ignore[call-overload]
    course = _Epochs(model, task, validation, recipe, work / "checkpoint.pt", on_epoch, log, lesson.section)
    _run(Training(model, task, data, validation, recipe, lesson.seed, course, lesson.loss))
    if course.best:
        model.load_state_dict(course.best)
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return course.history


def _check_recipe(recipe: Recipe, task: Task, data: Split, section: str) -> None:
    """Raise UsageError: it asks for what the samples or their targets cannot have."""
    check_fits(recipe, task, data.input_shape, data.inputs.dtype == np.int64, section)
    if recipe.balance and not task.strata(data.targets).any():
        raise UsageError(f"{section}.balance: found true; allowed: false, because the targets have no classes")


def _run(training: Training) -> None:
    """The loop that the recipe asks for. Raises UsageError: it is the user's own, and fails or ends without an epoch."""
    own = training.recipe.loop if isinstance(training.recipe, Train) else None
    if own is None:
        fit(training)
        return
    own_fit(own, training)
    if not training.judged:
        raise UsageError(
            f"{own.file}: {own.entry} ended without an epoch; allowed: a loop over all of training.epochs(..)"
        )


class _Tried:
    """One epoch, of which nothing is kept."""

    def __init__(self) -> None:
        self._left = 1

    def resume(self, kept: tuple[Kept, ...]) -> None:
        return

    def next(self) -> int | None:
        self._left -= 1
        return None if self._left < 0 else 0

    def ended(self, loss: float | None, kept: tuple[Kept, ...]) -> None:
        """Raises UsageError: what is kept beside the model could not be read again."""
        for each in kept:
            content = io.BytesIO()
            try:
                torch.save(each.state_dict(), content)
                each.load_state_dict(torch.load(io.BytesIO(content.getvalue()), "cpu", weights_only=True))
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise UsageError(
                    f"the state of a {type(each).__name__} cannot be kept ({reason}); allowed: a state_dict of tensors, numbers, lists"
                ) from None


class _Epochs:
    """All epochs of a recipe, judged on the validation part, with a checkpoint after each."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        validation: Split,
        recipe: Recipe,
        checkpoint: Path,
        on_epoch: Callable[[int, float | None, float], None],
        log: Callable[[str], None],
        section: str,
    ) -> None:
        self._model, self._task, self._validation, self._recipe = model, task, validation, recipe
        self._checkpoint, self._on_epoch, self._log, self._section = checkpoint, on_epoch, log, section
        self._measured = f"validation_{task.MEASURE.name}"
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, torch.Tensor] = {}

    def resume(self, kept: tuple[Kept, ...]) -> None:
        if state := _load(self._checkpoint, self._log):
            self._model.load_state_dict(state["model"])
            for each, of in zip(kept, state["kept"], strict=True):
                each.load_state_dict(of)
            self.history, self.best = state["history"], state["best"]

    def next(self) -> int | None:
        done = len(self.history)
        return None if done >= self._recipe.epochs or self._out_of_patience() else done

    def ended(self, loss: float | None, kept: tuple[Kept, ...]) -> None:
        model, epoch = self._model, len(self.history) + 1
        found = outputs(model, self._validation)
        _check_finite(model, loss, found, epoch, f"{self._section}.lr {self._recipe.lr:g}")
        quality = self._task.quality(found, self._validation)
        best = max(self._goodness(), default=-np.inf)
        if self._recipe.keep == "best" and self._task.MEASURE.goodness(quality) > best:
            self.best = {name: value.clone() for name, value in model.state_dict().items()}
        self.history.append({"epoch": epoch, "train_loss": loss, self._measured: quality})
        self._on_epoch(epoch, loss, quality)
        state = {"model": model.state_dict(), "kept": [each.state_dict() for each in kept]}
        _save(self._checkpoint, {**state, "history": self.history, "best": self.best})

    def _goodness(self) -> list[float]:
        """Of the epochs so far."""
        return [self._task.MEASURE.goodness(row[self._measured]) for row in self.history]

    def _out_of_patience(self) -> bool:
        patience, found = self._recipe.patience, self._goodness()
        return patience is not None and bool(found) and len(found) - 1 - int(np.argmax(found)) >= patience


def _check_finite(model: nn.Module, loss: float | None, found: np.ndarray, epoch: int, rate: str) -> None:
    finite = {"the loss": loss is None or bool(np.isfinite(loss))}
    finite |= {name: bool(torch.isfinite(value).all()) for name, value in model.state_dict().items()}
    finite["the validation outputs"] = bool(np.isfinite(found).all())
    wrong = [name for name, is_finite in finite.items() if not is_finite]
    if wrong:
        raise StepError(f"the training diverged: {wrong[0]} not finite after epoch {epoch} with {rate}; lower it")


def _save(path: Path, state: dict[str, Any]) -> None:
    content = io.BytesIO()
    torch.save(state, content)
    durable.write_checked(path, content.getvalue())


def _load(path: Path, log: Callable[[str], None]) -> dict[str, Any] | None:
    """The state that an interrupted training left, if it did and the file is whole."""
    try:
        content = durable.read_checked(path)
    except durable.DamagedError as damage:
        log(f"{path.name} is dropped, the training starts anew: {damage}")
        durable.remove(path)
        return None
    return None if content is None else torch.load(io.BytesIO(content), "cpu", weights_only=True)
