"""Operators: what is deployed is what is meant, on every way from torch to C."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import torch

from mico_runner import codegen
from mico_runner.codegen import description, emit
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph, Node
from mico_runner.kernel_table import kernel_table
from mico_runner.ops import OPERATORS, operator, operators
from mico_runner.ops.base import Operator, Shapes
from mico_runner.ops.families import FAMILIES
from mico_runner.ops.node import INPUT_BITS, QNode, QType
from mico_runner.quant import reference
from mico_runner.quant.executor import Executor
from mico_runner.quant.ptq import PTQ
from mico_runner.quant.qgraph import LayerBits, QGraph
from mico_runner.targets import qemu
from mico_runner.targets.host_kernels import build_networks, run_networks

IMAGES = 8
BITS = ((8, 8), (1, 1), (1.5, 3), (2, 2), (4, 8), (5, 6))  # weight, activation: of weighted operators
_ARRAY = re.compile(r"^(?:MICO_CONSTANT\(\w+\) )?const u?int(\d+)_t \w+\[(\d+)\]", re.MULTILINE)
ROUNDING = 0.02  # steps of the output: multipliers have 21 significant bits
WIDE_ROUNDING = (
    0.1  # where inputs have 16 bits: the last bits of factors, and of means of rows, count 2^8 times as much
)
WIDEST_ROUNDING = 0.5  # .. and outputs, too: a constant term of 15 bits leaves factors 15 behind the point


def check_operator(
    name: str, folder: Path, seed: int = 0, boards: tuple[str, ...] = (), bits: Sequence[tuple[float, int]] = BITS
) -> None:
    """Try an operator on its own `samples`, quantised by the project's quantiser.

    - No other operator takes its calls; it has a summary, attributes as it says, and a row of the kernel table or a reason for having none.
    - Float: the shape is as stated and samples of a batch do not mix.
    - Integer: within its bound (`BOUND`, `BOUND_READ`) of the float result on the same inputs, and in the range of its type.
    - Fast = integer, element for element; C = integer on the host under sanitizers, with and without tiled kernels, and on `boards`.
    - The same where it reads 16 bits (`WIDE`), or keeps them as it keeps any type.
    - Flash: the bytes counted are those of the arrays in the generated C.

    Args:
        folder: for the programs.
        bits: of weights and activations, that are tried where it has weights; the first pair where it has none.
        boards: machines of `simulate.qemu` ("rv32", "cortex-m3"), whose tools must be there.

    Raises:
        AssertionError: what does not hold, and for which sample.
        StepSkipped: a compiler or QEMU is missing.
    """
    entry, of = OPERATORS.info(name), operator(name)
    assert entry.summary, f"operator {name!r}: its docstring says nothing"
    for other in operators():
        shared = set(other.ATEN) & set(of.ATEN) if other is not of else ()
        assert not shared, f"operator {name!r}: {other.name!r} takes {', '.join(sorted(shared))}, too"
    rng = np.random.default_rng(seed)
    ways = (False, True) if of.WIDE or of.KEEPS_TYPE else (False,)
    samples = [(*sample, wide) for sample in of.samples(rng) for wide in ways]
    cases = [case for node, shapes, wide in samples for case in _cases(of, node, shapes, wide, rng, bits)]
    assert cases, f"operator {name!r}: no samples"
    _check_c(cases, folder, boards)


def _cases(
    of: Operator,
    node: Node,
    shapes: Shapes,
    wide: bool,
    rng: np.random.Generator,
    pairs: Sequence[tuple[float, int]],
) -> list[tuple[QGraph, np.ndarray]]:
    """Integer networks of one sample, at several bits where it has weights, with integer inputs; checked as far as Python goes."""
    where = f"operator {of.name!r}, sample {dict(shapes)}, {node.attrs}{', inputs of 16 bits' if wide else ''}"
    assert set(node.attrs) == set(of.ATTRS), f"{where}: attributes {set(node.attrs)}, stated {of.ATTRS}"
    _check_row(of, node, shapes, where)
    graph = _widened(node, shapes, rng) if wide else _network(node, shapes)
    images: np.ndarray = rng.normal(size=(IMAGES, *graph.shapes[graph.input])).astype(np.float32)
    if count := of.vocabulary(node):
        graph = replace(graph, vocabularies={graph.input: count})
        images = rng.integers(0, count, images.shape).astype(np.float32)
    _check_real(of, node, shapes, rng, where)
    ptq = PTQ(graph, images)
    if wide:
        ptq.wide = frozenset(node.inputs)
    cases = []
    for bits in pairs if node.weight is not None else pairs[:1]:
        qgraph = ptq.quantize({n.name: LayerBits(*bits) for n in graph.weighted})
        start = qgraph.tensors[qgraph.input]
        inputs = np.concatenate(
            [
                reference.quantize_input(qgraph, images),
                rng.integers(start.type.qmin, start.type.qmax + 1, (IMAGES, *start.shape)),
                *(np.full((1, *start.shape), v) for v in (start.type.qmin, start.type.qmax)),
            ]
        )
        values = reference.trace(qgraph, inputs)
        fast = Executor(qgraph).run(inputs)
        assert np.array_equal(fast, values[qgraph.output]), f"{where}, bits {bits}: fast() differs from integer()"
        _check_integers(of, node, qgraph, values, f"{where}, bits {bits}")
        cases.append((qgraph, inputs))
    return cases


def _network(node: Node, shapes: Shapes) -> Graph:
    """The node alone, its inputs parts of the network's one input."""
    sizes = [prod(shapes[tensor]) for tensor in node.inputs]
    if len(sizes) == 1:
        return Graph("sample", node.inputs, (node.output,), (node,), dict(shapes))
    nodes, known, start = [], {"all": (sum(sizes),), **shapes}, 0
    for tensor, size in zip(node.inputs, sizes, strict=True):
        attrs = {"axis": 0, "start": start, "stop": start + size, "step": 1}
        known[f"{tensor}.flat"] = (size,)
        nodes.append(Node(f"{tensor}.flat", "slice", ("all",), f"{tensor}.flat", attrs))
        nodes.append(Node(tensor, "reshape", (f"{tensor}.flat",), tensor, {"shape": shapes[tensor]}))
        start += size
    return Graph("sample", ("all",), (node.output,), (*nodes, node), known)


