"""Weights in files of the user's own, read without running anything that they hold."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from mico_runner.data.files import opened
from mico_runner.errors import UsageError, did_you_mean

_INSIDE = ("state_dict", "model_state_dict", "model")  # where trainers put the weights in a checkpoint
_PREFIXES = ("module.", "_orig_mod.", "model.")  # of torch's DataParallel, torch.compile, Lightning
_SHOWN = 5  # names in a message


def load(model: torch.nn.Module, file: Path) -> None:
    """Give the model the weights in a file; every parameter and buffer must be there, in its shape, and nothing else.

    Raises UsageError: not such a file, or one that does not fit the model; the first names of each kind of difference are listed.
    """
    found, wanted = _state(file), model.state_dict()
    for prefix in _PREFIXES:
        if not found.keys() & wanted.keys() and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
    counters = {
        name for name in wanted if name.endswith("num_batches_tracked")
    }  # of batch norms: only training reads them
    missing = [name for name in wanted if name not in found and name not in counters]
    unknown = [name for name in found if name not in wanted]
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    kinds = [
        f"{name} {_kind(found[name])}"
        for name, value in wanted.items()
        if name in found and value.is_floating_point() and not _is_plain(found[name])
    ]
    problems = [
        f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for names, what in (
            (missing, "missing"),
            (unknown, "that the network lacks"),
            (shapes, "of another shape"),
            (kinds, "that are no floating-point values"),
        )
        if names
    ]
    if problems:
        near = did_you_mean(missing[0], unknown).rstrip(";") if missing and unknown else ""
        raise UsageError(f"{file} does not fit the network; weights {'; weights '.join(problems)}{near}")
    model.load_state_dict(found, strict=False)


def _is_plain(value: torch.Tensor) -> bool:
    """Whether a tensor holds floating-point values as they are: integers would lack the scale that they were quantised with."""
    return value.is_floating_point() and value.layout == torch.strided and not value.is_meta


def _kind(value: torch.Tensor) -> str:
    if value.is_meta:
        return "on the device 'meta'"
    kind = str(value.dtype).removeprefix("torch.")
    return kind if value.layout == torch.strided else f"{kind} ({str(value.layout).removeprefix('torch.')})"


def _state(file: Path) -> dict[str, torch.Tensor]:
    """The tensors in a file by name."""
    if file.suffix == ".safetensors":
        found: object = tensors(file)
    elif file.suffix == ".npz":
        found = _arrays(file)
    else:
        found = _pickled(file)
    for key in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    plain = isinstance(found, Mapping) and all(isinstance(value, torch.Tensor) for value in found.values())
    if not plain or not isinstance(found, Mapping) or not found:
        inside = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise UsageError(
            f"{file}: found {inside[:200] or 'nothing'}; allowed: the tensors of a state_dict by name, alone or under"
            f" {', '.join(_INSIDE)}"
        )
    return {str(name): value for name, value in found.items()}


def tensors(file: Path) -> dict[str, torch.Tensor]:
    """Those of a .safetensors file. Raises UsageError: the package is missing, or the file is not whole."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load as parsed
    except ImportError:
        raise UsageError(f"{file}: reading it needs a package: pip install 'mico-runner[safetensors]'") from None
    with opened(file) as handle:
        try:
            return dict(parsed(handle.read()))
        except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
            raise UsageError(f"{file}: not a complete safetensors file: {error}") from None


def _arrays(file: Path) -> object:
    with opened(file) as handle:
        try:
            with np.load(handle, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(_native(arrays[name])) for name in arrays.files}
        except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise UsageError(f"{file}: not a complete .npz file of plain arrays: {error}") from None


def _native(array: np.ndarray) -> np.ndarray:
    """In the byte order of this machine, the only one that torch knows."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _pickled(file: Path) -> object:
    """What torch.save wrote, tensors and plain containers alone: anything else could run code when it is read."""
    way = "save the weights alone: torch.save(model.state_dict(), 'weights.pt')"
    with opened(file) as handle, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of what it then refuses
        try:
            return torch.load(handle, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise UsageError(
                f"{file}: holds more than weights, which is not read because it could run code; {way}; {_first(error)}"
            ) from None
        except Exception as error:
            if "TorchScript" in str(error):
                raise UsageError(f"{file}: holds a module of torch.jit, which is code; {way}") from None
            raise UsageError(f"{file}: not a complete file of torch.save: {_first(error)}") from None


def _first(error: Exception) -> str:
    """The sentence of torch's message that says what was found."""
    told = re.search(r"(Unsupported|Trying to|Can only)[^.\n]*(\.\w+)*[^.\n]*", str(error))
    lines = [told[0]] if told else str(error).splitlines()
    if not lines or not re.search(r"[a-z] ", lines[0]):  # a number, a key: what unpickling stumbled on
        return f"it begins as none ({type(error).__name__})"
    return lines[0].strip()[:200]
