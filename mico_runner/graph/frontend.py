"""`capture`: a torch module becomes a `Graph`."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph, Node
from mico_runner.graph.refusals import Refusals, located, path_of, source_of
from mico_runner.graph.trace import Trace, trace
from mico_runner.graph.verify import drawn_statistics, verify
from mico_runner.ops import by_aten, operators
from mico_runner.ops import operator as operator_of
from mico_runner.ops.capture import BATCH, OTHER_VALUES, PLACE, BatchPlace, Builder, Call, Refused, bind
from mico_runner.ops.draft import Draft, drop_unused
from mico_runner.ops.whole import UNKNOWN

Shape = tuple[int, ...]


def capture(
    module: torch.nn.Module, input_shape: Shape | tuple[Shape, ...], name: str, whole: tuple[int, ...] = ()
) -> Graph:
    """The graph of `module.eval()` for inputs of one fixed shape.

    Args:
        module: takes float tensors (N, *shape) and returns tensors (N, ...), in whatever it packs them. It is not changed.
        input_shape: without the batch dimension, e.g. (1, 28, 28); where there are several inputs, a tuple of their shapes.
        name: what the network is called in generated files and reports.
        whole: which inputs, counted from 0, hold whole numbers instead (int64), as tokens do.

    A single input is called "input"; several have the names that the module's forward gives them.

    Batch-norm is folded into the convolution or linear layer before it where nothing else reads that layer, else it is a depthwise
    1 x 1 convolution; dropout and identities vanish, conv1d becomes conv2d of height 1. Weighted nodes bear the dotted path of
    their module ("features.0"; a second call of one module adds "@2"). Graph and module are run on random input and must agree;
    torch's global random state stays as it was.

    Raises:
        UsageError: an operator or a use of one that the IR cannot express, the message starts with the source line; weights or
            statistics that are not finite; a graph that computes something else than the module.
    """
    several = [tuple(shape) for shape in input_shape if not isinstance(shape, int)]
    shapes = several or [tuple(size for size in input_shape if isinstance(size, int))]
    sample = tuple(torch.zeros(BATCH, *s, dtype=torch.int64 if i in whole else None) for i, s in enumerate(shapes))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        traced = trace(module, sample, name)
        graph, origin = _lower(traced, traced.constants, sample)
        drawn = drawn_statistics(traced)
        # Batch norms that have seen no data do next to nothing, and hide where they are misplaced.
        checked, origin = _lower(traced, traced.constants | drawn, sample) if drawn else (graph, origin)
        verify(traced, drawn, checked, origin)
    return graph


def _lower(
    traced: Trace, constants: Mapping[str, torch.Tensor], sample: tuple[torch.Tensor, ...]
) -> tuple[Graph, dict[str, str]]:
    """The graph with these values of parameters and buffers, and `Draft.origin`."""
    inputs = {name: name if len(sample) > 1 else "input" for name in traced.inputs}
    shapes = {inputs[name]: tuple(x.shape[1:]) for name, x in zip(inputs, sample, strict=True)}
    builder = Builder(shapes, reserved={*inputs.values(), *(path for path, _ in traced.module.named_modules())})
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    refusals = Refusals(traced)
    outputs = traced.outputs
    for node in traced.program.graph.nodes:
        if node.op == "placeholder":
            values[node.name] = constants[traced.held[node.name]] if node.name in traced.held else inputs[node.name]
        elif node.op == "call_function":
            try:
                values[node.name] = _call(node, values, builder, traced)
            except Refused as error:
                values[node.name] = refusals.stand_in(node, builder, str(error))
            comparable = not (any(node.meta[PLACE]) or OTHER_VALUES in node.meta)
            if isinstance(values[node.name], str) and comparable:
                origin.setdefault(values[node.name], node.name)
        else:  # the output, or a part of a control-flow operator, which no lowering takes
            values[node.name] = None
    refusals.raise_any()
    tensors = [_made(traced, output, values.get(output), builder) for output in outputs]
    if len(set(tensors)) < len(tensors):
        raise UsageError(f"network {traced.name!r}: two of its outputs are the same tensor")
    draft = Draft(builder.nodes, builder.shapes, tensors, origin, builder.whole)
    drop_unused(draft)
    while any(entry.rewrite(draft) for entry in operators()):
        drop_unused(draft)
    for made in draft.nodes:
        if not all(np.isfinite(a).all() for a in (made.weight, made.bias) if a is not None):
            where = f"{made.source}: " if made.source else ""
            raise UsageError(f"{where}node {made.name!r}: its weights or bias, as the graph has them, are not finite")
    known = {t: draft.shapes[t] for t in [*shapes, *(n.output for n in draft.nodes)]}
    given = dict(zip(shapes, sample, strict=True))
    whole: dict[str, tuple[int, int, int]] = {name: UNKNOWN for name, x in given.items() if not x.is_floating_point()}
    whole |= {tensor: found for tensor, found in draft.whole.items() if tensor in known}
    graph = Graph(traced.name, tuple(shapes), tuple(draft.outputs), tuple(draft.nodes), known, whole=whole)
    return replace(graph, vocabularies=_vocabularies(graph, given)), draft.origin


def _made(traced: Trace, output: str, tensor: Any, builder: Builder) -> str:
    """The tensor of an output; raises UsageError where none is made of the input."""
    if last := _moved_batch(traced, output):
        reason = "the network's output must have the batch as its first dimension, and nothing else in it"
        raise UsageError(located(last, traced, reason))
    if not isinstance(tensor, str) or tensor not in builder.producer:
        raise UsageError(f"network {traced.name!r}: its output does not depend on its input through any operator")
    return tensor


def _vocabularies(graph: Graph, sample: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """How many different numbers the readers of each input of whole numbers know; raises UsageError for readers that know none."""
    found = {}
    for tensor in (name for name, x in sample.items() if not x.is_floating_point()):
        readers = _reading(graph, tensor)
        knows = [operator_of(node.op).vocabulary(node) or node.output in graph.whole for node in readers]
        wrong = [node for node, fits in zip(readers, knows, strict=True) if not fits]
        if wrong or not readers:
            what = f"{wrong[0].source}: node {wrong[0].name!r} ({wrong[0].op})" if wrong else "nothing"
            raise UsageError(
                f"network {graph.name!r}: input {tensor!r} of whole numbers: {what} reads it; allowed: embeddings, comparisons"
            )
        found[tensor] = graph.whole[tensor][1] + 1
    return found


def _reading(graph: Graph, tensor: str) -> list[Node]:
    """The nodes that compute with an input, or with elements of it that others move."""
    found: list[Node] = []
    for node in (node for node in graph.consumers(tensor) if operator_of(node.op).READS):
        found += _reading(graph, node.output) if operator_of(node.op).KEEPS_TYPE else [node]
    return found


def _moved_batch(traced: Trace, output: str) -> torch.fx.Node | None:
    """The call that makes the output, where its first dimension is not the batch alone."""
    for node in traced.program.graph.nodes:
        if (
            node.name == output
            and node.op == "call_function"
            and isinstance(value := node.meta.get("val"), torch.Tensor)
        ):
            return node if any(node.meta[PLACE]) or value.shape[:1] != (BATCH,) else None
    return None


def _call(node: torch.fx.Node, values: dict[str, Any], builder: Builder, traced: Trace) -> Any:
    """The value of one call: a tensor's name, a constant tensor, or a list of these. Raises Refused."""
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: values[n.name])
    if node.target is operator.getitem:
        node.meta[PLACE] = node.all_input_nodes[0].meta[PLACE]
        return operator.getitem(*args)
    taken = by_aten()
    known = str(node.target) in taken
    node.meta[PLACE] = BatchPlace()
    try:
        if not known and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise Refused("it draws random numbers; a network must compute the same whenever it is called")
        if callable(node.target) and all(isinstance(values[n.name], torch.Tensor) for n in node.all_input_nodes):
            return node.target(*args, **kwargs)  # arithmetic on weights alone is done once, here
        if not known:
            raise Refused("the operator is not supported; docs/reference/operators.md lists those that are")
        reads = [n for n in node.all_input_nodes if isinstance(values[n.name], str)]
        call = Call(
            node, builder, path_of(node, traced), source_of(node, traced), bind(node.target, args, kwargs), reads
        )
        found = taken[str(node.target)].capture(call)
        node.meta[PLACE] = call.place
        return found
    except (ValueError, TypeError, IndexError) as error:
        raise Refused(f"this use of it cannot be expressed: {error}") from error