def _widened(node: Node, shapes: Shapes, rng: np.random.Generator) -> Graph:
    """The same, its inputs multiplied by factors of their own, so that they have values between those of 8 bits."""
    graph = _network(replace(node, inputs=tuple(f"{t}.narrow" for t in node.inputs)), _renamed(node, shapes))
    factors = [
        Node(
            t,
            "affine",
            (f"{t}.narrow",),
            t,
            {"factor": rng.normal(size=shapes[t]), "term": np.float64(0), "below": None},
        )
        for t in node.inputs
    ]
    nodes = (*graph.nodes[:-1], *factors, node)
    return replace(graph, nodes=nodes, shapes={**graph.shapes, **{t: shapes[t] for t in node.inputs}})


def _renamed(node: Node, shapes: Shapes) -> Shapes:
    return {f"{t}.narrow" if t in node.inputs else t: shape for t, shape in shapes.items()}


def _check_row(of: Operator, node: Node, shapes: Shapes, where: str) -> None:
    if of.NO_KERNEL:
        return
    try:
        row = of.row(node, shapes, batch=1)
    except UsageError:  # a reason, too: the kernel table has no column for it
        return
    assert row["kind"] in FAMILIES, f"{where}: kind {row['kind']!r} is no kernel family"
    weighted = FAMILIES[row["kind"]].weighted
    kernel_table([row | {"act_bits": INPUT_BITS, "weight_bits": INPUT_BITS if weighted else 0}])


