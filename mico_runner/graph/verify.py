"""Every graph is run beside the module that it came from, on random input: what was captured is what the module computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite

import torch
from torch.fx.node import Argument

from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph, Node
from mico_runner.graph.run import compute, schedule
from mico_runner.graph.trace import Trace, first_line
from mico_runner.ops import by_aten
from mico_runner.ops.capture import BATCH, bind

SEED = 0
LOUD = 10.0  # one of the samples is that much larger, so that limits as those of a ReLU6 are reached
TOLERANCE = 1e-4  # of a tensor's largest value; float32 sums of 10,000 products differ by a tenth of that
ROUNDING = (
    1e-6  # of the sum of magnitudes, where terms cancel: ten times the rounding of the graph's weights to float32
)
MASKS = 1e9  # and above: what leaves out scores of attention, infinity included; nothing is small beside it
NOTHING = 1e-8  # of the largest value that the network has had so far: less than float32 resolves of it


class Differs(UsageError):
    """Graph and module compute different values."""


def drawn_statistics(traced: Trace) -> dict[str, torch.Tensor]:
    """Random values for the parameters and buffers that say nothing before training (`Operator.untrained`), by their path."""
    generator = torch.Generator().manual_seed(SEED)
    drawn: dict[str, torch.Tensor] = {}
    own = dict(
        [*traced.module.named_parameters(remove_duplicate=False), *traced.module.named_buffers(remove_duplicate=False)]
    )
    for node in traced.program.graph.nodes:
        taken = by_aten().get(str(node.target))
        if taken is None or node.op != "call_function":
            continue
        args = bind(node.target, node.args, node.kwargs)
        paths = {key: traced.held.get(getattr(value, "name", "")) for key, value in args.items()}
        known = {key: own[path] for key, path in paths.items() if path in own}
        for key, limits in taken.untrained(known).items():
            drawn.setdefault(str(paths[key]), torch.empty_like(known[key]).uniform_(*limits, generator=generator))
    return drawn


def verify(traced: Trace, instead: Mapping[str, torch.Tensor], graph: Graph, origin: Mapping[str, str]) -> None:
    """Compare each tensor of the graph with what the module computes for it, given the right values of its inputs.

    Args:
        instead: values of parameters and buffers with which the graph was made, where they are not the module's own.
        origin: see `ops.draft.Draft`.

    Raises:
        UsageError: they differ by more than rounding; the message names the first node that does. Or the forward changes a buffer.
    """
    if changed := list(traced.program.graph_signature.buffers_to_mutate.values()):
        reason = "a network must compute the same whenever it is called"
        raise UsageError(f"network {traced.name!r}: its forward changes the buffer {changed[0]!r}; {reason}")
    generator = torch.Generator().manual_seed(SEED)
    inputs = [_drawn(graph, tensor, generator) for tensor in graph.inputs]
    try:
        _check(traced, instead, graph, origin, inputs, torch.float32)
    except Differs as error:  # by rounding, where values cancel: not so in float64
        traced.module.double()
        try:
            _check(
                traced, {path: value.double() for path, value in instead.items()}, graph, origin, inputs, torch.float64
            )
        except Differs:
            raise
        except Exception:  # a module that insists on float32
            raise error from None


def _drawn(graph: Graph, tensor: str, generator: torch.Generator) -> torch.Tensor:
    """Random values for an input, whole numbers where it holds these; one sample more than is traced."""
    shape = (BATCH + 1, *graph.shapes[tensor])
    if tensor in graph.vocabularies:
        return torch.randint(graph.whole[tensor][2] + 1, shape, generator=generator)
    x = torch.randn(shape, generator=generator)
    x[1] *= LOUD
    return x


def _check(
    traced: Trace,
    instead: Mapping[str, torch.Tensor],
    graph: Graph,
    origin: Mapping[str, str],
    inputs: Sequence[torch.Tensor],
    kind: torch.dtype,
) -> None:
    inputs = [x.to(kind) if x.is_floating_point() else x for x in inputs]
    called = _calls(traced, traced.constants | dict(instead), [x[:BATCH] for x in inputs], kind)
    known, wanted = dict[str, torch.Tensor](), set(origin.values())
    values = {tensor: x[:BATCH].to(kind) for tensor, x in zip(graph.inputs, inputs, strict=True)}
    peak = max(_largest(t) for t in values.values())
    for node, spent in schedule(graph):
        read = [values[tensor] for tensor in node.inputs]
        values[node.output] = found = compute(node, read)
        if node.output in origin:
            while origin[node.output] not in known:
                call, value = next(called)
                if call in wanted:
                    known[call] = value if value.is_floating_point() else value.to(kind)
                if isinstance(value, torch.Tensor) and value.is_floating_point() and _largest(value) < MASKS:
                    peak = max(peak, _largest(value))
            right = known.pop(origin[node.output]).reshape(found.shape)
            _compare(node, read, found, right, NOTHING * peak)
            values[node.output] = right
        for tensor in spent:
            del values[tensor]
    _compare_with_module(traced, instead, inputs, [values[tensor] for tensor in graph.outputs])


def _compare_with_module(
    traced: Trace,
    instead: Mapping[str, torch.Tensor],
    inputs: Sequence[torch.Tensor],
    expected: Sequence[torch.Tensor],
) -> None:
    """The module's own forward, with a sample more than was traced, gives the traced outputs for the samples that were.

    And again in a second call, which an attribute that the first one changed would tell apart.
    """
    for _ in range(2):
        try:
            found = traced.run([x.clone() for x in inputs], instead)
        except Exception as error:
            reason = first_line(error)
            raise UsageError(
                f"network {traced.name!r}: its forward fails for {len(inputs[0])} samples of random input: {reason}"
            ) from error
        for one, right in zip(found, expected, strict=True):
            _compare_output(traced, one.to(right.dtype), right, len(inputs[0]))


def _compare_output(traced: Trace, found: torch.Tensor, expected: torch.Tensor, count: int) -> None:
    if len(found) == count:
        found = found[: len(expected)].reshape(expected.shape)
    if found.shape != expected.shape or not _largest(found - expected) <= TOLERANCE * _largest(expected):
        raise Differs(
            f"network {traced.name!r}: the operators that tracing found compute something else than the module itself: its forward"
            " depends on the number of samples, on other samples, on values, or on attributes that change"
        )


def _calls(
    traced: Trace, constants: Mapping[str, torch.Tensor], inputs: Sequence[torch.Tensor], kind: torch.dtype
) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and value of each call of the traced module, in order; values are kept as long as they are read."""
    values: dict[torch.fx.Node, torch.Tensor] = {}
    left = {}
    given = dict(zip(traced.inputs, inputs, strict=True))

    def value_of(argument: Argument) -> Argument:
        if isinstance(argument, torch.fx.Node):
            return values[argument]
        return kind if argument is torch.float32 else argument

    for node in traced.program.graph.nodes:
        if node.op == "placeholder":
            constant = constants[traced.held[node.name]] if node.name in traced.held else given[node.name]
            values[node] = constant.to(kind) if constant.dtype == torch.float32 else constant
        elif node.op == "call_function":
            args, kwargs = torch.fx.node.map_aggregate((node.args, node.kwargs), value_of)
            values[node] = node.target(*args, **kwargs)
            yield node.name, values[node]
        left[node] = len(node.users)
        for used in node.all_input_nodes:
            left[used] -= 1
            if not left[used]:
                del values[used]


def _compare(node: Node, inputs: list[torch.Tensor], found: torch.Tensor, right: torch.Tensor, nothing: float) -> None:
    where = f"{node.source}: " if node.source else ""
    error, scale = _largest(found - right), _largest(right)
    if not isfinite(scale):
        raise UsageError(f"{where}node {node.name!r} ({node.op}): its output is not finite for random input")
    if not error <= max(TOLERANCE * scale, nothing) and not error <= ROUNDING * _magnitude(node, inputs):
        raise Differs(
            f"{where}node {node.name!r} ({node.op}): the graph does not compute what the module does: on random input they differ"
            f" by {error:.3g}, the module's largest value is {scale:.3g}"
        )


def _largest(values: torch.Tensor) -> float:
    """The largest magnitude; NaN where a value is."""
    low, high = values.aminmax()
    return max(-float(low), float(high))


def _magnitude(node: Node, inputs: list[torch.Tensor]) -> float:
    """The largest sum of magnitudes of the terms that a node adds up."""
    weight, bias = (None if a is None else abs(a) for a in (node.weight, node.bias))
    return float(compute(replace(node, weight=weight, bias=bias), [x.abs() for x in inputs]).max())
