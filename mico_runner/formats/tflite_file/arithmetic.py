"""Sums, products and powers of two tensors, or of a tensor and constants."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mico_runner.formats.tflite_file.activations import Function, activation, finished
from mico_runner.formats.tflite_file.layout import Made, Order, Use, Value, arranged, natural, reads, spread
from mico_runner.ops.capture import Refused

Pair = Callable[[Any, Any], torch.Tensor]


def _squared_difference(a: Any, b: Any) -> torch.Tensor:
    return torch.square(a - b)


_WITH_ACTIVATION: dict[str, Pair] = {
    **{"ADD": operator.add, "SUB": operator.sub, "MUL": operator.mul, "DIV": operator.truediv}
}


@reads(*_WITH_ACTIVATION)
def with_activation(use: Use) -> Made:
    return _pair(use, _WITH_ACTIVATION[use.operator.kind], activation(use))


@reads("SQUARED_DIFFERENCE")
def squared_difference(use: Use) -> Made:
    return _pair(use, _squared_difference, None)


@reads("ADD_N")
def add_n(use: Use) -> Made:
    values = [use.value(i) for i in range(len(use.inputs))]
    order = values[0].order

    def function(*x: torch.Tensor) -> torch.Tensor:
        return functools.reduce(operator.add, [arranged(t, v.order, order) for t, v in zip(x, values, strict=True)])

    return Made(function, order)


@reads("POW")
def power(use: Use) -> Made:
    exponent = _number(use, 1)
    return Made(lambda x: torch.pow(x, exponent), use.value().order)


@reads("MAXIMUM", "MINIMUM")
def limit(use: Use) -> Made:
    i = 0 if _is_computed(use.inputs[0]) else 1
    bound, of_maximum = _number(use, 1 - i), use.operator.kind == "MAXIMUM"
    return Made(lambda x: x.clamp(min=bound) if of_maximum else x.clamp(max=bound), use.value(i).order)


def _pair(use: Use, function: Pair, act: Function | None) -> Made:
    """The function of both inputs, in the order in which the larger of them is held; either may be a constant."""
    a, b = use.inputs[0], use.inputs[1]
    rank = len(use.made[0])
    if a is not None and a.constant is not None:
        second, (made, left) = use.value(1), _lifted(use.value(1), rank)
        constant = _constant(a.constant, second, made)
        if isinstance(constant, float):
            return Made(lambda y: finished(function(constant, left(y)), act), made)
        return Made(lambda y, operand: finished(function(operand, left(y)), act), made, {"operand": constant})
    first = use.value(0)
    if b is not None and b.constant is not None:
        made, left = _lifted(first, rank)
        constant = _constant(b.constant, first, made)
        if isinstance(constant, float):
            return Made(lambda x: finished(function(left(x), constant), act), made)
        return Made(lambda x, operand: finished(function(left(x), operand), act), made, {"operand": constant})
    second = use.value(1)
    (own, left), (other, right) = _lifted(first, rank), _lifted(second, rank)
    made = own if np.prod(first.shape) >= np.prod(second.shape) else other
    return Made(
        lambda x, y: finished(function(arranged(left(x), own, made), arranged(right(y), other, made)), act), made
    )


def _lifted(value: Value, rank: int) -> tuple[Order, Function]:
    """A value with dimensions of size 1 in front, which the file leaves out: with the batch they stand behind it. Raises Refused."""
    more = rank - value.rank
    if more == 0:
        return value.order, lambda x: x
    if more < 0 or value.order[0] != 0 or value.shape[0] != 1:
        raise Refused(f"a tensor of shape {value.shape} cannot be repeated over {rank} dimensions")

    def function(x: torch.Tensor) -> torch.Tensor:
        x = arranged(x, value.order, natural(value.rank))
        return x.reshape(x.shape[0], *[1] * more, *x.shape[1:])

    return natural(rank), function


def _constant(constant: np.ndarray, value: Value, order: Order) -> torch.Tensor | float:
    if constant.size == 1:
        return float(constant.ravel()[0])
    return spread(constant, order)


def _number(use: Use, i: int) -> float:
    constant = use.constant(i)
    if constant.size == 0 or not (constant == constant.ravel()[0]).all():
        raise Refused("only one number for all elements is supported")
    return float(constant.ravel()[0])


def _is_computed(value: Value | None) -> bool:
    return value is not None and value.constant is None
