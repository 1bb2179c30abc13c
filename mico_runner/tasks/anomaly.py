"""Anomaly detection: a network that rebuilds normal inputs, and rebuilds others worse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.tasks import register
from mico_runner.tasks.base import Measure, Samples, Shape, Task, refuse_output, size, whole_numbers

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes

NORMAL, ANOMALOUS = 0, 1


@register(
    "anomaly",
    params={"normal": {"type": "list", "schema": {"type": "integer", "min": 0}, "minlength": 1, "default": [0]}},
)
class Anomaly(Task):
    """A network that rebuilds its input, trained on normal samples: squared error, area under the ROC curve (AUC) of that error.

    Args:
        normal: labels of normal samples. Those of other labels are left out of training and are what is to be found.
    """

    MEASURE = Measure("auc", "%", "points", higher=True, tolerance=0.3)
    TITLE = "ROC curve"

    def __init__(self, normal: list[int] | tuple[int, ...] = (NORMAL,)) -> None:
        self._normal = tuple(normal)

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """int64 (N,): 0 normal, 1 anomalous."""
        if targets.shape != inputs[:1]:
            raise UsageError(
                f"{where}: {inputs[0]} inputs, targets {size(targets.shape)}; allowed: one label per input"
            )
        found = np.where(np.isin(whole_numbers(where, "label", targets), self._normal), NORMAL, ANOMALOUS)
        if len(np.unique(found)) == 1:
            what = "normal" if (found == ANOMALOUS).all() else "anomalous"
            names = ", ".join(map(str, self._normal))
            raise UsageError(f"{where}: no sample is {what}; allowed: some of each, where labels {names} are normal")
        return found

    def learns_from(self, targets: np.ndarray) -> np.ndarray:
        return np.asarray(targets == NORMAL)

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return int(np.prod(input_shape))

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        if np.prod(shape) != np.prod(input_shape):
            refuse_output(shape, f"as many values as its input has, {size(input_shape)}, which it rebuilds")

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        normal = targets == NORMAL
        return functional.mse_loss(outputs.flatten(1)[normal], inputs.flatten(1)[normal])

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """AUC in %: how often an anomalous sample has a larger error than a normal one, ties counted half."""
        return 100 * _auc(_errors(outputs, samples), samples.targets)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def knows_nothing(self, targets: np.ndarray) -> float:
        """AUC of no better than chance with three standard errors (Hanley and McNeil 1982, for an area of one half)."""
        normal, other = int((targets == NORMAL).sum()), int((targets == ANOMALOUS).sum())
        return float(100 * min(0.5 + 3 * np.sqrt((normal + other + 1) / (12 * normal * other)), 0.75))

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns false_alarms, found: shares of normal and of anomalous samples above each threshold, at most a thousand."""
        import pandas as pd

        errors = _errors(outputs, samples)
        found = samples.targets[np.argsort(-errors, kind="stable")] == ANOMALOUS
        curve = pd.DataFrame(
            {"false_alarms": np.cumsum(~found) / (~found).sum(), "found": np.cumsum(found) / found.sum()}
        )
        return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, 1000).astype(int))]

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        ax.plot(100 * table["false_alarms"], 100 * table["found"])
        ax.plot([0, 100], [0, 100], lw=0.8, color="grey")
        ax.set(xlabel="normal samples taken for anomalies, %", ylabel="anomalies found, %")


def _errors(outputs: np.ndarray, samples: Samples) -> np.ndarray:
    """(N,) mean squared error of each sample's reconstruction."""
    count = len(outputs)
    difference = outputs.reshape(count, -1).astype(np.float64) - samples.floats().reshape(count, -1)
    return np.asarray((difference**2).mean(axis=1))


def _auc(scores: np.ndarray, targets: np.ndarray) -> float:
    """Area under the ROC curve by ranks (Mann and Whitney), mean ranks of ties."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    other = targets == ANOMALOUS
    some, rest = int(other.sum()), int((~other).sum())
    return float((rank[other].sum() - some * (some + 1) / 2) / (some * rest))
