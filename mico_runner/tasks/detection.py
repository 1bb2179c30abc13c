"""Detection: boxes around objects and their classes, predicted on a grid without anchors.

Targets are boxes (N, most, 5): class, centre x, centre y, width, height, the last four as shares of the image; class -1 fills up. The
network returns (N, 5 + classes, rows, columns): for each cell of a grid the score that an object's centre lies in it, the centre's place
in the cell and the size's square root as logits of shares (of the cell, of the image), and a score for each class. One object a cell:
of several the largest is learnt. (J. Redmon et al., You Only Look Once, 2016, with logistic outputs as in its second version.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.tasks import register
from mico_runner.tasks.base import Measure, Samples, Shape, Task, finite, refuse, refuse_output, size

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes

NOTHING = -1  # class of what fills up
OF_BOX = 5  # outputs of a cell before those of classes
OVERLAP = (
    0.5  # intersection over union from which a box is right (PASCAL VOC's), and from which two boxes are of one object
)
KEPT = 100  # boxes of an image at most, as COCO counts
LIKELY = 0.01  # boxes of a lower score are left out


@register("detection")
class Detection(Task):
    """Boxes around objects and their classes, on a grid: mean average precision at an overlap of one half (mAP@.5)."""

    MEASURE = Measure("map50", "%", "points", higher=True, tolerance=0.5)
    PLACED = True
    TITLE = "Precision over recall"
    WEIGHT_OF_EMPTY: ClassVar[float] = 0.5  # of cells without an object in the loss (the same paper)
    WEIGHT_OF_PLACE: ClassVar[float] = 5.0  # of centre and size (the same paper)

    def checked(self, where: str, targets: np.ndarray, inputs: Shape, training: bool) -> np.ndarray:
        """float32 (N, most, 5)."""
        if targets.ndim != 3 or targets.shape[0] != inputs[0] or targets.shape[2:] != (OF_BOX,) or len(inputs) != 4:
            raise UsageError(
                f"{where}: inputs {size(inputs)}, targets {size(targets.shape)}; allowed: boxes (N, most, 5) of images (N, C, H, W)"
            )
        found = finite(where, "target", targets)
        kind, box = found[..., 0], found[..., 1:]
        is_box = kind != NOTHING
        wrong_kind = is_box & ((kind < 0) | (kind != np.rint(kind)))
        refuse(where, "target", wrong_kind, kind, "classes from 0 up, or -1 where there is no further box")
        outside = (box < 0) | (box > 1)
        outside[..., 2:] |= box[..., 2:] == 0
        allowed = "centre and size as shares of the image, 0 to 1, no size of 0"
        refuse(where, "target", is_box[..., None] & outside, box, allowed)
        if not is_box.any():
            raise UsageError(f"{where}: no box at all; allowed: one or more")
        return found

    def check_parts(self, name: str, train: np.ndarray, test: np.ndarray) -> None:
        most = train[..., 0].max()
        highest = test[..., 0].max(axis=1)
        refuse(f"{name}: test", "target", highest > most, highest, f"classes 0 to {most:g}, those of the train part")

    def outputs(self, targets: np.ndarray, input_shape: Shape) -> int:
        return OF_BOX + int(targets[..., 0].max()) + 1

    def check_output(self, shape: Shape, targets: np.ndarray, input_shape: Shape) -> None:
        channels = self.outputs(targets, input_shape)
        if len(shape) != 3 or shape[0] != channels:
            refuse_output(shape, f"(N, {channels}, rows, columns), for each cell of a grid a box and its classes")

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Squared errors of centre, size and certainty, cross-entropy of the class."""
        import torch
        from torch.nn import functional

        count, _, rows, columns = outputs.shape
        grid = torch.tensor([columns, rows], dtype=outputs.dtype)
        boxes = targets.to(outputs.dtype)
        order = (boxes[..., 3] * boxes[..., 4]).argsort(dim=1, stable=True)  # the largest comes last and stays
        boxes = torch.gather(boxes, 1, order[..., None].expand_as(boxes))
        image, which = torch.nonzero(boxes[..., 0] != NOTHING, as_tuple=True)
        box = boxes[image, which]
        place = box[:, 1:3] * grid
        cell = place.floor().clamp(min=0).minimum(grid - 1)
        owner = torch.full((count, rows, columns), NOTHING, dtype=torch.int64)
        for number, (at, (x, y)) in enumerate(zip(image.tolist(), cell.long().tolist(), strict=True)):
            owner[at, y, x] = number
        has = owner != NOTHING
        wanted = box[owner[has]]
        found = outputs.permute(0, 2, 3, 1)
        certain = torch.sigmoid(found[..., 0])
        certainty = functional.mse_loss(certain, has.to(certain.dtype), reduction="none")
        certainty = (torch.where(has, 1.0, self.WEIGHT_OF_EMPTY) * certainty).sum()
        mine = found[has]
        centre = functional.mse_loss(torch.sigmoid(mine[:, 1:3]), (place - cell)[owner[has]], reduction="sum")
        extent = functional.mse_loss(torch.sigmoid(mine[:, 3:5]), wanted[:, 3:5].sqrt(), reduction="sum")
        kinds = functional.cross_entropy(mine[:, OF_BOX:], wanted[:, 0].long(), reduction="sum")
        return (self.WEIGHT_OF_PLACE * (centre + extent) + certainty + kinds) / count

    def quality(self, outputs: np.ndarray, samples: Samples) -> float:
        """Mean over the classes of the average precision, in %."""
        kinds = np.unique(samples.targets[..., 0])
        boxes = decoded(outputs)
        return float(100 * np.mean([_precision(boxes, samples.targets, kind)[0] for kind in kinds if kind != NOTHING]))

    def knows_nothing(self, targets: np.ndarray) -> float:
        """0: boxes that lie anywhere are right by rare accident alone."""
        return 0.0

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The number of boxes."""
        return np.asarray((targets[..., 0] != NOTHING).sum(axis=1), dtype=np.int64)

    def summary(self, outputs: np.ndarray, samples: Samples) -> pd.DataFrame:
        """Columns class, recall, precision: the curve of each class, and its average precision."""
        import pandas as pd

        boxes, curves = decoded(outputs), []
        for kind in np.unique(samples.targets[..., 0]):
            if kind != NOTHING:
                average, recall, precision = _precision(boxes, samples.targets, kind)
                about = {"class": int(kind), "average_precision": average}
                curves.append(pd.DataFrame({**about, "recall": recall, "precision": precision}))
        return pd.concat(curves)

    def draw(self, table: pd.DataFrame, ax: Axes) -> None:
        for kind, curve in table.groupby("class"):
            ax.plot(100 * curve["recall"], 100 * curve["precision"], lw=1, label=str(kind))
        ax.set(xlabel="objects found, %", ylabel="boxes that are right, %", xlim=(0, 100), ylim=(0, 103))
        ax.legend(ncols=2, fontsize=8)


def decoded(outputs: np.ndarray) -> np.ndarray:
    """Boxes (M, 7) of all images, the surest first: image, class, score, left, top, right, bottom as shares of the image.

    The score is certainty times the class's share; of boxes of a class that overlap by more than a half only the surest is kept.
    """
    count, channels, rows, columns = outputs.shape
    cells = outputs.astype(np.float64).transpose(0, 2, 3, 1).reshape(count, rows * columns, channels)
    certain, centre, extent = _logistic(cells[..., 0]), _logistic(cells[..., 1:3]), _logistic(cells[..., 3:OF_BOX]) ** 2
    at = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    centre = (centre + at) / [columns, rows]
    raised = np.exp(cells[..., OF_BOX:] - cells[..., OF_BOX:].max(axis=-1, keepdims=True))
    kind = raised.argmax(axis=-1)
    score = certain * raised.max(axis=-1) / raised.sum(axis=-1)
    corners = np.concatenate([centre - extent / 2, centre + extent / 2], axis=-1)
    image = np.broadcast_to(np.arange(count)[:, None], score.shape)
    boxes = np.concatenate([np.stack([image, kind, score], axis=-1), corners], axis=-1)
    return _without_doubles(boxes.reshape(-1, 7))


def _without_doubles(boxes: np.ndarray) -> np.ndarray:
    boxes = boxes[boxes[:, 2] >= LIKELY]
    boxes = boxes[np.argsort(-boxes[:, 2], kind="stable")]
    kept = []
    for image in np.unique(boxes[:, 0]):
        left = boxes[boxes[:, 0] == image]
        found: list[np.ndarray] = []
        while len(left) and len(found) < KEPT:
            best, left = left[0], left[1:]
            found.append(best)
            left = left[(left[:, 1] != best[1]) | (overlap(best[3:], left[:, 3:]) <= OVERLAP)]
        kept += found
    result = np.array(kept).reshape(-1, 7)
    return result[np.argsort(-result[:, 2], kind="stable")]


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M,) intersection over union of a box (left, top, right, bottom) and others (M, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    return np.asarray(shared / np.maximum(area, np.finfo(float).tiny))


def _precision(boxes: np.ndarray, targets: np.ndarray, kind: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Average precision of a class, and its curve: recall and precision with each further box, the surest first.

    A box is right if it overlaps by a half with an object that no surer box has taken; the area is that below the curve made monotone
    (PASCAL VOC from 2010 on).
    """
    objects = {i: _corners(each[each[:, 0] == kind][:, 1:]) for i, each in enumerate(targets)}
    taken = {i: np.zeros(len(each), bool) for i, each in objects.items()}
    mine = boxes[boxes[:, 1] == kind]
    right = np.zeros(len(mine), bool)
    for row, box in enumerate(mine):
        image = int(box[0])
        shares = np.where(taken[image], 0, overlap(box[3:], objects[image])) if len(objects[image]) else np.zeros(0)
        if len(shares) and shares.max() >= OVERLAP:
            taken[image][shares.argmax()] = right[row] = True
    recall = np.cumsum(right) / max(sum(map(len, objects.values())), 1)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    ceiling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * ceiling)), recall, precision


def _corners(boxes: np.ndarray) -> np.ndarray:
    centre, extent = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([centre - extent / 2, centre + extent / 2], axis=1)


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))
