"""A network in a Python file of the user's own.

    model: {file: nets/kws.py, entry: KWS, params: {width: 0.5}}

See `user_code` for how the file is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner import user_code
from mico_runner.errors import UsageError

if TYPE_CHECKING:
    import torch


def build(file: Path, entry: str, params: Mapping[str, object]) -> torch.nn.Module:
    """Run the file and call its entry, a class or a function, with the parameters.

    Returns the module, float32, inside what torch.compile or DataParallel wraps around one.

    Raises UsageError, with the line of the user's own code at which it fails, or what was returned instead of a module.
    """
    import torch

    with user_code.running(file, entry) as maker:
        if isinstance(maker, torch.nn.Module):
            raise UsageError(
                f"{file}: {entry!r} is a module; allowed: a class or a function that makes one when it is called"
            )
        made = user_code.called(file, entry, maker, params)
    call = f"{file}: {user_code.shown(entry, params)}"
    if not isinstance(made, torch.nn.Module):
        raise UsageError(f"{call} returned {type(made).__name__}; allowed: a torch.nn.Module")
    return _plain(made, call)


def _plain(made: torch.nn.Module, call: str) -> torch.nn.Module:
    """The module that can be captured and takes weights. Raises UsageError: there is none, or it has parameters without values."""
    import torch
    from torch.nn.parameter import is_lazy

    if isinstance(inner := getattr(made, "_orig_mod", None), torch.nn.Module):  # of torch.compile
        return _plain(inner, call)
    if isinstance(made, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return _plain(made.module, call)
    if isinstance(made, torch.jit.ScriptModule):
        raise UsageError(f"{call} returned a module of torch.jit; allowed: the torch.nn.Module that it was made from")
    held = (*made.named_parameters(), *made.named_buffers())
    empty = [name for name, value in held if is_lazy(value) or value.is_meta]
    if empty:
        raise UsageError(
            f"{call} returned a module whose {empty[0]!r} has no values; allowed: parameters and buffers on the CPU; a lazy layer"
            " has them after a first call, one on torch's device 'meta' after .to_empty(device='cpu')"
        )
    return made.float()
