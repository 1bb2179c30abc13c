"""Sequence labelling: a class for each place of a sequence; next-token prediction is the same with the next place's token as class."""

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

IGNORED = -1  # label of a place that does not count, such as padding


@register("sequence-labelling")
class SequenceLabelling(Task):
    """A class for each place of a sequence: cross-entropy, share of the places with the right class. Label -1 does not count."""

    MEASURE = Measure("place_accuracy", "%", "points", higher=True, tolerance=0.3)
    PLACED = True
    TITLE = "Right places by their number in the sequence"

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """int64 (N, places) classes from 0 up, or -1."""
        if targets.ndim != 2 or len(targets) != inputs[0] or targets.size == 0:
            raise UsageError(
                f"{where}: inputs {size(inputs)}, targets {size(targets.shape)}; allowed: (N, places), a class for each place"
            )
        found = whole_numbers(where, "target", np.where(targets == IGNORED, 0, targets))
        found[targets == IGNORED] = IGNORED
        counted = np.sum(found != IGNORED, axis=1)
        refuse(where, "target", counted < 1, None, "one or more places that count")
        return found

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        most, highest = int(train.max()), test.max(axis=1)
        refuse(f"{name}: test", "target", highest > most, highest, f"-1 to {most}, as in the train part")
        if train.shape[1] != test.shape[1]:
            raise UsageError(f"{name}: {train.shape[1]} places in train, {test.shape[1]} in test; allowed: as many")

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return int(targets.max()) + 1

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        places, classes = targets.shape[1], self.outputs(targets, input_shape)
        if len(shape) != 2 or shape[0] != places or shape[1] < classes:
            refuse_output(shape, f"(N, {places}, {classes}), a score for each place and class")

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Divergence of the probabilities of a place, in nats: what the cross-entropy on the teacher's own text grows by."""
        from torch.nn import functional

        found, wanted = (functional.log_softmax(each.flatten(0, 1), 1) for each in (outputs, teacher))
        return functional.kl_div(found, wanted, reduction="batchmean", log_target=True)

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """Percentage of the places that count whose largest score stands at the class."""
        counted = samples.targets != IGNORED
        return float(np.mean(outputs.argmax(axis=2)[counted] == samples.targets[counted]) * 100)

    def knows_nothing(self, targets: np.ndarray) -> float:
        """Share of the commonest class, in %."""
        counted = targets[targets != IGNORED]
        return float(100 * np.unique(counted, return_counts=True)[1].max() / counted.size)

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns place, right (%), samples that count there."""
        import pandas as pd

        counted = samples.targets != IGNORED
        right = (outputs.argmax(axis=2) == samples.targets) & counted
        share = 100 * right.sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
        return pd.DataFrame({"place": range(counted.shape[1]), "right": share, "samples": counted.sum(axis=0)})

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        ax.plot(table["place"], table["right"])
        ax.set(xlabel="place", ylabel="right, %", ylim=(0, 100))


@register("next-token")
class NextToken(SequenceLabelling):
    """The token after each place of a sequence: cross-entropy, perplexity, its exponential."""

    MEASURE = Measure("perplexity", "", "", higher=False, tolerance=0.05)
    TITLE = "Right tokens by their number in the sequence"

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """exp of the mean cross-entropy over the places that count."""
        return float(np.exp(self.measured_loss(outputs, samples)))

    def knows_nothing(self, targets: np.ndarray) -> float:
        """Perplexity of the tokens' own frequencies."""
        counts = np.unique(targets[targets != IGNORED], return_counts=True)[1]
        share = counts / counts.sum()
        return float(np.exp(-(share * np.log(share)).sum()))
