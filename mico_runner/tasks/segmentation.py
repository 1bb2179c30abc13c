"""Segmentation: a class for each pixel of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.tasks import register
from mico_runner.tasks.base import Measure, Samples, Shape, Task, refuse, refuse_output, size, whole_numbers

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes


@register("segmentation")
class Segmentation(Task):
    """A class for each pixel: cross-entropy, intersection over union averaged over the classes but the first, the background."""

    MEASURE = Measure("iou", "%", "points", higher=True, tolerance=0.3)
    PLACED = True
    TITLE = "Intersection over union of each class"

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """int64 (N, H, W) classes from 0, the background, up."""
        if targets.shape != (inputs[0], *inputs[2:]) or targets.ndim != 3:
            raise UsageError(
                f"{where}: inputs {size(inputs)}, targets {size(targets.shape)}; allowed: a class for each pixel, (N, H, W)"
            )
        found = whole_numbers(where, "target", targets)
        if training and found.max() == 0:
            raise UsageError(f"{where}: all pixels are of class 0, the background; allowed: another one somewhere")
        return found

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        most = int(train.max())
        highest = test.reshape(len(test), -1).max(axis=1)
        refuse(f"{name}: test", "target", highest > most, highest, f"0 to {most}, the classes of the train part")

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return int(targets.max()) + 1

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        classes = self.outputs(targets, input_shape)
        if len(shape) != 3 or shape[0] < classes or shape[1:] != targets.shape[1:]:
            allowed = f"(N, {classes}, {', '.join(map(str, targets.shape[1:]))}), a score for each class and pixel"
            refuse_output(shape, allowed)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs, targets)

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """Mean over the classes but the first of intersection / union, each counted over all pixels of the part, in %."""
        shared, united = _counts(outputs, samples.targets)
        return float(100 * np.mean(shared[1:] / np.maximum(united[1:], 1)))

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The class that has most pixels of each sample beside the background."""
        classes = int(targets.max()) + 1
        counts = np.stack([(targets == each).sum(axis=(1, 2)) for each in range(1, classes)], axis=1)
        return np.where(counts.any(axis=1), counts.argmax(axis=1) + 1, 0)

    def knows_nothing(self, targets: np.ndarray) -> float:
        """IoU of calling every pixel by the class, not the background, that has most of them."""
        counts = np.bincount(targets.ravel())[1:]
        return float(100 * counts.max() / targets.size / len(counts))

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns class, iou (%), pixels."""
        import pandas as pd

        shared, united = _counts(outputs, samples.targets)
        pixels = np.bincount(samples.targets.ravel(), minlength=len(shared))
        return pd.DataFrame(
            {"class": range(len(shared)), "iou": 100 * shared / np.maximum(united, 1), "pixels": pixels}
        )

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        ax.bar(table["class"], table["iou"])
        ax.set(xlabel="class", ylabel="intersection over union, %", ylim=(0, 100))


def _counts(outputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (classes,) that are of a class and called so, and those that are one of both."""
    called, classes = outputs.argmax(axis=1), outputs.shape[1]
    shared = np.bincount(targets[called == targets], minlength=classes)
    each = np.bincount(targets.ravel(), minlength=classes) + np.bincount(called.ravel(), minlength=classes)
    return shared, each - shared
