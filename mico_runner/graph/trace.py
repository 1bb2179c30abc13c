"""A torch module as a list of ATen calls: torch.export first, torch.fx where export cannot read the Python code."""

from __future__ import annotations

import copy
import io
import logging
import os
import sysconfig
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from mico_runner.errors import UsageError
from mico_runner.ops import operators

# Calls that are captured as the calls they consist of; recurrent layers are unrolled over the length of their sequence.
_DEFAULT = (
    *(
        "lstm_cell",
        "gru_cell",
        "rnn_tanh_cell",
        "rnn_relu_cell",
        "einsum",
        "baddbmm",
        "inner",
        "tensordot",
        "addcdiv",
        "mv",
        "kron",
    ),
    *(
        "absolute",
        "negative",
        "clip",
        "concat",
        "concatenate",
        "hstack",
        "vstack",
        "dstack",
        "column_stack",
        "tile",
        "tril",
        "triu",
    ),
    *("rot90", "channel_shuffle", "native_channel_shuffle", "diag_embed", "_safe_softmax", "select_scatter"),
)
_OF_TENSOR_OR_NUMBER = ("multiply", "divide", "subtract", "true_divide", "masked_fill", "lerp", "fill")
_INTERPOLATIONS = ("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "upsample_linear1d")
TAKEN_APART = (
    *((name, "input") for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")),
    *((name, "default") for name in _DEFAULT),
    *((name, kind) for name in _OF_TENSOR_OR_NUMBER for kind in ("Tensor", "Scalar")),
    *((name, kind) for name in _INTERPOLATIONS for kind in ("vec", "default")),
    *((name, kind) for name in ("std", "var", "std_mean", "var_mean") for kind in ("default", "dim")),
    *((name, "correction") for name in ("std", "std_mean")),
    *(("where", kind) for kind in ("Scalar", "ScalarOther", "ScalarSelf")),
    *(("norm", kind) for kind in ("ScalarOpt_dim", "Scalar")),
    *((name, "other") for name in ("max", "min")),
    *(("frobenius_norm", "dim"), ("repeat_interleave", "self_int"), ("rsub", "Tensor"), ("_unsafe_index", "Tensor")),
)
_TORCH = os.path.dirname(torch.__file__) + os.sep
_PYTHON = sysconfig.get_path("stdlib") + os.sep


@dataclass(frozen=True)
class Trace:
    """A module and what torch.export made of it.

    Attributes:
        module: float32, in eval mode; nobody else's.
    """

    name: str
    module: torch.nn.Module
    program: torch.export.ExportedProgram

    @cached_property
    def held(self) -> dict[str, str]:
        """Placeholder of the program -> path of the parameter, buffer or constant that it stands for."""
        signature = self.program.graph_signature
        held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        return {**held, **signature.inputs_to_lifted_tensor_constants}

    @cached_property
    def constants(self) -> dict[str, torch.Tensor]:
        """Path -> value of every parameter, buffer and constant."""
        return {**self.program.state_dict, **self.program.constants}

    @property
    def inputs(self) -> list[str]:
        """Placeholders of what the module is called with."""
        return list(self.program.graph_signature.user_inputs)

    @property
    def outputs(self) -> list[str]:
        """The calls that make what the module returns, in order, whatever it packs them in.

        Raises UsageError: something else than different tensors, or nothing.
        """
        found = list(self.program.graph_signature.user_outputs)
        if not found or not all(isinstance(name, str) for name in found) or len(set(found)) < len(found):
            raise UsageError(f"network {self.name!r}: it must return different tensors; found {found}")
        return found

    def run(self, inputs: Sequence[torch.Tensor], instead: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        """The module's own outputs, with other values for some parameters and buffers."""
        result = torch.func.functional_call(self.module, dict(instead), tuple(inputs))
        outputs: list[torch.Tensor] = torch.utils._pytree.tree_leaves(result)
        return outputs


def trace(module: torch.nn.Module, sample: tuple[torch.Tensor, ...], name: str) -> Trace:
    """Trace a copy of `module` in eval mode.

    Raises:
        UsageError: it cannot be copied or traced, or it uses a parameter that has NaN or infinity in it.
    """
    module = _copy(module, name).to("cpu", torch.float32).eval()
    found = Trace(name, module, _export(module, sample, name))
    signature = found.program.graph_signature
    for node in found.program.graph.nodes:
        path = found.held.get(node.name)
        if path is not None and node.users:
            _check_finite(path, found.constants[path], name, path in signature.inputs_to_parameters.values())
    return found


def _copy(module: torch.nn.Module, name: str) -> torch.nn.Module:
    """A deep copy. Weights that hooks compute before each call (pruning, weight norm) are no leaves, which torch cannot copy."""
    computed = [
        value
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    ]
    try:
        return copy.deepcopy(module, {id(value): value.detach().clone() for value in computed})
    except Exception as error:
        raise UsageError(f"network {name!r}: the module cannot be copied: {first_line(error)}") from error


def _export(module: torch.nn.Module, sample: tuple[torch.Tensor, ...], name: str) -> torch.export.ExportedProgram:
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # torch's own deprecations, nothing that a user could act on
        try:
            return _decomposed(module, sample)
        except (Exception, SystemExit) as first:
            try:
                return _decomposed(_symbolic(module), sample)
            except (Exception, SystemExit):
                raise UsageError(
                    f"{_own_line(first)}network {name!r}: torch.export and torch.fx cannot trace it: {_reason(first)}"
                ) from first


def _symbolic(module: torch.nn.Module) -> torch.nn.Module:
    """The graph that torch.fx finds, with what the module's own hooks do to its inputs, which torch.fx leaves out."""
    found = torch.fx.symbolic_trace(module)
    for name, value in module.named_buffers(recurse=False):
        if not hasattr(found, name):
            found.register_buffer(name, value)
    found._forward_pre_hooks.update(module._forward_pre_hooks)
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, GuardOnDataDependentSymNode):
        return (
            "its forward asks for the value of a tensor, to branch or to make a number of it; one graph must hold for all values:"
            " torch.where chooses between tensors, and arithmetic on tensors needs no .item()"
        )
    return first_line(error)


def _own_line(error: BaseException) -> str:
    """ "file.py:line: " of the innermost code that is neither torch's nor Python's own, below a call of torch; "" without any."""
    place, trace = "", error.__traceback__
    within = False
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(_TORCH):
            within = True
        elif within and os.path.isfile(file) and not (file.startswith(_PYTHON) and "site-packages" not in file):
            place = f"{os.path.basename(file)}:{trace.tb_lineno}: "
        trace = trace.tb_next
    return place


def _decomposed(module: torch.nn.Module, sample: tuple[torch.Tensor, ...]) -> torch.export.ExportedProgram:
    with _masks_as_given():
        program: torch.export.ExportedProgram = torch.export.export(module, sample).run_decompositions(_taken_apart())
    return program


@contextmanager
def _masks_as_given() -> Iterator[None]:
    """torch's transformers take a mask as the one it is.

    Where a caller does not say whether it is causal they compare its values, which tracing cannot, to choose a kernel: of one meaning.
    """
    layers = torch.nn.modules.transformer
    before = layers._detect_is_causal_mask
    layers._detect_is_causal_mask = lambda mask, is_causal=None, size=None: bool(is_causal)
    try:
        yield
    finally:
        layers._detect_is_causal_mask = before


@cache
def _taken_apart() -> dict[torch._ops.OperatorBase, Callable[..., Any]]:
    known, aten = torch.export.default_decompositions(), torch.ops.aten
    found = {call: known[call] for call in (getattr(getattr(aten, name), kind) for name, kind in TAKEN_APART)}
    for call, parts in (item for entry in operators() for item in entry.APART.items()):
        name, kind = call.split(".")
        found[getattr(getattr(aten, name), kind)] = parts
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing on stderr: torch logs and prints pages about a module that it cannot trace, where one error is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def first_line(error: BaseException) -> str:
    """Of its message; its type where it has none."""
    if isinstance(error, SystemExit):  # whose message is a number
        return f"SystemExit: {error}"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _check_finite(path: str, value: torch.Tensor, name: str, learned: bool) -> None:
    """Minus infinity is left to the operators in matrices that are no parameters: masks of attention have it."""
    if value.numel() and value.is_floating_point() and not torch.isfinite(torch.stack(value.aminmax())).all():
        masks = value.ndim > 1 and not learned
        bad = ~torch.isfinite(value) & ((value != -torch.inf) if masks else True)
        if not bad.any():
            return
        first = tuple(bad.nonzero()[0].tolist())
        raise UsageError(
            f"network {name!r}: {path!r} is not finite: {int(bad.sum())} of {value.numel()} values are NaN or infinite,"
            f" the first is {value[first].item()} at {list(first)}"
        )
