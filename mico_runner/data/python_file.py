"""Data that a Python file of the user's own makes: arrays, or a data set of torch."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner import user_code
from mico_runner.data import decoded, register
from mico_runner.data.dataset import Split
from mico_runner.errors import UsageError

FORMS = "(inputs, targets), (inputs, targets, facts), a data set of torch, or {train: one of these, test: another}"


@register(
    "file",
    own="a file",
    params={
        "entry": {"type": "string", "required": True, "meta": {"help": "the file's function that returns the data"}},
        "params": {"type": "dict", "default": {}, "meta": {"help": "what it is called with"}},
        "reads": {
            "type": "list",
            "schema": {"type": "string", "minlength": 1},
            "default": [],
            "meta": {"help": "files and folders that it reads: when they change, results are computed anew"},
        },
    },
)
def load(
    files: list[Path], entry: str, params: Mapping[str, Any] | None = None, reads: Sequence[str] = ()
) -> tuple[Split, Split | None]:
    """What the entry returns when it is called: see `FORMS`.

    Inputs and targets are arrays, tensors or lists, facts a mapping of names to a value each sample. Samples of a data set of torch are
    pairs of an array (or tensor or number) and a target. All are read once, when it is loaded; where they are more bytes than
    `decoded.HELD_BYTES`, their inputs are read again when a network takes them.

    Args:
        reads: files and folders on which the data depends, which `steps.inputs.data_inputs` looks at; not read here.

    Raises UsageError, with the line of the user's file that fails, or with what it returned instead.
    """
    (path,) = files
    given = params or {}
    call = user_code.shown(entry, given)
    with user_code.running(path, entry) as maker:
        if not callable(maker):
            raise UsageError(f"{path}: {entry!r} is of type {type(maker).__name__}; allowed: a function or class")
        made = user_code.called(path, entry, maker, given)
        return _parts(path, call, made)


def _parts(path: Path, call: str, made: Any) -> tuple[Split, Split | None]:
    if not isinstance(made, Mapping):
        return _split(path, call, made), None
    if set(made) not in ({"train"}, {"train", "test"}):
        found = ", ".join(map(str, made)) or "no keys"
        raise UsageError(f"{path}: {call} returned a dict of {found}; allowed: train, or train and test")
    parts = {name: _split(path, f"{call}[{name!r}]", part) for name, part in made.items()}
    return parts["train"], parts.get("test")


def _split(path: Path, call: str, made: Any) -> Split:
    if isinstance(made, tuple | list):
        if len(made) not in (2, 3):
            raise UsageError(f"{path}: {call} returned {len(made)} values; allowed: {FORMS}")
        inputs, targets = (_array(path, call, what, each) for what, each in zip(_WHAT, made, strict=False))
        facts = made[2] if len(made) == 3 else {}
        if not isinstance(facts, Mapping):
            raise UsageError(f"{path}: {call} returned facts of type {type(facts).__name__}; allowed: a dict")
        about = {str(name): _array(path, call, f"fact {name!r}", values) for name, values in facts.items()}
        count = len(inputs) if inputs.ndim else 0
        for what, values in {"targets": targets, **about}.items():
            if len(values) != count if values.ndim else True:
                found = f"{len(values) if values.ndim else 'no list'} of {what} for {count} inputs"
                raise UsageError(f"{path}: {call} returned {found}; allowed: one each")
        return Split(inputs, targets, about=about)
    if (
        hasattr(made, "__getitem__")
        and hasattr(made, "__len__")
        and not isinstance(made, str | bytes | np.ndarray | Mapping)
    ):
        return _of_dataset(path, call, made)
    raise UsageError(f"{path}: {call} returned {type(made).__name__}; allowed: {FORMS}")


_WHAT = ("inputs", "targets")
_VALUES = "numbers, of one shape each"


def _array(path: Path, call: str, what: str, values: Any) -> np.ndarray:
    """Numbers or text in an array; floats and whole numbers are as they were."""
    try:
        found = np.asarray(_off_torch(values))
    except (ValueError, TypeError, RuntimeError) as error:
        raise UsageError(f"{path}: {call}: its {what} make no array ({error}); allowed: {_VALUES}") from None
    if found.dtype == object and all(isinstance(each, str) for each in found.flat):  # as pandas has text
        found = found.astype(str)
    if found.dtype.kind not in "biufUS":
        raise UsageError(f"{path}: {call}: its {what} are of type {found.dtype}; allowed: {_VALUES}")
    return found


def _off_torch(values: Any) -> Any:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def _of_dataset(path: Path, call: str, made: Any) -> Split:
    with user_code.failing(path, f"len({call})"):
        count = len(made)
    if count == 0:
        raise UsageError(f"{path}: {call} returned a data set without samples; allowed: one or more")
    first = _sample(path, call, made, 0)[0]

    def inputs_of(row: int) -> np.ndarray:
        return _sample(path, call, made, row, first)[0]

    stored = decoded.Decoded(count, first.shape, first.dtype, inputs_of)
    targets = []
    for row in range(count):
        found, target = _sample(path, call, made, row, first)
        stored.keep(row, found)
        targets.append(target)
    return Split(stored, _array(path, call, "targets", targets))


def _sample(
    path: Path, call: str, made: Any, row: int, like: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Input and target of a sample; float32 unless it is uint8. Raises UsageError: it is none, or another shape or type than the first."""
    with user_code.failing(path, f"{call}[{row}]"):
        pair = made[row]
    where = f"{path}: {call}: sample {row}"
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        found = f"{len(pair)} values" if isinstance(pair, tuple | list) else type(pair).__name__
        raise UsageError(f"{where} is {found}; allowed: an input and a target")
    if not (isinstance(pair[0], np.ndarray | numbers.Number) or hasattr(pair[0], "detach")):
        raise UsageError(f"{where} has an input of type {type(pair[0]).__name__}; allowed: an array or a tensor")
    value, target = (np.asarray(_off_torch(each)) for each in pair)
    if value.dtype != np.uint8:
        if not np.issubdtype(value.dtype, np.floating):
            raise UsageError(f"{where} has an input of type {value.dtype}; allowed: uint8 (pixels 0..255), or floats")
        with np.errstate(over="ignore"):  # is infinite then, and refused
            value = value.astype(np.float32)
        if not np.isfinite(value).all():
            raise UsageError(f"{where} has an input that is not finite; allowed: finite numbers")
    if like is not None and (value.shape, value.dtype) != (like.shape, like.dtype):
        raise UsageError(
            f"{where} has an input {value.shape} of {value.dtype}; allowed: {like.shape} of {like.dtype}, as the first"
        )
    return value, target
