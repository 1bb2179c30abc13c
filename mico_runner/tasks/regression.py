"""Regression: one or several numbers for each input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.tasks import register
from mico_runner.tasks.base import Measure, Samples, Shape, Task, finite, refuse_output, size

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes

DRAWN = 2000  # points of the figure


@register("regression")
class Regression(Task):
    """One or several numbers for each input: squared error, its root over all samples (RMSE)."""

    AMOUNTS = True
    MEASURE = Measure("rmse", "", "", higher=False, tolerance=0.0)
    TITLE = "Predictions"

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """float32 (N, values)."""
        if targets.ndim not in (1, 2) or len(targets) != inputs[0] or targets.size == 0:
            raise UsageError(
                f"{where}: {inputs[0]} inputs, targets {size(targets.shape)}; allowed: one or more numbers for each input"
            )
        return finite(where, "target", targets.reshape(len(targets), -1))

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        if train.shape[1] != test.shape[1]:
            raise UsageError(
                f"{name}: {train.shape[1]} numbers for each train sample, {test.shape[1]} for each of test; allowed: as many"
            )

    def check_learnable(self, where: str, targets: np.ndarray) -> None:
        alike = (targets == targets[0]).all(axis=0)
        if alike.any():
            number = int(alike.argmax())
            raise UsageError(
                f"{where}: target {number} is {targets[0, number]:g} of all samples; allowed: some that differ"
            )

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return int(targets.shape[1])

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        if shape != targets.shape[1:]:
            refuse_output(shape, f"(N, {targets.shape[1]}), as many numbers as the data has")

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.mse_loss(outputs, targets.to(outputs.dtype))

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """Root of the mean squared error over all samples and their numbers, in the unit of the targets."""
        return float(np.sqrt(np.mean((outputs.astype(np.float64) - samples.targets) ** 2)))

    def knows_nothing(self, targets: np.ndarray) -> float:
        """RMSE of always predicting the mean of these targets: their standard deviation."""
        return float(np.sqrt(np.mean((targets - targets.mean(axis=0)) ** 2)))

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns value (its number), true, predicted."""
        import pandas as pd

        rows, values = samples.targets.shape
        pairs = {"true": samples.targets.ravel(), "predicted": outputs.ravel()}
        return pd.DataFrame({"value": np.tile(np.arange(values), rows), **pairs})

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        """Predicted over true values, evenly spaced rows of the table where it is long, with the diagonal."""
        shown = table.iloc[:: max(1, len(table) // DRAWN)]
        ax.scatter(shown["true"], shown["predicted"], s=8, lw=0, alpha=0.5)
        ends = [table["true"].min(), table["true"].max()]
        ax.plot(ends, ends, lw=0.8, color="grey")
        ax.set(xlabel="true", ylabel="predicted")
