"""What a network returns, checked, and for all samples of a part."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError

BATCH = 1000  # samples evaluated at once, where
HELD = 2**26  # elements, 256 MiB, of the largest tensor are not exceeded


def outputs(model: nn.Module, samples: Split) -> np.ndarray:
    """float32 (N, ...) outputs of `model` in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        device, first = device_of(model), torch.from_numpy(samples.first(1).floats())
        batch = min(BATCH, max(1, HELD // _largest_tensor(model, first.to(device))))
        return np.concatenate(
            [scores(model, torch.from_numpy(part.floats()).to(device)).cpu().numpy() for part in samples.parts(batch)]
        )


def scores(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The only tensor that the model returns, in whatever it packs it. Raises UsageError: it returns something else, or more."""
    found = torch.utils._pytree.tree_leaves(model(inputs.clone()))  # a forward may change its input in place
    if len(found) != 1 or not isinstance(found[0], torch.Tensor):
        mode = "training" if model.training else "eval"
        kinds = ", ".join(type(value).__name__ for value in found) or "nothing"
        raise UsageError(f"in {mode} mode the network returns {kinds}; allowed: one tensor")
    return found[0]


def device_of(model: nn.Module) -> torch.device:
    """Where its parameters are."""
    return next((value.device for value in model.parameters()), torch.device("cpu"))


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
