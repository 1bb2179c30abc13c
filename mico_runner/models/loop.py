"""The loop of a training: the built-in one, and what one of the user's own is given.

model: {train: {loop: {file: loop.py, entry: fit}}}

def fit(training):
    optimiser = torch.optim.RMSprop(training.model.parameters(), lr=training.recipe.lr)
    for epoch in training.epochs(optimiser):
        for batch in training.batches():
            optimiser.zero_grad()
            training.loss(batch).backward()
            optimiser.step()
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mico_runner import user_code
from mico_runner.data.dataset import Split
from mico_runner.errors import StepError, UsageError
from mico_runner.models.augment import augmented, mixed, shifted
from mico_runner.models.outputs import device_of, scores
from mico_runner.sections import Function, Recipe, Train
from mico_runner.tasks.base import Task

MOMENTUM = 0.9  # of SGD, the value in common use
EPOCHS = 1_000_003  # a prime above the number of epochs: no two epochs of different seeds draw alike
NUMPY_SEEDS = 2**32  # that there are
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # of outputs, targets, inputs


class Kept(Protocol):
    """Something whose state a checkpoint holds, as optimisers and schedules of torch have it."""

    def state_dict(self) -> dict[str, object]: ...

    def load_state_dict(self, state: dict[str, object], /) -> Any: ...


class Course(Protocol):
    """How far a training is, and what becomes of its epochs."""

    def resume(self, kept: tuple[Kept, ...]) -> None:
        """Give the model, and what is kept beside it, the state after the last epoch that was completed, if any."""

    def next(self) -> int | None:
        """The next epoch, counted from 0; None at the end."""

    def ended(self, loss: float | None, kept: tuple[Kept, ...]) -> None:
        """Judge an epoch and keep its state. `loss`: the mean of a sample, None where the loop never asked for it."""


@dataclass(frozen=True)
class Batch:
    """Samples as `model.train.augment` changes them, on the training's device.

    Attributes:
        inputs: (n, ...) as the network takes them.
        targets: (n, ...) as the task has them.
        others: targets of the samples that are mixed in; None without mixup.
        share: of the first ones in the mixture.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    others: torch.Tensor | None = None
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.targets)


class Training:
    """What a loop trains, and with what.

    Attributes:
        model: trained in place.
        task: its `loss`, `quality`, `MEASURE`.
        train, validation: the parts of the data; the test part is not there.
        recipe: `model.train`; of it, the loop alone heeds `lr`, `optimizer`, `schedule`, `weight_decay`.
        device: on which the model and the batches are.
        steps: batches of an epoch.
        seed: of the spec.
        judged: whether an epoch was completed, or none is left.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        train: Split,
        validation: Split,
        recipe: Recipe,
        seed: int,
        course: Course,
        loss: Loss | None = None,
    ) -> None:
        self.model, self.task, self.train, self.validation, self.recipe = model, task, train, validation, recipe
        self.seed, self.device, self.steps = seed, device_of(model), -(-len(train) // recipe.batch_size)
        self._course, self._loss = course, loss or loss_of(recipe, task)
        self._total, self._seen, self.judged = 0.0, 0, False
        self._targets = torch.from_numpy(train.targets)
        self._draw = self._drawn(0)

    def epochs(self, *kept: Kept) -> Iterator[int]:
        """The numbers of the epochs that are left, from 0; the model is in training mode at the beginning of each.

        When the loop asks for the next one, the last one is judged on the validation part and a checkpoint written. All random draws
        begin anew with each epoch (torch, numpy, random), so that a training which was interrupted ends with the same weights.

        Args:
            kept: what has a state besides the model (`state_dict`, `load_state_dict`): optimiser, schedule, an average of the weights.
        """
        self._course.resume(kept)
        while (epoch := self._course.next()) is not None:
            self._draw = self._drawn(epoch)
            self._total, self._seen = 0.0, 0
            self.model.train()
            if isinstance(self.recipe, Train) and self.recipe.freeze_norms:
                for part in self.model.modules():
                    if isinstance(part, nn.modules.batchnorm._BatchNorm):
                        part.eval()
            yield epoch
            self._course.ended(self._total / self._seen if self._seen else None, kept)
            self.judged = True
        self.judged = True

    def batches(self) -> Iterator[Batch]:
        """All samples of the training part once in a random order, or as many, those of each class equally often (`balance`)."""
        how = self.recipe.augment
        for rows in self._order().split(self.recipe.batch_size):  # type: ignore[no-untyped-call]
            x = shifted(torch.from_numpy(self.train.take(rows.numpy()).floats()), self.recipe.shift, self._draw)
            x, y = augmented(x, how, self._draw), self._targets[rows]
            if how.mixup:
                x, others, share = mixed(x, how, self._draw)
                yield Batch(x.to(self.device), y.to(self.device), y[others].to(self.device), share)
            else:
                yield Batch(x.to(self.device), y.to(self.device))

    def outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        """float32 (n, ...) what the model returns, in the recipe's precision."""
        if inputs.ndim == 4:
            inputs = inputs.to(memory_format=layout(self.recipe))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=_low(self.recipe)):
            return scores(self.model, inputs).float()

    def loss(self, batch: Batch) -> torch.Tensor:
        """The mean loss of a batch: the task's, with the teacher's share and that of what is mixed in."""
        found = self.outputs(batch.inputs)
        loss = self._loss(found, batch.targets, batch.inputs)
        if batch.others is not None:
            loss = batch.share * loss + (1 - batch.share) * self._loss(found, batch.others, batch.inputs)
        self._total += loss.item() * len(batch)
        self._seen += len(batch)
        return loss

    def _drawn(self, epoch: int) -> torch.Generator:
        """A generator for an epoch's batches; the global ones, from which dropout and the user's code draw, begin anew, too."""
        seed = self.seed * EPOCHS + epoch
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % NUMPY_SEEDS)  # noqa: NPY002 - what a user's loop may draw from
        return torch.Generator().manual_seed(seed)

    def _order(self) -> torch.Tensor:
        if not self.recipe.balance:
            return torch.randperm(len(self.train), generator=self._draw)
        classes, counts = np.unique(self.task.strata(self.train.targets), return_inverse=True, return_counts=True)[1:]
        share = torch.from_numpy(1 / counts[classes])
        return torch.multinomial(share, len(self.train), replacement=True, generator=self._draw)


