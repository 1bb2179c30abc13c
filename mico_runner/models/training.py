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
from mico_runner.sections import Train
from mico_runner.tasks.base import Task

BATCH = 1000  # samples evaluated at once, where
HELD = 2**26  # elements, 256 MiB, of the largest tensor are not exceeded


def outputs(model: nn.Module, samples: Split) -> np.ndarray:
    """float32 (N, ...) outputs of `model` in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        batch = min(BATCH, max(1, HELD // _largest_tensor(model, torch.from_numpy(samples.first(1).floats()))))
        return np.concatenate(
            [_scores(model, torch.from_numpy(part.floats())).numpy() for part in samples.parts(batch)]
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
    recipe: Train,
    seed: int,
    work: Path,
    on_epoch: Callable[[int, float, float], None] = lambda epoch, loss, quality: None,
    log: Callable[[str], None] = lambda line: None,
) -> list[dict[str, float]]:
    """Train `model` in place; returns a row {epoch, train_loss, validation_<the task's measure>} per epoch.

    After each epoch a checkpoint in `work` is replaced; a later call with the same arguments continues from it and ends
    with the same weights as an uninterrupted one, because each epoch draws from its own generator. A damaged checkpoint is
    dropped, with a line to `log`.

    Raises StepError when the loss, a weight or an output is not finite after an epoch.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = -(-len(data) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=recipe.epochs * steps)
    history: list[dict[str, float]] = []
    checkpoint = work / "checkpoint.pt"
    if state := _load(checkpoint, log):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        history = state["history"]
    targets = torch.from_numpy(data.targets)
    measured = f"validation_{task.MEASURE.name}"
    for epoch in range(len(history), recipe.epochs):
        draw = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        torch.manual_seed(seed * 1_000_003 + epoch)  # dropout draws from the global generator
        model.train()
        total = 0.0
        for batch in torch.randperm(len(targets), generator=draw).split(recipe.batch_size):  # type: ignore[no-untyped-call]
            x = _shifted(torch.from_numpy(data.take(batch.numpy()).floats()), recipe.shift, draw)
            loss = task.loss(_scores(model, x), targets[batch], x)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        found = outputs(model, validation)
        _check_finite(model, total / len(targets), found, epoch + 1, recipe.lr)
        quality = task.quality(found, validation)
        history.append({"epoch": epoch + 1, "train_loss": total / len(targets), measured: quality})
        on_epoch(epoch + 1, total / len(targets), quality)
        _save(checkpoint, model, optimizer, schedule, history)
    return history


def _check_finite(model: nn.Module, loss: float, found: np.ndarray, epoch: int, lr: float) -> None:
    finite = {"the loss": np.isfinite(loss)}
    finite |= {name: bool(torch.isfinite(value).all()) for name, value in model.state_dict().items()}
    finite["the validation outputs"] = np.isfinite(found).all()
    wrong = [name for name, is_finite in finite.items() if not is_finite]
    if wrong:
        raise StepError(
            f"the training diverged: {wrong[0]} not finite after epoch {epoch} with model.train.lr {lr:g}; lower it"
        )


def _shifted(images: torch.Tensor, limit: int, draw: torch.Generator) -> torch.Tensor:
    """The batch moved by one random offset of up to `limit` pixels each way, filled with zeros."""
    if not limit:
        return images
    dy, dx = torch.randint(0, 2 * limit + 1, (2,), generator=draw).tolist()
    height, width = images.shape[-2:]
    return nn.functional.pad(images, [limit] * 4)[..., dy : dy + height, dx : dx + width]


def _save(
    path: Path, model: nn.Module, optimizer: Optimizer, schedule: LRScheduler, history: list[dict[str, float]]
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "history": history,
    }
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
    return None if content is None else torch.load(io.BytesIO(content), weights_only=True)
