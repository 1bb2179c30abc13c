"""How operators of ONNX become calls of torch: one function each, found by the operator's name.

    @translates("Gemm", names=("", "weight", "bias"))
    def gemm(node, a, b, c=None): ...

A function takes the node, for its attributes, and its inputs in the file's order; it returns the output, or a tuple of them. It raises
ValueError where it cannot: the message becomes one that names the node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch

from mico_runner.formats.onnx_file.model_file import DEFAULT

Function = Callable[..., Any]

_MODULES = (
    "activations",
    "arithmetic",
    "attention",
    "comparisons",
    "convolutions",
    "matrices",
    "moves",
    "norms",
    "pools",
    "recurrent",
    "reductions",
    "resizing",
)
_found: dict[str, Translation] = {}


@dataclass(frozen=True)
class Translation:
    """One operator.

    Attributes:
        function: makes calls of torch.
        arguments: places of inputs that must be known while the network is read, as axes and shapes.
        computed: those of them that may be computed from the network's input all the same.
        names: of its inputs where they are constant tensors, as parameters are named.
        statistics: places of inputs that are no weights: they become buffers.
        ignored: attributes that change nothing here, or that are read in some cases only; any other that is not read is refused.
    """

    function: Function
    arguments: frozenset[int]
    computed: frozenset[int]
    names: tuple[str, ...]
    statistics: frozenset[int]
    ignored: frozenset[str]


def translates(
    *operators: str,
    arguments: tuple[int, ...] = (),
    computed: tuple[int, ...] = (),
    names: tuple[str, ...] = ("", "weight", "bias"),
    statistics: tuple[int, ...] = (),
    ignored: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """The function translates these operators; those of other domains are written "com.microsoft.Gelu"."""

    def add(function: Function) -> Function:
        for operator in operators:
            _found[operator] = Translation(
                function, frozenset(arguments), frozenset(computed), names, frozenset(statistics), frozenset(ignored)
            )
        return function

    return add


def translation_of(node: Any) -> Translation | None:
    """None: the operator is not supported."""
    for name in _MODULES:
        import_module(f"mico_runner.formats.onnx_file.operators.{name}")
    return _found.get(node.op_type if node.domain in DEFAULT else f"{node.domain}.{node.op_type}")


def translated() -> frozenset[str]:
    """Names of all operators that are supported."""
    for name in _MODULES:
        import_module(f"mico_runner.formats.onnx_file.operators.{name}")
    return frozenset(_found)


def whole(value: np.ndarray | None) -> list[int]:
    """An argument as a list of integers."""
    return [] if value is None else [int(v) for v in np.asarray(value).ravel()]


def number(value: np.ndarray | None, default: float) -> float:
    """An argument of one value."""
    return default if value is None else float(np.asarray(value).ravel()[0])


def axes_of(node: Any, given: np.ndarray | None, rank: int) -> list[int]:
    """Axes, from an input or, in older opsets, an attribute, as indices from the front."""
    axes = whole(given) if given is not None else [int(a) for a in node.get("axes") or ()]
    return [within(axis, rank) for axis in axes]


def within(axis: int, rank: int) -> int:
    """An axis that may count from the back as one from the front. Raises ValueError: there is no such axis."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor of {rank} dimensions")
    return axis % rank


def refuse_more_outputs(node: Any, most: int = 1) -> None:
    """Raises ValueError: outputs are used that are not computed."""
    if any(node.outputs[most:]):
        raise ValueError(f"only the first {most} of its {len(node.outputs)} outputs are supported")


def tensor_like(value: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """A constant that is made while the network is read."""
    return torch.from_numpy(np.ascontiguousarray(value)).to(like.dtype)
