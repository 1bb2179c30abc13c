"""`capture`: a torch module becomes a `Graph` by torch.export (torch.fx first, where export cannot read the Python code)."""

from __future__ import annotations

import copy
import operator
import warnings
from pathlib import Path
from typing import Any

import torch

from mico_runner.errors import UsageError
from mico_runner.graph.builder import Builder
from mico_runner.graph.ir import Graph
from mico_runner.graph.lowering import BATCH, LOWERINGS, Call, Refused, bind
from mico_runner.graph.passes import drop_unused, relu_before_max_pool


def capture(module: torch.nn.Module, input_shape: tuple[int, ...], name: str) -> Graph:
    """The graph of `module.eval()` for inputs of one fixed shape.

    Args:
        module: takes one float tensor (N, *input_shape) and returns one tensor (N, ...). It is not changed.
        input_shape: without the batch dimension, e.g. (1, 28, 28).
        name: what the network is called in generated files and reports.

    Batch-norm is folded into the convolution or linear layer before it, dropout and identities vanish, conv1d becomes conv2d of
    height 1. Weighted nodes bear the dotted path of their module ("features.0"; a second call of one module adds "@2").

    Raises:
        UsageError: an operator or a use of one that the IR cannot express; the message starts with the source line.
    """
    module = copy.deepcopy(module).to("cpu", torch.float32).eval()
    program = _export(module, torch.zeros(BATCH, *input_shape), name)
    signature = program.graph_signature
    constants = {**program.state_dict, **program.constants}
    held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    held.update(signature.inputs_to_lifted_tensor_constants)
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        found = f"{len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs"
        raise UsageError(f"network {name!r}: it must take one tensor and return one tensor; found {found}")

    builder = Builder(input_shape, reserved={path for path, _ in module.named_modules()})
    values: dict[str, Any] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            values[node.name] = constants[held[node.name]] if node.name in held else builder.input
        elif node.op == "call_function":
            values[node.name] = _lower(node, values, builder, held)
    output = values[signature.user_outputs[0]]
    if not isinstance(output, str) or output == builder.input:
        raise UsageError(f"network {name!r}: its output does not depend on its input through any operator")
    nodes, shapes = relu_before_max_pool(drop_unused(builder.nodes, output), builder.shapes, output)
    tensors = [builder.input, *(n.output for n in nodes)]
    return Graph(name, builder.input, output, tuple(nodes), {t: shapes[t] for t in tensors})


def _export(module: torch.nn.Module, sample: torch.Tensor, name: str) -> torch.export.ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own deprecations, nothing that a user could act on
        try:
            return torch.export.export(module, (sample,)).run_decompositions({})
        except Exception as first:
            try:
                traced = torch.fx.symbolic_trace(module)
                return torch.export.export(traced, (sample,)).run_decompositions({})
            except Exception:
                reason = (str(first).strip() or type(first).__name__).splitlines()[0]
                raise UsageError(f"network {name!r}: torch.export and torch.fx cannot trace it: {reason}") from first


def _lower(node: torch.fx.Node, values: dict[str, Any], builder: Builder, held: dict[str, str]) -> Any:
    """The value of one call: a tensor's name, a constant tensor, a pending padding, or a list of these."""
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: values[n.name])
    if all(isinstance(values[n.name], torch.Tensor) for n in node.all_input_nodes):
        return node.target(*args, **kwargs)  # arithmetic on weights alone is done once, here
    if node.target is operator.getitem:
        return args[0][args[1]]
    path = _module_path(node) or _weight_path(node, held)
    call = Call(node, builder, path, _source(node), {})
    try:
        if str(node.target) not in LOWERINGS:
            known = ", ".join(sorted({t.split(".")[1].lstrip("_") for t in LOWERINGS}))
            raise Refused(f"the operator is not supported; supported: {known}")
        call.args = bind(node.target, args, kwargs)
        return LOWERINGS[str(node.target)](call)
    except Refused as error:
        where = f"{call.source}: " if call.source else ""
        raise UsageError(f"{where}node {(path or node.name)!r} ({node.target}): {error}") from None


def _module_path(node: torch.fx.Node) -> str:
    """Dotted path of the torch.nn module that made the call; "" for a call in the user's own forward."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    if not stack:
        return ""
    path, kind = stack[-1]
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return path if kind.startswith("torch.nn.") else ""


def _weight_path(node: torch.fx.Node, held: dict[str, str]) -> str:
    """Path of the parameter that a functional convolution or linear layer uses, without ".weight"; else ""."""
    names = [held[n.name] for n in node.all_input_nodes if n.name in held]
    return names[0].removesuffix(".weight").removesuffix(".bias") if names else ""


def _source(node: torch.fx.Node) -> str:
    """ "file.py:line" of the innermost frame outside torch, from the node's stack trace."""
    lines = [s.strip() for s in (node.meta.get("stack_trace") or "").splitlines() if s.strip().startswith('File "')]
    own = [s for s in lines if not s.startswith(f'File "{Path(torch.__file__).parent}')] or lines
    if not own:
        return ""
    path, line = own[-1].split('"')[1], own[-1].split("line ")[1].split(",")[0]
    return f"{Path(path).name}:{line}"
