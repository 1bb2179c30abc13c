"""Sums and maxima over dimensions, softmax and norms."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from mico_runner.formats.tflite_file.layout import Made, Use, reads, without


def _least(x: torch.Tensor, dims: list[int], keep: bool) -> torch.Tensor:
    """By the largest, for which `capture` has an operator."""
    return -torch.amax(-x, dims, keep)


_REDUCE: dict[str, Callable[..., torch.Tensor]] = {
    **{"MEAN": torch.mean, "SUM": torch.sum, "REDUCE_MAX": torch.amax, "REDUCE_MIN": _least}
}


@reads(*_REDUCE)
def reduction(use: Use) -> Made:
    value, keep = use.value(), bool(use.option("KeepDims"))
    axes = [value.axis(axis) for axis in use.whole(1)]
    dims = sorted(value.dim(axis) for axis in set(axes))
    function = _REDUCE[use.operator.kind]
    return Made(lambda x: function(x, dims, keep), value.order if keep else without(value.order, axes))


@reads("SOFTMAX")
def softmax(use: Use) -> Made:
    value, beta = use.value(), float(use.operator.option("Beta"))
    dim = value.dim(-1)
    return Made(lambda x: (x if beta == 1 else x * beta).softmax(dim), value.order)


@reads("LOG_SOFTMAX")
def log_softmax(use: Use) -> Made:
    dim = use.value().dim(-1)
    return Made(lambda x: x.log_softmax(dim), use.value().order)


@reads("L2_NORMALIZATION")
def l2_normalisation(use: Use) -> Made:
    dim = use.value().dim(-1)
    return Made(lambda x: F.normalize(x, dim=dim, eps=1e-6), use.value().order)  # eps: TFLite's reference kernel
