"""Tasks: labelled images, split into train, validation and test.

Training and search see train and validation only; test is touched once, for the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mico_runner.data import LOADERS, catalog
from mico_runner.data.checks import checked
from mico_runner.errors import UsageError


@dataclass(frozen=True)
class Pixels:
    """How pixels become inputs: (pixel / 255 * scale - mean) / std, mean and std per channel or one for all.

    Data that is float32 already is not scaled.
    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def floats(self, images: np.ndarray) -> np.ndarray:
        """float32 inputs (N, C, ...) of uint8 pixels or float32 data of that shape."""
        found = images.astype(np.float32) / np.float32(255 / self.scale) if images.dtype == np.uint8 else images
        for values, apply in ((self.mean, np.subtract), (self.std, np.divide)):
            if any(value != (0.0 if apply is np.subtract else 1.0) for value in values):
                found = apply(found, np.array(values, np.float32).reshape(-1, *[1] * (images.ndim - 2)))
        return found


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, C, H, W), or float32 for data that is not images, and labels int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray
    pixels: Pixels = Pixels()

    def __len__(self) -> int:
        return len(self.labels)

    def floats(self) -> np.ndarray:
        """float32 inputs of the network."""
        return self.pixels.floats(self.images)

    def first(self, count: int) -> Split:
        """The first samples."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def parts(self, count: int) -> Iterator[Split]:
        """All samples in order, `count` at a time."""
        for start in range(0, len(self), count):
            at = slice(start, start + count)
            yield replace(self, images=self.images[at], labels=self.labels[at])


@dataclass(frozen=True)
class Task:
    name: str
    classes: int
    train: Split
    validation: Split
    test: Split

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.train.images.shape[1:]


def load_task(name: str, validation: int | None = None, seed: int = 0, pixels: Pixels = Pixels()) -> Task:
    """Load a data set of kind `task` from the catalog and hold `validation` images (default: a tenth) out of its training part.

    The held-out images are drawn at random with `seed`, the same number from each class as far as that divides.
    Raises UnknownName, or UsageError when the files are missing, damaged, hold what is no image or label (`checked`), or `validation`
    leaves nothing to train on.
    """
    entry = catalog.entry(name)
    train, test = checked(name, *LOADERS.get(entry.loader)(catalog.fetch(name), **entry.loader_params))
    count = len(train) // 10 if validation is None else validation
    if not 0 < count < len(train):
        raise UsageError(f"datasets.validation: {count} images of {name!r} asked for; allowed: 1 to {len(train) - 1}")
    held = stratified(train.labels, count, np.random.default_rng(seed))
    _check_channels(name, train.images, pixels)
    return Task(
        name=name,
        classes=int(train.labels.max()) + 1,
        train=Split(train.images[~held], train.labels[~held], pixels),
        validation=Split(train.images[held], train.labels[held], pixels),
        test=replace(test, pixels=pixels),
    )


def _check_channels(name: str, images: np.ndarray, pixels: Pixels) -> None:
    for key, values in (("mean", pixels.mean), ("std", pixels.std)):
        if len(values) not in (1, images.shape[1]):
            allowed = " or ".join(str(count) for count in sorted({1, images.shape[1]}))
            raise UsageError(
                f"datasets.{key}: found {len(values)} values; allowed: {allowed}, one per channel of {name!r}"
            )
    if pixels.scale != 1 and images.dtype != np.uint8:
        raise UsageError(f"datasets.scale: found {pixels.scale:g}; allowed: 1, because {name!r} holds no pixels")


def stratified(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Boolean mask of `count` samples, spread evenly over the classes: the k-th of each class before the (k+1)-th of any."""
    order = rng.permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    mask = np.zeros(len(labels), dtype=bool)
    mask[order[np.argsort(rank[order], kind="stable")[:count]]] = True
    return mask
