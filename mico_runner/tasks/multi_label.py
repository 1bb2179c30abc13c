"""Multi-label classification: any number of several labels for each input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.tasks import register
from mico_runner.tasks.base import Measure, Samples, Shape, Task, refuse, refuse_output, size

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes


@register("multi-label")
class MultiLabel(Task):
    """Any number of several labels for each input: binary cross-entropy of each, F1 over all of them."""

    MEASURE = Measure("f1", "%", "points", higher=True, tolerance=0.3)
    TITLE = "F1 of each label"

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """uint8 (N, labels) of 0 and 1."""
        if targets.ndim != 2 or len(targets) != inputs[0] or targets.size == 0:
            raise UsageError(
                f"{where}: {inputs[0]} inputs, targets {size(targets.shape)}; allowed: (N, labels), 1 for each label that applies"
            )
        wrong = (targets != 0) & (targets != 1)
        refuse(where, "target", wrong, targets, "0 and 1")
        found = targets.astype(np.uint8)
        if training and not found.any(axis=0).all():
            label = int((~found.any(axis=0)).argmax())
            raise UsageError(f"{where}: label {label} applies to no sample; allowed: one or more samples of each label")
        return found

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        if train.shape[1] != test.shape[1]:
            raise UsageError(f"{name}: {train.shape[1]} labels in train, {test.shape[1]} in test; allowed: as many")

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return int(targets.shape[1])

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        if shape != targets.shape[1:]:
            refuse_output(shape, f"(N, {targets.shape[1]}), a score for each label")

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """F1 in %, over all pairs of sample and label (micro average): a score above 0 names the label."""
        named, true = outputs > 0, samples.targets > 0
        both, either = int((named & true).sum()), int(named.sum()) + int(true.sum())
        return 100.0 if either == 0 else 200 * both / either

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The rarest label that applies, or one more than there are."""
        common = targets.sum(axis=0)
        order = np.argsort(common, kind="stable")
        applies = targets[:, order] > 0
        return np.asarray(np.where(applies.any(axis=1), order[applies.argmax(axis=1)], targets.shape[1]))

    def knows_nothing(self, targets: np.ndarray) -> float:
        """F1 of naming for each sample the same labels: those that make it highest."""
        share = np.sort(targets.mean(axis=0))[::-1]
        named = np.arange(1, len(share) + 1)
        return float(100 * np.max(2 * np.cumsum(share) / (named + share.sum())))

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns label, f1 (%), samples to which it applies."""
        import pandas as pd

        named, true = outputs > 0, samples.targets > 0
        f1 = 200 * (named & true).sum(axis=0) / np.maximum(named.sum(axis=0) + true.sum(axis=0), 1)
        return pd.DataFrame({"label": range(true.shape[1]), "f1": f1, "samples": true.sum(axis=0)})

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        ax.bar(table["label"], table["f1"])
        ax.set(xlabel="label", ylabel="F1, %", ylim=(0, 100))
