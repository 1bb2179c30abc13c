"""A data set for a task: samples and their targets, split into train, validation and test.

Training and search see train and validation only; test is touched once, for the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mico_runner.tasks.base import Shape, Task

LARGEST = float(np.finfo(np.float32).max)  # of inputs, which are kept as float32


class Stored(Protocol):
    """Samples that are read when they are asked for: a folder of images that memory does not hold."""

    @property
    def shape(self) -> Shape: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __len__(self) -> int: ...

    def read(self, rows: NDArray[np.intp]) -> np.ndarray:
        """Those samples, (rows, ...)."""
        ...


Rows = slice | NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True)
class Chosen:
    """Some samples of those that are stored, in an order."""

    of: Stored
    rows: NDArray[np.intp]

    @property
    def shape(self) -> Shape:
        return (len(self.rows), *self.of.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.of.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: NDArray[np.intp]) -> np.ndarray:
        return self.of.read(self.rows[rows])


@dataclass(frozen=True)
class Split:
    """Samples of one part.

    Attributes:
        inputs: uint8 pixels (N, C, H, W), float32 (N, ...) for data that is not images, or int64 tokens (N, places); or such that are
            read when asked for.
        targets: (N, ...) what the task wants of each sample; for classification int64 (N,) labels.
        scale: what a pixel of full brightness (255) is to the network. Data that is float32 already is not scaled.
        about: further facts of each sample by name, (N,) each, by which it may be held out: who spoke, which take.
        named: the targets are numbers of classes that the data gives by name.
    """

    inputs: np.ndarray | Stored
    targets: np.ndarray
    scale: float = 1.0
    about: Mapping[str, np.ndarray] = field(default_factory=dict)
    named: bool = False

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def input_shape(self) -> Shape:
        return self.inputs.shape[1:]

    def floats(self) -> np.ndarray:
        """float32 inputs of the network; tokens as they are."""
        inputs = self.inputs
        whole = inputs if isinstance(inputs, np.ndarray) else inputs.read(np.arange(len(inputs)))
        return whole.astype(np.float32) / np.float32(255 / self.scale) if whole.dtype == np.uint8 else whole

    def take(self, rows: Rows) -> Split:
        """Some samples, in the order of the rows; those that are stored are not read yet."""
        inputs: np.ndarray | Stored
        if isinstance(self.inputs, np.ndarray):
            inputs = self.inputs[rows]
        else:
            inputs = Chosen(self.inputs, cast("NDArray[np.intp]", np.arange(len(self))[rows]))
        about = {name: values[rows] for name, values in self.about.items()}
        return replace(self, inputs=inputs, targets=self.targets[rows], about=about)

    def joined(self, other: Split) -> Split:
        """These samples, then the other's; stored ones are read. Facts that only one of the two knows are left out."""
        read = [
            part.inputs if isinstance(part.inputs, np.ndarray) else part.inputs.read(np.arange(len(part)))
            for part in (self, other)
        ]
        about = {
            name: np.concatenate([self.about[name], other.about[name]]) for name in self.about if name in other.about
        }
        return replace(
            self, inputs=np.concatenate(read), targets=np.concatenate([self.targets, other.targets]), about=about
        )

    def first(self, count: int) -> Split:
        """The first samples."""
        return self.take(slice(count))

    def parts(self, count: int) -> Iterator[Split]:
        """All samples in order, `count` at a time."""
        for start in range(0, len(self), count):
            yield self.take(slice(start, start + count))


@dataclass(frozen=True)
class DataSet:
    """Attributes: task: what a network learns from it."""

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split

    @property
    def input_shape(self) -> Shape:
        return self.train.input_shape

    @property
    def tokens(self) -> bool:
        """Whether the inputs are whole numbers that stand for something, and no amounts."""
        return self.train.inputs.dtype == np.int64

    @property
    def outputs(self) -> int:
        """Outputs of a network for it: for classification the number of classes."""
        parts = (self.train, self.validation)
        return max(self.task.outputs(part.targets, self.input_shape) for part in parts)
