"""The pages of the documentation that say what the code says: `make docs-tables` writes them, a test compares them."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner import ops, paths
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file.dequantise import TRANSLATED_INT8
from mico_runner.formats.onnx_file.translation import translated
from mico_runner.ops.base import Operator
from mico_runner.targets.one_kernel import single_layer

REFERENCE = Path(__file__).parent / "reference"
PACKAGES = ("quant", "graph", "ops", "codegen", "proxy", "search")
NOTE = "Generated from the code by `make docs-tables`."
OPERATORS = f"""# Operators

{NOTE} An operator is one file in `mico_runner/ops/`, or
[one of your own](../tutorial/04-own-operator.md). *Calls* are those of `torch.export`, without `aten.`, that it takes;
[graph.md](graph.md) says more of what is captured. *Kernel* is the kind of row that it has in a [profile](data.md), or
why profiles have none of it.

| operator | computes | calls | kernel |
|---|---|---|---|
"""


ONNX = f"""# ONNX files

{NOTE} A file of opset 7 or later is read by
`mico_runner.formats.onnx_file.read` (`pip install 'mico-runner[onnx]'`).
Nothing in it is executed. What depends on no input is computed while the file is read, by any operator of ONNX; so are
shapes and what follows from them. An operator that cannot be expressed is named with its node, all of them at once.

- The batch is the first dimension of an input: left free, or 1. A file that was exported for one sample is read for any
  number of them: sizes of one sample in reshapes become those of the batch, and two samples at once must give what the
  file gives for each. All other sizes are fixed.
- Floats of any width become float32. An input of whole numbers of 32 or 64 bits is read by `Gather` from a constant
  matrix, as embeddings are.
- `LSTM`, `GRU` and `RNN` are written out step by step.
- An `If` must have a constant condition. Functions are written out.
- Weights in other files must lie in the folder of the file.
- Some operators are single again where exporters write them out: GELU, SiLU, hard swish, Mish, layer norm.

## Operators
Those of other domains have the domain in front. One that is here may still be refused where a use of it has no integer
kernel; the message says which and why.

{{translated}}

## int8 files
Weights and biases are dequantised. Activations stay the values that their integers stand for: a pair of
`QuantizeLinear` and `DequantizeLinear` does nothing, but for a ReLU or ReLU6 that a converter has left to the limits of
an integer type.

{{int8}}
"""


CHOICES = f"""# Which micro-kernel a layer gets

