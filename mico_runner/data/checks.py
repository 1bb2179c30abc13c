"""What every loader's images and labels must be, checked before anything is computed from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mico_runner.errors import UsageError

if TYPE_CHECKING:
    from mico_runner.data.tasks import Split


def checked(name: str, train: Split, test: Split) -> tuple[Split, Split]:
    """The splits of a task with float images as float32 and labels as int64.

    Raises:
        UsageError: naming task, part and row (counted from 0): images that are neither uint8 nor finite floats, labels that are no
            whole number from 0 up, another number of labels than of images, images of two shapes, labels that training never sees.
    """
    train, test = _part(f"{name}: train", train), _part(f"{name}: test", test)
    shape, other = train.images.shape[1:], test.images.shape[1:]
    if shape != other:
        raise UsageError(f"{name}: train images are {_size(shape)}, test images {_size(other)}; allowed: one shape")
    most = int(train.labels.max())
    if most >= len(train):
        row = int(train.labels.argmax())
        raise UsageError(
            f"{name}: train label {row} is {most}; allowed: below {len(train)}, the number of train images"
        )
    _refuse(f"{name}: test", "label", test.labels > most, test.labels, f"0 to {most}, the labels of the train part")
    return train, test


def _part(where: str, split: Split) -> Split:
    images, labels = np.asarray(split.images), np.asarray(split.labels)
    if len(images) == 0 or labels.shape != images.shape[:1]:
        raise UsageError(
            f"{where}: images {_size(images.shape)}, labels {_size(labels.shape)}; allowed: one label per image, one or more"
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise UsageError(f"{where}: images of type {images.dtype}; allowed: uint8 (pixels 0..255), or floats")
    if images.dtype != np.uint8:
        with np.errstate(over="ignore"):  # is infinite then, and refused
            images = images.astype(np.float32, copy=False)
        wrong = ~np.isfinite(images)
        _refuse(where, "image", wrong.reshape(len(images), -1).any(1), None, "finite numbers")
    if not np.issubdtype(labels.dtype, np.integer):
        if not np.issubdtype(labels.dtype, np.floating):
            raise UsageError(f"{where}: labels of type {labels.dtype}; allowed: whole numbers")
        _refuse(where, "label", ~np.isfinite(labels) | (labels != np.rint(labels)), labels, "whole numbers")
    _refuse(where, "label", labels < 0, labels, "0 or more")
    return replace(split, images=images, labels=labels.astype(np.int64))


def _refuse(where: str, what: str, wrong: np.ndarray, values: np.ndarray | None, allowed: str) -> None:
    if wrong.any():
        row, more = int(wrong.argmax()), int(wrong.sum()) - 1
        found = "not finite" if values is None else f"{values[row]}"
        others = f" (and {more} others)" if more else ""
        raise UsageError(f"{where} {what} {row} is {found}{others}; allowed: {allowed}")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
