"""Operators whose inputs are all known are computed by the package onnx's own reference implementation, in numpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.model_file import DEFAULT, array, package

# They make another value in every call.
RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
)
MOST_ELEMENTS = 1 << 28  # of a computed constant: a gigabyte of float32


def can_compute(node: Any) -> bool:
    """Whether a node is a function of its inputs alone that onnx's reference knows."""
    has_graph = any(a.HasField("g") or a.graphs for a in node.attribute)
    return node.domain in DEFAULT and node.op_type not in RANDOM and not has_graph


def compute(node: Any, inputs: Sequence[np.ndarray | None], opset: int, where: str) -> list[np.ndarray]:
    """The outputs of a node for these inputs, None for one that is left out. Raises UsageError: it cannot be computed."""
    if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
        return [array(node.attribute[0].t, where)]
    if _elements(node, inputs) > MOST_ELEMENTS:
        raise UsageError(f"{where}: a constant of more than {MOST_ELEMENTS} values; the file is damaged")
    feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if value is not None and name}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            evaluator = package().reference.ReferenceEvaluator(node, opsets={"": opset})
            found = evaluator.run(None, feeds)
    except Exception as error:  # whatever numpy and the reference raise for values that do not fit
        raise UsageError(f"{where}: its constant cannot be computed: {_line(error)}") from error
    return [np.asarray(value) for value in found]


def _elements(node: Any, inputs: Sequence[np.ndarray | None]) -> int:
    """How many values the operators make that can make many of few."""
    first, second = [*inputs, None, None][:2]
    if node.op_type == "ConstantOfShape" and first is not None:
        return prod(int(n) for n in first.ravel())
    if node.op_type == "Expand" and second is not None:
        return prod(int(n) for n in second.ravel())
    if node.op_type == "Tile" and first is not None and second is not None:
        return first.size * prod(int(n) for n in second.ravel())
    if node.op_type == "Range" and all(value is not None and value.size == 1 for value in inputs):
        start, limit, delta = (float(value.ravel()[0]) for value in inputs if value is not None)
        return int(abs(limit - start) / abs(delta)) if delta else 0
    return 0


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
