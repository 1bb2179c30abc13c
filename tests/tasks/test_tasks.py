"""What every kind of task promises, on small samples of each; and what each refuses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mico_runner.errors import UsageError
from mico_runner.tasks import TASKS, create
from mico_runner.tasks.classification import Classification
from mico_runner.tasks.detection import decoded, overlap
from mico_runner.testing import check_task
from mico_runner.testing import tasks as task_suite

N = 60


@dataclass
class Part:
    inputs: np.ndarray
    targets: np.ndarray

    def floats(self):
        return self.inputs


def boxes(rng):
    """One or two boxes in different quarters of each image, away from the borders of the grid's cells."""
    found = np.full((N, 2, 5), -1, np.float32)
    for row in found:
        for slot, quarter in enumerate(rng.permutation(4)[: rng.integers(1, 3)]):
            centre = np.array([quarter % 2, quarter // 2]) / 2 + rng.uniform(0.15, 0.35, 2)
            row[slot] = rng.integers(3), *centre, *rng.uniform(0.1, 0.2, 2)
    return found


def sure_boxes(targets):
    """Outputs (N, 5 + 3, 8, 8) that say exactly these boxes."""
    out = np.full((len(targets), 8, 8, 8), -9.0)
    for image, rows in zip(out, targets, strict=True):
        for kind, x, y, width, height in rows[rows[:, 0] >= 0]:
            column, row = int(x * 8), int(y * 8)
            shares = np.array([x * 8 - column, y * 8 - row, width**0.5, height**0.5])
            image[:5, row, column] = 9, *np.log(shares / (1 - shares))
            image[5 + int(kind), row, column] = 9
    return out


def sample(kind):
    """Inputs, targets as a loader gives them, and outputs of a network that knows everything."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 1, 6, 5)).astype(np.float32)
    if kind == "classification":
        y = np.arange(N) % 4
        return x, y, 5.0 * np.eye(4)[y]
    if kind == "regression":
        y = rng.normal(size=(N, 2))
        return x, y, y.astype(np.float32)
    if kind == "multi-label":
        y = (rng.random((N, 3)) < 0.4).astype(int)
        return x, y, 10.0 * y - 5
    if kind == "segmentation":
        y = rng.integers(0, 3, (N, 6, 5))
        return x, y, 5 * np.eye(3)[y].transpose(0, 3, 1, 2)
    if kind == "anomaly":
        y = np.arange(N) % 5
        return x, y, np.where((y == 0)[:, None, None, None], x, 0)
    if kind == "detection":
        y = boxes(rng)
        return np.zeros((N, 1, 64, 64), np.float32), y, sure_boxes(y)
    y = rng.integers(0, 4, (N, 7))
    return rng.integers(0, 4, (N, 7)), y, 20 * np.eye(4)[y]


def test_every_task_is_documented():
    text = (Path(__file__).resolve().parents[2] / "docs/reference/tasks.md").read_text(encoding="utf-8")
    for kind in TASKS.names():
        assert f"| `{kind}` |" in text and f"`{create(kind).MEASURE.name}`" in text


@pytest.mark.parametrize("kind", TASKS.names())
def test_tasks_agree_with_themselves(kind):
    x, y, perfect = sample(kind)
    check_task(kind, x, y, perfect)
    task = create(kind)
    best = task.quality(perfect, Part(x, task.checked("mine", y, x.shape, True)))
    unit = task.MEASURE.unit
    assert best == pytest.approx(100 if unit == "%" else 0 if task.MEASURE.name == "rmse" else 1, abs=1e-6)


class Broken(Classification):
    """A task whose loss rewards mistakes."""

    def loss(self, outputs, targets, inputs):
        return -super().loss(outputs, targets, inputs)

    def measured_loss(self, outputs, samples):
        return -super().measured_loss(outputs, samples)


def test_a_task_that_contradicts_itself_is_found(monkeypatch):
    x, y, perfect = sample("classification")
    monkeypatch.setattr(task_suite, "create", lambda name, options: Broken())
    with pytest.raises(AssertionError, match="loss of perfect outputs"):
        check_task("broken", x, y, perfect)


WRONG = [
    ("regression", np.full(N, np.nan), "mine target 0 is not finite .and 59 others.; allowed: finite numbers"),
    ("regression", np.full(N, "a"), "targets of type <U1; allowed: numbers"),
    ("regression", np.zeros(3), "60 inputs, targets 3; allowed: one or more numbers for each input"),
    ("multi-label", np.full((N, 2), 2), "mine target 0 is 2 .*allowed: 0 and 1"),
    ("multi-label", np.zeros((N, 2)), "label 0 applies to no sample"),
    ("segmentation", np.zeros((N, 6, 4), int), "targets 60 x 6 x 4; allowed: a class for each pixel"),
    ("segmentation", np.zeros((N, 6, 5), int), "all pixels are of class 0"),
    ("segmentation", np.full((N, 6, 5), -1), "target 0 is .*; allowed: 0 or more"),
    ("anomaly", np.zeros(N, int), "no sample is anomalous; allowed: some of each, where labels 0 are normal"),
    ("anomaly", np.ones(N, int), "no sample is normal"),
    ("sequence-labelling", np.zeros(N, int), "allowed: .N, places., a class for each place"),
    ("next-token", np.full((N, 3), -1), "target 0 is not finite|one or more places that count"),
    ("detection", np.zeros((N, 2, 4)), "allowed: boxes .N, most, 5."),
]


@pytest.mark.parametrize(("kind", "targets", "message"), WRONG)
def test_targets_of_another_task_are_refused_in_a_line(kind, targets, message):
    with pytest.raises(UsageError, match=message):
        create(kind).checked("mine", targets, (N, 1, 6, 5), True)


def test_boxes_that_overlap_are_one_object_and_a_wrong_class_is_none():
    outputs = sure_boxes(np.array([[[1, 0.3, 0.3, 0.4, 0.4], [-1] * 5]], np.float32))
    (box,) = decoded(outputs)
    np.testing.assert_allclose(box[3:], [0.1, 0.1, 0.5, 0.5], atol=1e-6)
    outputs[0, :, 2, 4] = outputs[0, :, 2, 2]  # the cell after the next says a box of that size, too
    assert len(decoded(outputs)) == 2 and overlap(decoded(outputs)[0, 3:], decoded(outputs)[1:, 3:]) < 0.5
    outputs[0, :, 2, 3], outputs[0, :, 2, 4] = outputs[0, :, 2, 2], -9
    shares = np.array([0.01, 0.4])
    outputs[0, 1:3, 2, 3] = np.log(shares / (1 - shares))  # .. at nearly the same place
    assert len(decoded(outputs)) == 1
    task = create("detection")
    other = np.array([[[2, 0.3, 0.3, 0.4, 0.4], [-1] * 5]], np.float32)
    assert task.quality(outputs, Part(np.zeros((1, 1, 64, 64)), other)) == 0


def test_average_precision_by_hand():
    """Three objects; the surest box is right, the second wrong, the third right: 1/3 x 1 + 1/3 x 2/3."""
    targets = np.full((3, 1, 5), -1, np.float32)
    targets[:, 0] = [0, 0.3, 0.3, 0.2, 0.2]
    said = targets.copy()
    said[1, 0, 1:3] = 0.8
    outputs = sure_boxes(said)
    outputs[2] = -9
    for image, certainty in ((0, 5.0), (1, 4.0)):
        outputs[image, 0] = np.where(outputs[image, 0] > 0, certainty, -9)
    extra = sure_boxes(said[:1])[0]
    outputs[2] = np.where(extra[0] > 0, np.where(np.arange(8)[:, None, None] == 0, 3.0, extra), outputs[2])
    assert create("detection").quality(outputs, Part(np.zeros((3, 1, 64, 64)), targets)) == pytest.approx(
        100 * (1 + 2 / 3) / 3
    )


def test_auc_counts_pairs():
    task = create("anomaly", {"normal": [7]})
    x = np.zeros((4, 1), np.float32)
    targets = task.checked("mine", np.array([7, 7, 3, 9]), x.shape, False)
    errors = np.array([[0.1], [0.5], [0.5], [0.9]])  # pairs: 0.5 > 0.1, 0.5 = 0.5, 0.9 > both
    assert task.quality(errors**0.5, Part(x, targets)) == pytest.approx(100 * 3.5 / 4)


def test_the_distance_of_next_tokens_is_what_cross_entropy_on_the_teacher_s_text_grows_by():
    task = create("next-token")
    outputs, teacher = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)), torch.randn(2, 3, 5)
    share = teacher.softmax(-1)
    cross, own = (-(share * each.log_softmax(-1)).sum(-1).mean() for each in (outputs, teacher))
    torch.testing.assert_close(task.distance(outputs, teacher), cross - own)
