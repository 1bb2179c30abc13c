"""Recurrent layers, written out step by step: the length of a sequence is fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import translates, whole

State = tuple[torch.Tensor, ...]  # (batch, hidden) each; the first is what the layer returns
_FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DIRECTIONS = (("forward", (False,)), ("reverse", (True,)), ("bidirectional", (False, True)))
_NAMES = ("", "weight", "recurrent", "bias", "", "initial_h", "initial_c", "peepholes")


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer.

    Attributes:
        recurrent: (gates * hidden, hidden).
        bias: of the recurrent products, (gates * hidden,); None where there is none.
        functions: of the gates, of what is new, and of an LSTM's output, in the order of ONNX.
        peepholes: of an LSTM, (3, hidden): what of the cell the input, output and forget gates see; None: nothing.
        inner: of a GRU: the reset gate multiplies the product of the last output (`linear_before_reset`), not the last output.
    """

    recurrent: torch.Tensor
    bias: torch.Tensor | None
    functions: list[Callable[[torch.Tensor], torch.Tensor]]
    peepholes: torch.Tensor | None
    inner: bool

    def products(self, h: torch.Tensor, gates: slice = slice(None)) -> torch.Tensor:
        return F.linear(h, self.recurrent[gates], None if self.bias is None else self.bias[gates])


def _rnn(read: torch.Tensor, state: State, of: _Direction) -> State:
    return (of.functions[0](read + of.products(state[0])),)


def _lstm(read: torch.Tensor, state: State, of: _Direction) -> State:
    """Gates in the order of ONNX: input, output, forget, cell."""
    f, g, h = of.functions
    i, o, forget, cell = (read + of.products(state[0])).chunk(4, -1)
    if (seen := of.peepholes) is not None:
        i, forget = i + seen[0] * state[1], forget + seen[2] * state[1]
    c = f(forget) * state[1] + f(i) * g(cell)
    o = o if seen is None else o + seen[1] * c
    return f(o) * h(c), c


def _gru(read: torch.Tensor, state: State, of: _Direction) -> State:
    """Gates in the order of ONNX: update, reset, hidden."""
    f, g = of.functions
    size = state[0].shape[-1]
    gates, new = slice(0, 2 * size), slice(2 * size, None)
    z, r = f(read[..., gates] + of.products(state[0], gates)).chunk(2, -1)
    past = r * of.products(state[0], new) if of.inner else of.products(r * state[0], new)
    return ((1 - z) * g(read[..., new] + past) + z * state[0],)


_STEPS: dict[str, Callable[[torch.Tensor, State, _Direction], State]] = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}


@translates("RNN", "GRU", "LSTM", arguments=(4,), names=_NAMES, ignored=("activation_alpha", "activation_beta"))
def recurrent(
    node: OnnxNode,
    x: torch.Tensor,
    weight: torch.Tensor,
    hidden: torch.Tensor,
    bias: torch.Tensor | None = None,
    lengths: np.ndarray | None = None,
    *rest: torch.Tensor | None,
) -> tuple[torch.Tensor, ...]:
    """Every output, the last output and, of an LSTM, the last cell, of each direction.

    `x` is (length, batch, features), outputs (length, directions, batch, hidden) and (directions, batch, hidden); with `layout` 1 the
    batch comes first. `rest` are the first hidden state, the first cell and the peepholes.
    """
    first, first_c, peepholes = (*rest, None, None, None)[:3]
    by_batch = bool(node.get("layout", 0))
    x = x.transpose(0, 1) if by_batch else x
    _refuse(node, len(x), lengths)
    ends = []
    for d, backwards in enumerate(_directions(node)):
        start = tuple(_start(given, d, x, hidden, by_batch) for given in (first, first_c)[: 1 + (node.kind == "LSTM")])
        of_input, of_state = (None, None) if bias is None else bias[d].chunk(2)
        read = F.linear(x, weight[d], of_input)
        seen = None if peepholes is None else peepholes[d].reshape(3, -1)
        inner = bool(node.get("linear_before_reset", 0))
        of = _Direction(hidden[d], of_state, _functions(node, d), seen, inner)
        ends.append(_run(node.kind, read, start, of, backwards))
    every = torch.stack([steps for steps, _ in ends], 1)
    states = [torch.stack(parts) for parts in zip(*(state for _, state in ends), strict=True)]
    if by_batch:
        every, states = every.permute(2, 0, 1, 3), [state.transpose(0, 1) for state in states]
    return (every, *states)


def _run(kind: str, read: torch.Tensor, state: State, of: _Direction, backwards: bool) -> tuple[torch.Tensor, State]:
    """Outputs of all steps (length, batch, hidden) in the order of the sequence, and the state after the last."""
    order = range(len(read))
    found: dict[int, torch.Tensor] = {}
    for t in reversed(order) if backwards else order:
        state = _STEPS[kind](read[t], state, of)
        found[t] = state[0]
    return torch.stack([found[t] for t in order]), state


def _start(given: torch.Tensor | None, d: int, x: torch.Tensor, hidden: torch.Tensor, by_batch: bool) -> torch.Tensor:
    if given is None:
        return torch.zeros(x.shape[1], hidden.shape[-1], dtype=x.dtype)
    of = given.select(1 if by_batch else 0, d)
    return of.expand(x.shape[1], -1)


def _directions(node: OnnxNode) -> tuple[bool, ...]:
    """Whether each runs backwards."""
    named, known = node.get("direction", "forward"), dict(_DIRECTIONS)
    if named not in known:
        raise ValueError(f"direction {named!r}; allowed: {', '.join(known)}")
    return known[named]


def _functions(node: OnnxNode, d: int) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    usual = _DEFAULTS[node.kind]
    named = (node.get("activations") or usual * (d + 1))[d * len(usual) : (d + 1) * len(usual)]
    if unknown := [name for name in named if name not in _FUNCTIONS]:
        raise ValueError(f"activation {unknown[0]!r}; allowed: {', '.join(_FUNCTIONS)}")
    return [_FUNCTIONS[name] for name in named]


def _refuse(node: OnnxNode, length: int, lengths: np.ndarray | None) -> None:
    if lengths is not None and any(n != length for n in whole(lengths)):
        raise ValueError(f"sequences of several lengths {whole(lengths)}; allowed: all of {length} steps")
    for name in ("clip", "input_forget"):
        if node.get(name, 0):
            raise ValueError(f"{name} is not supported")
    node.get("hidden_size")