{NOTE} `codegen.policy.KernelPolicy` decides
it, and these are its answers for small cores (`runtime: baremetal`) and some layers: all micro-kernels that hold the
bits, and the cycles that each is estimated to take on VexRiscv Full. The first is chosen.
[kernels.md](../design/kernels.md#which-micro-kernel-a-layer-gets) says where the estimates come from, and the report of
a run has this table for its own network. The plain kernel `conv2d`, which takes every layer, is left out.

| layer | activations x weights | chosen | cycles | other candidates (cycles) |
|---|---|---|---|---|
"""
LAYERS: dict[str, dict[str, Any]] = {
    "5 x 5, 1 to 6 channels, 28 x 28": {
        "kind": "conv2d",
        "in_channels": 1,
        "out_channels": 6,
        "in_h": 32,
        "kernel_h": 5,
    },
    "5 x 5, 6 to 16 channels, 10 x 10": {
        "kind": "conv2d",
        "in_channels": 6,
        "out_channels": 16,
        "in_h": 14,
        "kernel_h": 5,
    },
    "linear, 400 to 120": {"kind": "linear", "in_channels": 400, "out_channels": 120},
    "linear, 84 to 10": {"kind": "linear", "in_channels": 84, "out_channels": 10},
    "1 x 1, 64 to 64 channels, 12 x 12": {"kind": "conv2d", "in_channels": 64, "out_channels": 64, "in_h": 12},
}
BITS = ((8, 8), (8, 6), (8, 4), (8, 2), (8, 1), (4, 4), (2, 2), (1, 1))


def pages() -> dict[Path, str]:
    """Path -> text of every generated page."""
    api = {REFERENCE / "api" / f"{package}.md": _api_page(package) for package in PACKAGES}
    onnx = ONNX.format(translated=_listed(translated()), int8=_listed(TRANSLATED_INT8))
    operators = OPERATORS + "".join(map(_operator_row, ops.operators()))
    choices = CHOICES + "".join(_choice_row(layer, *bits) for layer in LAYERS for bits in BITS)
    reference = {"operators": operators, "onnx": onnx, "micro-kernels": choices}
    return {**{REFERENCE / f"{name}.md": text for name, text in reference.items()}, **api}


def _choice_row(layer: str, act_bits: int, weight_bits: int) -> str:
    size = LAYERS[layer]
    square = {f"{of}_w": size[f"{of}_h"] for of in ("in", "kernel") if f"{of}_h" in size}
    graph = single_layer(**size, **square, weight_bits=weight_bits, act_bits=act_bits, rng=np.random.default_rng(0))
    (choice,) = lower(graph, KernelPolicy.of("baremetal")).choices
    chosen, *others = [(f"`{c.kernel}`", f"{c.cycles:,.0f}") for c in choice.candidates if c.cycles is not None]
    beside = ", ".join(f"{kernel} ({cycles})" for kernel, cycles in others)
    return _row(layer, f"{act_bits} x {weight_bits}", *chosen, beside)


def _listed(names: frozenset[str]) -> str:
    """In lines of at most 120 characters, as the other pages."""
    return textwrap.fill(
        ", ".join(f"`{name}`" for name in sorted(names)), 120, break_long_words=False, break_on_hyphens=False
    )


def _operator_row(of: Operator) -> str:
    calls = ", ".join(f"`{call}`" for call in of.ATEN) or "made of others"
    kernel = of.NO_KERNEL or " or ".join(f"`{kind}`" for kind in _kinds(of))
    return _row(f"`{of.name}`", ops.OPERATORS.info(of.name).summary, calls, kernel)


def _kinds(of: Operator) -> list[str]:
    """The kinds of rows of an operator's samples; where it has none, of its examples."""
    found = set(of.FAMILIES)
    try:
        for node, shapes in of.samples(np.random.default_rng(0)):
            try:
                found.add(of.row(node, shapes, batch=1)["kind"])
            except UsageError:  # the kernel table has no column for this one
                continue
    except NotImplementedError:
        pass
    return sorted(found)


def _api_page(package: str) -> str:
    """The public functions and classes of a package, read and not imported; the entries of registries have other lists."""
    folder = paths.PACKAGE / package
    text = [f"# `mico_runner.{package}`\n\n{NOTE} The signatures are those of the source.\n"]
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rows = [row for node in tree.body for row in _definition(node)]
        name = ".".join(path.relative_to(paths.PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if rows:
            text.append(f"\n## `{name}`\n\n| | {_cell(_summary(tree))} |\n|---|---|\n{''.join(rows)}")
    return "".join(text)


def _definition(node: ast.stmt) -> list[str]:
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return []
    if any("register" in ast.unparse(decorator) for decorator in node.decorator_list):
        return []
    if isinstance(node, ast.FunctionDef):
        return [_row(f"`{_signature(node.name, node)}`", _summary(node))]
    methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
    made = next((m for m in methods if m.name == "__init__"), None)
    title = _signature(node.name, made) if made else node.name
    rows = [_row(f"`class {title}`", _summary(node))]
    public = [m for m in methods if not m.name.startswith("_") and _summary(m)]
    return rows + [_row(f"`.{_signature(m.name, m)}`", _summary(m)) for m in public]


def _signature(name: str, node: ast.FunctionDef) -> str:
    arguments = ast.unparse(node.args)
    for first in ("self", "cls"):
        arguments = arguments.removeprefix(f"{first}, ") if arguments != first else ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
        return f"{name}{returns}"
    return f"{name}({arguments}){returns}"


def _summary(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(_cell, cells))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
