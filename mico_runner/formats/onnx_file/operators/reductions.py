"""Reductions over axes."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import axes_of, translates

Axes = np.ndarray | None
_SOMETIMES = ("noop_with_empty_axes",)


def _dims(node: OnnxNode, x: torch.Tensor, axes: Axes) -> tuple[list[int], bool]:
    """Dimensions, all of them where none are given, and whether they stay, of size 1. No dimensions: nothing is reduced."""
    found = axes_of(node, axes, x.ndim)
    if not found and not node.get("noop_with_empty_axes", 0):
        found = list(range(x.ndim))
    return sorted(found), bool(node.get("keepdims", 1))


@translates("ReduceMean", arguments=(1,), ignored=_SOMETIMES)
def reduce_mean(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    dims, keep = _dims(node, x, axes)
    return torch.mean(x, dims, keep) if dims else x


@translates("ReduceSum", arguments=(1,), ignored=_SOMETIMES)
def reduce_sum(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return _sum(node, x, axes)


def _sum(node: OnnxNode, x: torch.Tensor, axes: Axes) -> torch.Tensor:
    dims, keep = _dims(node, x, axes)
    return torch.sum(x, dims, keep) if dims else x


@translates("ReduceSumSquare", arguments=(1,), ignored=_SOMETIMES)
def reduce_sum_square(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return _sum(node, torch.square(x), axes)


@translates("ReduceL1", arguments=(1,), ignored=_SOMETIMES)
def reduce_l1(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return _sum(node, torch.abs(x), axes)


@translates("ReduceL2", arguments=(1,), ignored=_SOMETIMES)
def reduce_l2(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return torch.sqrt(_sum(node, torch.square(x), axes))


@translates("ReduceLogSum", arguments=(1,), ignored=_SOMETIMES)
def reduce_log_sum(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return torch.log(_sum(node, x, axes))


@translates("ReduceLogSumExp", arguments=(1,), ignored=_SOMETIMES)
def reduce_log_sum_exp(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return torch.log(_sum(node, torch.exp(x), axes))


@translates("ReduceMax", arguments=(1,), ignored=_SOMETIMES)
def reduce_max(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return _max(node, x, axes)


@translates("ReduceMin", arguments=(1,), ignored=_SOMETIMES)
def reduce_min(node: OnnxNode, x: torch.Tensor, axes: Axes = None) -> torch.Tensor:
    return -_max(node, -x, axes)


def _max(node: OnnxNode, x: torch.Tensor, axes: Axes) -> torch.Tensor:
    """The dimensions are put last, where they are the columns of one window."""
    dims, keep = _dims(node, x, axes)
    if not dims:
        return x
    if 0 in dims:
        raise ValueError("a maximum over the batch is not supported")
    sizes = [n for i, n in enumerate(x.shape) if i not in dims]
    order = [i for i in range(x.ndim) if i not in dims] + dims
    count = prod(x.shape[i] for i in dims)
    moved = x.permute(order) if order != list(range(x.ndim)) else x
    rows = moved.reshape(x.shape[0], prod(sizes[1:]), 1, count)
    found = F.max_pool2d(rows, (1, count))
    return found.reshape([1 if i in dims else n for i, n in enumerate(x.shape)] if keep else sizes)
