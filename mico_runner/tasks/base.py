"""The base of all tasks.

Samples are arrays whose first dimension counts them: `inputs` as the network takes them, `targets` as the task wants them. A network's
outputs are float32 arrays of a sample each, whatever their shape.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NoReturn, Protocol

import numpy as np

from mico_runner.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes

Shape = tuple[int, ...]
LARGEST_WHOLE = 2**31  # of targets: numbers of classes are far below it


@dataclass(frozen=True)
class Measure:
    """What the quality of a network is.

    Attributes:
        name: a word of lower-case letters, part of the names of metrics: "accuracy".
        unit: of the quality; `points`: of differences of two.
        higher: more is better.
        tolerance: by which it may worsen before it counts as worse, whatever the number of samples.
        sample: by which one sample out of n may change it, times n; 0 where that is not bounded.
    """

    name: str
    unit: str
    points: str
    higher: bool
    tolerance: float
    sample: float = 0.0

    @property
    def direction(self) -> str:
        return "higher" if self.higher else "lower"

    def goodness(self, value: float) -> float:
        """The quality, or its negative where less is better: more is always better. It is its own inverse."""
        return value if self.higher else -value

    def drop(self, before: float, after: float) -> float:
        """By how much a quality has worsened."""
        return self.goodness(before) - self.goodness(after)

    def allowed(self, samples: int, counts: int = 1) -> float:
        """By how much a quality on so many samples may worsen before it counts as worse: never less than one sample.

        Args:
            counts: qualities that the figure is made of: 2 for the difference of two.
        """
        hundredths = -int(-100 * self.sample * counts // samples)  # rounded up, so that its last digit is no regression
        return max(self.tolerance, hundredths / 100)

    def standard_error(self, value: float, samples: int) -> float:
        """Of a quality on so many samples: exact where each is right or wrong, a bound where it may be between; 0 where unbounded."""
        return math.sqrt(max(value * (self.sample - value), 0.0) / samples)

    def text(self, value: float) -> str:
        """The quality with its unit."""
        return f"{value:.2f} %" if self.unit == "%" else f"{value:.4g} {self.unit}".rstrip()


class Samples(Protocol):
    """Samples of one part, with the targets that `Task.checked` gave."""

    @property
    def targets(self) -> np.ndarray: ...

    def floats(self) -> np.ndarray:
        """float32 (N, ...) inputs of the network, read or computed by this call."""
        ...


class Task(ABC):
    """What a network is for."""

    MEASURE: ClassVar[Measure]
    AMOUNTS: ClassVar[bool] = False  # targets are amounts: numbers of classes would be learnt as such
    PLACED: ClassVar[bool] = False  # targets belong to places of the input: what moves these would have to move them

    @abstractmethod
    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """The targets of a part of the data in the type that the other methods take.

        Args:
            where: names data set and part, for messages.
            inputs: shape of the inputs, with their number.
            training: of the training part: it may show more of what there is than it is asked to know.

        Raises UsageError: they are none of this task, naming the row (counted from 0), what was found and what is allowed.
        """

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        """Raise UsageError where the targets of the test part are none that the training part prepares for."""
        return

    def check_learnable(self, where: str, targets: np.ndarray) -> None:
        """Raise UsageError: targets, as `checked` gave them, from which nothing can be learnt, or a class of which there is no sample."""
        return

    def learns_from(self, targets: np.ndarray) -> np.ndarray:
        """Mask (N,) of the samples of a training part that training and calibration see."""
        return np.ones(len(targets), bool)

    @abstractmethod
    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        """Outputs, or channels of them, that a network of the zoo is built with."""

    @abstractmethod
    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        """Raise UsageError: a network's output has not the shape (without the batch) that the training part's targets ask for."""

    @abstractmethod
    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """What training makes small, the mean over a batch."""

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """How far a network's outputs are from those of one that it is to be like: mean square, in the teacher's variance."""
        error: torch.Tensor = ((outputs - teacher) ** 2).mean() / teacher.var().clamp_min(1e-12)
        return error

    @abstractmethod
    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """The `MEASURE` of a network's outputs on all samples of a part."""

    def measured_loss(self, outputs: np.ndarray, samples: Samples) -> float:
        """The loss in float64: smooth where the quality is not, it guides the search."""
        import torch

        scores, inputs = (torch.from_numpy(each.astype(np.float64)) for each in (outputs, samples.floats()))
        return float(self.loss(scores, torch.from_numpy(samples.targets), inputs))

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """int64 (N,): what a random part has as the whole has, such as labels; all zeros where there is nothing of the kind."""
        return np.zeros(len(targets), np.int64)

    @abstractmethod
    def knows_nothing(self, targets: np.ndarray) -> float:
        """The best quality that a network reaches which has learnt nothing."""

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame | None:
        """What `draw` shows of a network's outputs; None where there is nothing beyond the quality."""
        return None

    TITLE: ClassVar[str] = ""  # of the figure

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        """Draw what `summary` gave."""
        raise NotImplementedError(f"{type(self).__name__} gives a summary and does not draw it")


def refuse(where: str, what: str, wrong: np.ndarray, values: np.ndarray | None, allowed: str) -> None:
    """Raise UsageError for the first row of the mask `wrong` (N, ...) that has any, with its first wrong value."""
    if wrong.any():
        rows = wrong.reshape(len(wrong), -1).any(axis=1)
        row, more = int(rows.argmax()), int(rows.sum()) - 1
        found = "not finite" if values is None else f"{np.ravel(values[row])[np.argmax(wrong[row])]}"
        others = f" (and {more} others)" if more else ""
        raise UsageError(f"{where} {what} {row} is {found}{others}; allowed: {allowed}")


def refuse_output(shape: Shape, allowed: str) -> NoReturn:
    """Raise UsageError for a network's output of this shape without the batch."""
    found = ", ".join(("N", *map(str, shape)))
    raise UsageError(f"the network returns ({found}); allowed: {allowed}")


def size(shape: Shape) -> str:
    """ "3 x 32 x 32"."""
    return " x ".join(map(str, shape)) or "one number"


def whole_numbers(where: str, what: str, values: np.ndarray) -> np.ndarray:
    """The values as int64. Raises UsageError: one is no whole number, or below 0."""
    if not np.issubdtype(values.dtype, np.integer):
        if not np.issubdtype(values.dtype, np.floating):
            raise UsageError(f"{where}: {what}s of type {values.dtype}; allowed: whole numbers")
        wrong = ~np.isfinite(values) | (values != np.rint(values))
        refuse(where, what, wrong, values, "whole numbers")
    refuse(where, what, values < 0, values, "0 or more")
    refuse(where, what, values >= LARGEST_WHOLE, values, f"below {LARGEST_WHOLE:,}")
    return values.astype(np.int64)


def finite(where: str, what: str, values: np.ndarray) -> np.ndarray:
    """The values as float32. Raises UsageError: they are no numbers, or one is not finite."""
    if not np.issubdtype(values.dtype, np.number) or np.issubdtype(values.dtype, np.complexfloating):
        raise UsageError(f"{where}: {what}s of type {values.dtype}; allowed: numbers")
    with np.errstate(over="ignore"):  # is infinite then, and refused
        found = values.astype(np.float32)
    refuse(where, what, ~np.isfinite(found), None, "finite numbers")
    return found
