"""Classification: one of several classes for each input."""

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

STANDARD_ERRORS = 3  # of chance: reached without learning anything once in 740 times
TEMPERATURE = 2.0
NEAR_ONE, LEAST = 1e-3, 1e-6  # of probabilities: what their sum may be off by, and below which they are alike
WRITTEN_OUT = 20  # classes whose numbers are still readable in a figure


@register("classification")
class Classification(Task):
    """One of several classes for each input: cross-entropy, accuracy."""

    MEASURE = Measure("accuracy", "%", "points", higher=True, tolerance=0.3, sample=100)
    TITLE = "Mistakes"

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """int64 (N,) labels from 0 up."""
        if targets.shape != inputs[:1]:
            raise UsageError(
                f"{where}: images {size(inputs)}, labels {size(targets.shape)}; allowed: one label per image, one or more"
            )
        labels = whole_numbers(where, "label", targets)
        most = int(labels.max())
        if training and most >= len(labels):
            row = int(labels.argmax())
            raise UsageError(f"{where} label {row} is {most}; allowed: below {len(labels)}, the number of train images")
        return labels

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        most = int(train.max())
        refuse(f"{name}: test", "label", test > most, test, f"0 to {most}, the labels of the train part")

    def check_learnable(self, where: str, targets: np.ndarray) -> None:
        counts = np.bincount(targets)
        if len(counts) == 1:
            raise UsageError(f"{where}: all labels are 0; allowed: two classes or more")
        if not counts.all():
            empty = int(counts.argmin())
            raise UsageError(
                f"{where}: class {empty} has no sample; allowed: one or more of each, 0 to {len(counts) - 1}"
            )

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return int(targets.max()) + 1

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        classes = self.outputs(targets, input_shape)
        if len(shape) != 1 or shape[0] < classes:
            refuse_output(shape, f"(N, {classes}) or more, a score for each class")

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs, targets)

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Divergence of the classes' probabilities at temperature 2 (Hinton et al., "Distilling the Knowledge", 2015)."""
        from torch.nn import functional

        if bool((teacher >= 0).all()) and bool(((teacher.sum(1) - 1).abs() < NEAR_ONE).all()):  # probabilities already
            outputs, teacher = (each.clamp_min(LEAST).log() for each in (outputs, teacher))
        found, wanted = (functional.log_softmax(each / TEMPERATURE, 1) for each in (outputs, teacher))
        return functional.kl_div(found, wanted, reduction="batchmean", log_target=True) * TEMPERATURE**2

    def measured_loss(self, outputs: np.ndarray, samples: Samples) -> float:
        peak = outputs.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(outputs - peak).sum(axis=1)) + peak[:, 0]
        return float((log_sum - outputs[np.arange(len(outputs)), samples.targets]).mean())

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """Percentage of rows whose largest score (the first one, in a tie) stands at the label."""
        return float(np.mean(outputs.argmax(axis=1) == samples.targets) * 100)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        return targets

    def knows_nothing(self, targets: np.ndarray) -> float:
        """What always naming the commonest class may reach, in %.

        That is the commonest label's share p of these n labels, and three standard errors sqrt(p (1 - p) / n) of chance; or half of
        what lies between p and 100 %, where the labels are so few that this is less.
        """
        share = np.unique(targets, return_counts=True)[1].max() / len(targets)
        margin = min(STANDARD_ERRORS * np.sqrt(share * (1 - share) / len(targets)), (1 - share) / 2)
        return float(100 * (share + margin))

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns true, predicted, count."""
        import pandas as pd

        pairs = pd.DataFrame({"true": samples.targets, "predicted": outputs.argmax(axis=1)})
        return pairs.value_counts(sort=False).rename("count").reset_index()

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        """The classes that are mistaken for each other; right answers are left out, or they drown the rest."""
        classes = 1 + int(table[["true", "predicted"]].to_numpy().max())
        matrix = np.zeros((classes, classes))
        matrix[table["true"], table["predicted"]] = table["count"]
        np.fill_diagonal(matrix, 0)
        ax.imshow(matrix, cmap="Oranges", vmin=0, vmax=max(1, matrix.max()), rasterized=True)
        for (row, column), count in np.ndenumerate(matrix):
            if count and classes <= WRITTEN_OUT:
                color = "white" if count > 0.6 * matrix.max() else "black"
                ax.text(column, row, f"{count:g}", ha="center", va="center", fontsize=8, color=color)
        ax.grid(visible=False)
        if classes <= WRITTEN_OUT:
            ax.set_xticks(range(classes))
            ax.set_yticks(range(classes))
        ax.set(xlabel="predicted", ylabel="true")