def _check_real(of: Operator, node: Node, shapes: Shapes, rng: np.random.Generator, where: str) -> None:
    x = [torch.from_numpy(rng.normal(size=(3, *shapes[tensor]))) for tensor in node.inputs]
    found = of.real(node, x)
    assert tuple(found.shape) == (3, *shapes[node.output]), f"{where}: real() gives {tuple(found.shape)}"
    assert found.dtype == torch.float64, f"{where}: real() of float64 gives {found.dtype}"
    alone = torch.cat([of.real(node, [t[i : i + 1] for t in x]) for i in range(3)])
    assert torch.allclose(found, alone), f"{where}: real() mixes the samples of a batch"


def _check_integers(of: Operator, node: Node, qgraph: QGraph, values: dict[str, np.ndarray], where: str) -> None:
    last = next(n for n in qgraph.nodes if n.output == qgraph.output)
    made = qgraph.tensors[last.output].type
    found = values[last.output]
    assert found.min() >= made.qmin and found.max() <= made.qmax, f"{where}: integers outside {made}"
    read = [qgraph.tensors[tensor].type for tensor in last.inputs]
    x = [torch.from_numpy(values[tensor] * t.scale) for tensor, t in zip(last.inputs, read, strict=True)]
    exact = of.real(_dequantised(node, last, read[0]), x).numpy() / made.scale
    error = np.abs(found - exact.clip(made.qmin, made.qmax)).max()
    bound = of.BOUND + of.BOUND_READ * max(t.scale for t in read) / made.scale
    wide = max(t.bits for t in read) > INPUT_BITS
    rounding = (WIDEST_ROUNDING if made.bits > INPUT_BITS else WIDE_ROUNDING) if wide else ROUNDING
    assert error <= bound + rounding, f"{where}: {error:.3g} steps off, its bound is {bound:.3g}"


def _dequantised(node: Node, integer: QNode, read: QType) -> Node:
    """The node with the weights that are deployed."""
    if integer.weight is None or integer.bias is None or integer.weight_scale is None:
        return node
    scale = integer.weight_scale.reshape(-1, *[1] * (integer.weight.ndim - 1))
    return replace(node, weight=integer.weight * scale, bias=integer.bias * integer.weight_scale * read.scale)


def _check_c(cases: list[tuple[QGraph, np.ndarray]], folder: Path, boards: tuple[str, ...]) -> None:
    graphs, inputs = [case[0] for case in cases], [case[1] for case in cases]
    expected = [reference.run(graph, x) for graph, x in cases]
    for graph in graphs:
        program = lower(graph, KernelPolicy())
        counted = sum(description.sections(program).values())
        text = emit.network_files(program, "sample")[f"{program.name}_weights.c"]
        emitted = sum(int(bits) // 8 * int(size) for bits, size in _ARRAY.findall(text))
        assert counted == emitted, f"{graph.name}: flash counted {counted} bytes, emitted {emitted}"
    for runtime in codegen.RUNTIMES:
        binary = build_networks(graphs, folder / runtime, sanitize=True, policy=KernelPolicy.of(runtime))
        _compare(run_networks(binary, inputs), expected, graphs, f"host, kernels of {runtime}")
    for board in boards:
        sources = folder / board
        codegen.generate_networks(_numbered(graphs), sources, KernelPolicy.of("baremetal"))
        found = qemu.run(qemu.build(sources, board), inputs, board)
        _compare([run.outputs for run in found.networks], expected, graphs, board)


def _numbered(graphs: list[QGraph]) -> list[QGraph]:
    return [replace(graph, name=f"network{i}") for i, graph in enumerate(graphs)]


def _compare(found: list[np.ndarray], expected: list[np.ndarray], graphs: list[QGraph], where: str) -> None:
    for graph, a, b in zip(graphs, found, expected, strict=True):
        assert np.array_equal(a, b), f"{where}: C differs from integer() for {[n.op for n in graph.nodes]}"
