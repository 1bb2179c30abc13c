"""Functions that exporters write out are one operator again: it becomes one table, or one kernel of rows, instead of many roundings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mico_runner.formats.onnx_file.model_file import DEFAULT, name_of, package
from mico_runner.formats.onnx_file.simplify import Operators

CLOSE = 1e-3  # of a constant: exporters round sqrt(2) and 0.044715 to float16 and less


class _Reader:
    """Who makes a value, and what is known of it."""

    def __init__(self, found: Operators) -> None:
        self.known = found.known
        self.maker = {name: node for node in found.nodes for name in node.output}

    def made_by(self, name: str, kind: str) -> Any | None:
        """The node of this kind that makes a value; None: another one does."""
        node = self.maker.get(name)
        return node if node is not None and node.op_type == kind and node.domain in DEFAULT else None

    def is_number(self, name: str, value: float) -> bool:
        known = self.known.get(name)
        return known is not None and known.size == 1 and abs(float(known.ravel()[0]) - value) <= CLOSE * abs(value)

    def pair(self, node: Any | None, value: float) -> str | None:
        """The other operand of a node that has this constant as one."""
        if node is None:
            return None
        for one, other in ((0, 1), (1, 0)):
            if self.is_number(node.input[one], value):
                return str(node.input[other])
        return None


def whole_functions(found: Operators, outputs: list[str]) -> Operators:
    """The operators with those that a pattern ends replaced, and those before it that nothing else reads left out."""
    reader = _Reader(found)
    nodes = []
    for node in found.nodes:
        instead = next((made for pattern in _PATTERNS if (made := pattern(node, reader)) is not None), None)
        nodes.append(node if instead is None else instead)
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return Operators(kept[::-1], found.known)


def _made(kind: str, inputs: list[str], of: Any, **attributes: Any) -> Any:
    return package().helper.make_node(kind, inputs, list(of.output), name=name_of(of), **attributes)


def _silu(node: Any, reader: _Reader) -> Any | None:
    """x * sigmoid(x)."""
    if node.op_type != "Mul":
        return None
    for x, gate in (node.input, node.input[::-1]):
        made = reader.made_by(gate, "Sigmoid")
        if made is not None and made.input[0] == x:
            return _made("Swish", [x], node)
    return None


def _hardswish(node: Any, reader: _Reader) -> Any | None:
    """x * hardsigmoid(x), whose slope is 1/6; or x * clip(x + 3, 0, 6) / 6."""
    if node.op_type == "Mul":
        for x, gate in (node.input, node.input[::-1]):
            made = reader.made_by(gate, "HardSigmoid")
            alpha = 0.2 if made is None else next((a.f for a in made.attribute if a.name == "alpha"), 0.2)
            if made is not None and made.input[0] == x and abs(alpha - 1 / 6) < CLOSE / 6:
                return _made("HardSwish", [x], node)
    product = reader.made_by(node.input[0], "Mul") if _divides(node, reader, 6.0) else None
    for x, gate in () if product is None else (product.input, product.input[::-1]):
        clip = reader.made_by(gate, "Clip")
        limited = clip is not None and _limits(clip, reader) == (0.0, 6.0)
        if limited and clip is not None and reader.pair(reader.made_by(clip.input[0], "Add"), 3.0) == x:
            return _made("HardSwish", [x], node)
    return None


def _divides(node: Any, reader: _Reader, value: float) -> bool:
    by = node.op_type == "Div" and reader.is_number(node.input[1], value)
    return by or (node.op_type == "Mul" and reader.is_number(node.input[1], 1 / value))


def _limits(clip: Any, reader: _Reader) -> tuple[float, ...]:
    names = [*clip.input[1:]]
    if names and all(name in reader.known for name in names):
        return tuple(float(reader.known[name].ravel()[0]) for name in names)
    return tuple(next((a.f for a in clip.attribute if a.name == key), np.nan) for key in ("min", "max"))


def _mish(node: Any, reader: _Reader) -> Any | None:
    """x * tanh(softplus(x))."""
    if node.op_type != "Mul":
        return None
    for x, gate in (node.input, node.input[::-1]):
        tanh = reader.made_by(gate, "Tanh")
        softplus = None if tanh is None else reader.made_by(tanh.input[0], "Softplus")
        if softplus is not None and softplus.input[0] == x:
            return _made("Mish", [x], node)
    return None


def _gelu(node: Any, reader: _Reader) -> Any | None:
    """0.5 x (1 + erf(x / sqrt(2))), or the tanh form, in whatever order its three factors are multiplied."""
    factors = _factors(node, reader)
    if factors is None:
        return None
    half = [name for name in factors if reader.is_number(name, 0.5)]
    if len(half) != 1:
        return None
    for gate in factors:
        inner = reader.pair(reader.made_by(gate, "Add"), 1.0)
        x = next((name for name in factors if name not in (gate, half[0])), None)
        if inner is None or x is None:
            continue
        erf, tanh = reader.made_by(inner, "Erf"), reader.made_by(inner, "Tanh")
        if erf is not None and _over_root_two(erf.input[0], reader) == x:
            return _made("Gelu", [x], node)
        if tanh is not None and _is_tanh_form(tanh.input[0], x, reader):
            return _made("Gelu", [x], node, approximate="tanh")
    return None


def _factors(node: Any, reader: _Reader) -> list[str] | None:
    """The three factors of a product of a product; None: it is none."""
    if node.op_type != "Mul":
        return None
    for outer, inner in ((0, 1), (1, 0)):
        product = reader.made_by(node.input[inner], "Mul")
        if product is not None:
            found = [str(node.input[outer]), *map(str, product.input)]
            if any(reader.is_number(name, 0.5) for name in found):
                return found
    return None


def _over_root_two(name: str, reader: _Reader) -> str | None:
    divided, times = reader.made_by(name, "Div"), reader.made_by(name, "Mul")
    if divided is not None and reader.is_number(divided.input[1], 2**0.5):
        return str(divided.input[0])
    return reader.pair(times, 0.5**0.5)


def _is_tanh_form(name: str, x: str, reader: _Reader) -> bool:
    """sqrt(2 / pi) (x + 0.044715 x^3)."""
    total = reader.pair(reader.made_by(name, "Mul"), (2 / np.pi) ** 0.5)
    added = None if total is None else reader.made_by(total, "Add")
    if added is None or x not in added.input:
        return False
    other = added.input[1] if added.input[0] == x else added.input[0]
    cube = reader.pair(reader.made_by(other, "Mul"), 0.044715)
    power = None if cube is None else reader.made_by(cube, "Pow")
    if power is not None:
        return bool(power.input[0] == x and reader.is_number(power.input[1], 3.0))
    product = None if cube is None else reader.made_by(cube, "Mul")
    square = (
        None
        if product is None
        else next((m for n in product.input if (m := reader.made_by(n, "Mul")) is not None), None)
    )
    return square is not None and product is not None and x in product.input and list(square.input) == [x, x]


def _layer_norm(node: Any, reader: _Reader) -> Any | None:
    """(x - mean) / sqrt(mean((x - mean)^2) + eps), over the last axis."""
    if node.op_type != "Div":
        return None
    centred, root = reader.made_by(node.input[0], "Sub"), reader.made_by(node.input[1], "Sqrt")
    added = None if root is None else reader.made_by(root.input[0], "Add")
    if centred is None or added is None:
        return None
    eps = next((n for n in added.input if n in reader.known and reader.known[n].size == 1), None)
    variance = next((m for n in added.input if (m := reader.made_by(n, "ReduceMean")) is not None), None)
    mean = reader.made_by(centred.input[1], "ReduceMean")
    if eps is None or variance is None or mean is None or mean.input[0] != centred.input[0]:
        return None
    square = reader.maker.get(variance.input[0])
    same = [reader.made_by(n, "Sub") for n in (square.input[:1] if square is not None else [])]
    squared = square is not None and (
        (square.op_type == "Pow" and reader.is_number(square.input[1], 2.0))
        or (square.op_type == "Mul" and square.input[0] == square.input[1])
    )
    if not squared or not same or same[0] is None or list(same[0].input) != list(centred.input):
        return None
    if not all(_is_last(m, reader) for m in (mean, variance)):
        return None
    return _made(
        "LayerNormalization", [str(centred.input[0])], node, epsilon=float(reader.known[eps].ravel()[0]), axis=-1
    )


def _is_last(mean: Any, reader: _Reader) -> bool:
    """A mean over the last axis that keeps the dimension."""
    attributes = {a.name: a for a in mean.attribute}
    axes = reader.known.get(mean.input[1]) if len(mean.input) > 1 else None
    found = (
        list(attributes["axes"].ints)
        if "axes" in attributes
        else []
        if axes is None
        else [int(a) for a in axes.ravel()]
    )
    return found == [-1] and ("keepdims" not in attributes or attributes["keepdims"].i == 1)


_PATTERNS: tuple[Callable[[Any, _Reader], Any | None], ...] = (_silu, _hardswish, _mish, _gelu, _layer_norm)
