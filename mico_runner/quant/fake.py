"""Real values on the grid of an integer type, with gradients for the values and for the step: learned step size quantisation.

Esser et al., "Learned Step Size Quantization", ICLR 2020, for types of two or more integers per sign; a sign passes the gradient of
values within two steps (Courbariaux et al., "Binarized Neural Networks", 2016, within one).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SIGN_REACH = 2.0  # steps


class OnGrid(torch.autograd.Function):
    """Nearest integers (half up) of x / step within low .. high, times the step: one step for all, or one per row of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        by_row = step.view(-1, *[1] * (x.ndim - 1)) if step.numel() > 1 else step
        shifted = torch.div(x, by_row).add_(0.5)
        integers = shifted.floor().clamp_(low, high)
        ctx.save_for_backward(shifted, integers, step)
        ctx.limits = low, high
        return integers * by_row

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (shifted, integers, step) = gradients, ctx.saved_tensors
        low, high = ctx.limits
        gradient = _lying_as(shifted, gradient)
        inside = torch.ops.aten.hardtanh_backward(gradient, shifted, low + 0.5, high + 0.5)
        if not ctx.needs_input_grad[1]:
            return inside, None, None, None
        if step.numel() == 1:
            flat = _line(inside)
            of_step = torch.dot(_line(gradient), _line(integers)) - torch.dot(flat, _line(shifted)) + 0.5 * flat.sum()
            return inside, of_step.reshape(step.shape), None, None
        of_row = (gradient * integers - inside * (shifted - 0.5)).flatten(1).sum(1)
        return inside, of_row.reshape(step.shape), None, None


class OnSigns(torch.autograd.Function):
    """+step where x is not negative, else -step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor) -> Tensor:
        by_row = step.view(-1, *[1] * (x.ndim - 1)) if step.numel() > 1 else step
        signs = torch.where(x >= 0, 1.0, -1.0)
        ctx.save_for_backward(x / by_row, signs, step)
        return signs * by_row

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (ratio, signs, step) = gradients, ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(gradient, ratio, -SIGN_REACH, SIGN_REACH)
        each = gradient * signs
        of_step = each.sum() if step.numel() == 1 else each.flatten(1).sum(1)
        return inside, of_step.reshape(step.shape), None


def _lying_as(other: Tensor, x: Tensor) -> Tensor:
    """x with its values in memory in the order of another tensor's."""
    last = other.ndim == 4 and not other.is_contiguous() and other.is_contiguous(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _line(x: Tensor) -> Tensor:
    """All values in the order in which they lie, so that channels last are not copied for a sum."""
    return x.flatten() if x.is_contiguous() or x.ndim != 4 else x.permute(0, 2, 3, 1).flatten()


def on_grid(x: Tensor, step: Tensor, low: int, high: int) -> Tensor:
    """See `OnGrid`."""
    found: Tensor = OnGrid.apply(x, step, low, high)  # type: ignore[no-untyped-call]
    return found


def on_signs(x: Tensor, step: Tensor) -> Tensor:
    """See `OnSigns`."""
    found: Tensor = OnSigns.apply(x, step)  # type: ignore[no-untyped-call]
    return found
