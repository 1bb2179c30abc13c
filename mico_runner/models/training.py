"""Training for a task: AdamW with a one-cycle learning rate, resumable after each epoch, the same result for the same seed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mico_runner import durable
from mico_runner.data.dataset import Split
from mico_runner.errors import StepError, UsageError
from mico_runner.models.augment import augmented, mixed, shifted
from mico_runner.sections import Recipe, Train
from mico_runner.tasks.base import Task

MOMENTUM = 0.9  # of SGD, the value in common use
BATCH = 1000  # samples evaluated at once, where
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # of outputs, targets, inputs
HELD = 2**26  # elements, 256 MiB, of the largest tensor are not exceeded


def outputs(model: nn.Module, samples: Split) -> np.ndarray:
    """float32 (N, ...) outputs of `model` in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        device, first = _device_of(model), torch.from_numpy(samples.first(1).floats())
        batch = min(BATCH, max(1, HELD // _largest_tensor(model, first.to(device))))
        return np.concatenate(
            [_scores(model, torch.from_numpy(part.floats()).to(device)).cpu().numpy() for part in samples.parts(batch)]
        )


def _scores(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The only tensor that the model returns, in whatever it packs it. Raises UsageError: it returns something else, or more."""
    found = torch.utils._pytree.tree_leaves(model(inputs.clone()))  # a forward may change its input in place
    if len(found) != 1 or not isinstance(found[0], torch.Tensor):
        mode = "training" if model.training else "eval"
        kinds = ", ".join(type(value).__name__ for value in found) or "nothing"
        raise UsageError(f"in {mode} mode the network returns {kinds}; allowed: one tensor")
    return found[0]


def check_trainable(model: nn.Module, task: Task, data: Split) -> None:
    """Take the gradients of a first step, on two samples; the model is of no use afterwards.

    Raises UsageError: nothing of the model can be trained, or its forward fails in training mode.
    """
    instead = "model.train: null takes the network as it is"
    if not any(value.requires_grad for value in model.parameters()):
        raise UsageError(
            f"the network has no parameter that requires a gradient, so that it cannot be trained; {instead}"
        )
    first = data.first(2)
    model.train()
    try:
        inputs = torch.from_numpy(first.floats())
        loss = task.loss(_scores(model, inputs), torch.from_numpy(first.targets), inputs)
        loss.backward()  # type: ignore[no-untyped-call]
    except UsageError as error:
        raise UsageError(f"{error}; {instead}") from None
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UsageError(f"the network cannot be trained, its first step fails: {reason}; {instead}") from error


def _largest_tensor(model: nn.Module, sample: torch.Tensor) -> int:
    """Elements of the largest tensor that a module of the network returns for one sample."""
    largest = sample.numel()

    def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal largest
        largest = max(largest, output.numel() if isinstance(output, torch.Tensor) else 0)

    hooks = [part.register_forward_hook(look) for part in model.modules()]
    try:
        model(sample.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return largest


def train(
    model: nn.Module,
    task: Task,
    data: Split,
    validation: Split,
    recipe: Recipe,
    seed: int,
    work: Path,
    on_epoch: Callable[[int, float, float], None] = lambda epoch, loss, quality: None,
    log: Callable[[str], None] = lambda line: None,
    loss: Loss | None = None,
    section: str = "model.train",
) -> list[dict[str, float]]:
    """Train `model` in place; returns a row {epoch, train_loss, validation_<the task's measure>} per epoch.

    Args:
        loss: another one than the task's.
        section: of the spec, which messages name.

    After each epoch a checkpoint in `work` is replaced; a later call with the same arguments continues from it and ends
    with the same weights as an uninterrupted one, because each epoch draws from its own generator. A damaged checkpoint is
    dropped, with a line to `log`.

    Raises StepError when the loss, a weight or an output is not finite after an epoch.
    """
    anywhere = isinstance(recipe, Train) and recipe.device == "auto"
    device = torch.device("cuda" if anywhere and torch.cuda.is_available() else "cpu")
    model.to(device, memory_format=_layout(recipe))  # type: ignore[call-overload]
    optimizer, schedule = _optimiser(model, recipe, -(-len(data) // recipe.batch_size))
    history: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    checkpoint = work / "checkpoint.pt"
    if state := _load(checkpoint, log):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        history, best = state["history"], state["best"]
    measured = f"validation_{task.MEASURE.name}"

    def goodness(row: dict[str, float]) -> float:
        return task.MEASURE.goodness(row[measured])

    while len(history) < recipe.epochs and not _out_of_patience([goodness(row) for row in history], recipe.patience):
        epoch = len(history)
        draw = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        torch.manual_seed(seed * 1_000_003 + epoch)  # dropout draws from the global generator
        mean = _epoch(model, task, loss or task.loss, data, recipe, optimizer, schedule, draw)
        found = outputs(model, validation)
        _check_finite(model, mean, found, epoch + 1, f"{section}.lr {recipe.lr:g}")
        row = {"epoch": epoch + 1, "train_loss": mean, measured: task.quality(found, validation)}
        if recipe.keep == "best" and goodness(row) > max(map(goodness, history), default=-np.inf):
            best = {name: value.clone() for name, value in model.state_dict().items()}
        history.append(row)
        on_epoch(epoch + 1, mean, row[measured])
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        _save(checkpoint, {**state, "history": history, "best": best})
    if best:
        model.load_state_dict(best)
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return history


def _optimiser(model: nn.Module, recipe: Recipe, steps: int) -> tuple[Optimizer, LRScheduler]:
    """The optimiser and its schedule over all epochs of so many steps each."""
    optimizer: Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            model.parameters(), lr=recipe.lr, momentum=MOMENTUM, nesterov=True, weight_decay=recipe.weight_decay
        )
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    total = recipe.epochs * steps
    if recipe.schedule == "one-cycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=total)
    if recipe.schedule == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _out_of_patience(qualities: list[float], patience: int | None) -> bool:
    return patience is not None and bool(qualities) and len(qualities) - 1 - int(np.argmax(qualities)) >= patience


def _epoch(
    model: nn.Module,
    task: Task,
    loss_of: Loss,
    data: Split,
    recipe: Recipe,
    optimizer: Optimizer,
    schedule: LRScheduler,
    draw: torch.Generator,
) -> float:
    """One pass over the data; returns the mean loss of a sample."""
    model.train()
    if isinstance(recipe, Train) and recipe.freeze_norms:
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
    device, layout = _device_of(model), _layout(recipe)
    targets = torch.from_numpy(data.targets)
    total = 0.0

    def forward(x: torch.Tensor) -> torch.Tensor:
        if layout == torch.preserve_format:
            return _scores(model, x)
        with torch.autocast(device.type, torch.bfloat16):
            return _scores(model, x.to(memory_format=layout) if x.ndim == 4 else x).float()

    for batch in _order(task, data, recipe, draw).split(recipe.batch_size):  # type: ignore[no-untyped-call]
        x = shifted(torch.from_numpy(data.take(batch.numpy()).floats()), recipe.shift, draw)
        x, y = augmented(x, recipe.augment, draw), targets[batch]
        if recipe.augment.mixup:
            x, others, share = mixed(x, recipe.augment, draw)
            x = x.to(device)
            scores = forward(x)
            parts = (loss_of(scores, each.to(device), x) for each in (y, y[others]))
            loss = share * next(parts) + (1 - share) * next(parts)
        else:
            x = x.to(device)
            loss = loss_of(forward(x), y.to(device), x)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += loss.item() * len(batch)
    return total / len(targets)


def _order(task: Task, data: Split, recipe: Recipe, draw: torch.Generator) -> torch.Tensor:
    """The samples of an epoch: each once, or as many, those of each class equally often."""
    if not recipe.balance:
        return torch.randperm(len(data), generator=draw)
    classes, counts = np.unique(task.strata(data.targets), return_inverse=True, return_counts=True)[1:]
    return torch.multinomial(torch.from_numpy(1 / counts[classes]), len(data), replacement=True, generator=draw)


def _layout(recipe: Recipe) -> torch.memory_format:
    """Channels last in bfloat16: so processors' units for it read images."""
    low = isinstance(recipe, Train) and recipe.precision == "bfloat16"
    return torch.channels_last if low else torch.preserve_format


def _device_of(model: nn.Module) -> torch.device:
    return next((value.device for value in model.parameters()), torch.device("cpu"))


def _check_finite(model: nn.Module, loss: float, found: np.ndarray, epoch: int, rate: str) -> None:
    finite = {"the loss": np.isfinite(loss)}
    finite |= {name: bool(torch.isfinite(value).all()) for name, value in model.state_dict().items()}
    finite["the validation outputs"] = np.isfinite(found).all()
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