def layout(recipe: Recipe) -> torch.memory_format:
    """Channels last where the recipe says so and in bfloat16: so processors' units for it read images."""
    last = _low(recipe) or (isinstance(recipe, Train) and recipe.channels_last)
    return torch.channels_last if last else torch.preserve_format


def _low(recipe: Recipe) -> bool:
    return isinstance(recipe, Train) and recipe.precision == "bfloat16"


def fit(training: Training) -> None:
    """The built-in loop: `recipe.optimizer` with `recipe.schedule`, a step for each batch."""
    optimizer, schedule = _optimiser(training)
    for _ in training.epochs(optimizer, schedule):
        for batch in training.batches():
            loss = training.loss(batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _optimiser(training: Training) -> tuple[Optimizer, LRScheduler]:
    """The optimiser and its schedule over all epochs."""
    recipe, values = training.recipe, training.model.parameters()
    optimizer: Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            values, lr=recipe.lr, momentum=MOMENTUM, nesterov=True, weight_decay=recipe.weight_decay
        )
    else:
        optimizer = torch.optim.AdamW(values, lr=recipe.lr, weight_decay=recipe.weight_decay)
    total = recipe.epochs * training.steps
    if recipe.schedule == "one-cycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total)
    if recipe.schedule == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def loss_of(recipe: Recipe, task: Task) -> Loss:
    """The loss that the recipe names, or the task's.

    The former raises UsageError with the line of the user's code at which it fails, or if it returns anything but one number.
    """
    section = recipe.loss if isinstance(recipe, Train) else None
    if section is None:
        return task.loss
    file, call, params = Path(section.file), user_code.shown(section.entry, section.params), section.params
    with user_code.running(file, section.entry) as function:
        pass  # it is called later, as a network's forward is

    def loss(outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        with user_code.failing(file, call):
            found = function(outputs, targets, **params)
        if not isinstance(found, torch.Tensor) or found.numel() != 1 or not found.requires_grad:
            shape = f" of {found.numel()} numbers" if isinstance(found, torch.Tensor) and found.numel() != 1 else ""
            raise UsageError(
                f"{file}: {call} returned a {type(found).__name__}{shape}; allowed: a tensor of one number, computed from the outputs"
            )
        return found

    return loss


def own_fit(section: Function, training: Training) -> None:
    """Run the loop of a file of the user's own.

    Raises UsageError, with the line of the user's code at which it fails; StepError: the training diverged.
    """
    file, call = Path(section.file), user_code.shown(section.entry, section.params)
    with user_code.running(file, section.entry) as loop:
        try:
            with user_code.failing(file, call):
                loop(training, **section.params)
        except UsageError as error:
            if isinstance(error.__cause__, StepError):
                raise error.__cause__ from None
            raise
