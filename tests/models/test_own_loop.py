"""Loops and losses of the user's own, and teachers, in training."""

import numpy as np
import pytest
import torch
from test_models import TASK, blobs

from mico_runner import tasks
from mico_runner.data.dataset import Split
from mico_runner.errors import StepError, UsageError
from mico_runner.models import MODELS, training
from mico_runner.models.augment import MOVING, augmented, check_fits, shifted
from mico_runner.models.loop import Training
from mico_runner.sections import Augment, Function, Train
from mico_runner.tasks import TASKS

DRAW = torch.Generator().manual_seed(0)

# The built-in loop as a user may write it, with an average of the weights whose state is kept, and draws of every kind.
LOOP = """
import random

import numpy as np
import torch


class Average:
    def __init__(self, model):
        self.values = {name: value.clone() for name, value in model.state_dict().items()}

    def update(self, model):
        for name, value in model.state_dict().items():
            self.values[name] = 0.9 * self.values[name] + 0.1 * value

    def state_dict(self):
        return self.values

    def load_state_dict(self, state):
        self.values = dict(state)


def fit(training, noise=0.0):
    optimiser = torch.optim.RMSprop(training.model.parameters(), lr=training.recipe.lr)
    average = Average(training.model)
    for epoch in training.epochs(optimiser, average):
        assert training.model.training and len(list(training.batches())) == training.steps
        for batch in training.batches():
            optimiser.zero_grad()
            loss = training.loss(batch)
            loss = loss + noise * random.random() * np.random.rand() * torch.rand(()) * loss
            loss.backward()
            optimiser.step()
            average.update(training.model)
    training.model.load_state_dict(average.values)
"""


def small():
    torch.manual_seed(0)
    return MODELS.get("small-cnn")((1, 8, 8), 3, channels=2)


def recipe(folder, text=LOOP, entry="fit", params=None, **options):
    file = folder / "loop.py"
    file.write_text(text, encoding="utf-8")
    loop = Function(str(file), entry, params or {})
    return Train(**{"epochs": 3, "lr": 0.01, "batch_size": 16, "weight_decay": 0.0, "loop": loop, **options})


def trained(work, how, stop_after=None, loss=None):
    def stop(epoch, loss, quality):
        if epoch == stop_after:
            raise KeyboardInterrupt

    work.mkdir(exist_ok=True)
    model = small()
    return model, training.train(model, training.Lesson(TASK, blobs(96, 0), blobs(30, 1), how, 5, loss), work, stop)


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("after", [1, 2])
def test_a_loop_of_ones_own_resumes_to_the_same_weights(tmp_path, after):
    how = recipe(tmp_path, params={"noise": 0.5}, augment=Augment(mixup=0.2, flip=True))
    whole, history = trained(tmp_path / "a", how)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b", how, stop_after=after)
    again, rows = trained(tmp_path / "b", how)
    assert rows == history and [row["epoch"] for row in rows] == [1, 2, 3] and same(whole, again)
    done, rows = trained(tmp_path / "b", how)
    assert rows == history and same(whole, done), "what is complete is not trained again"


def test_the_built_in_loop_is_one_that_a_user_could_write(tmp_path):
    text = "from mico_runner.models.loop import fit\n"
    with_own, history = trained(tmp_path / "a", recipe(tmp_path, text))
    built_in, rows = trained(tmp_path / "b", Train(epochs=3, lr=0.01, batch_size=16, weight_decay=0.0))
    assert history == rows and same(with_own, built_in)


def test_a_loop_may_compute_its_own_loss(tmp_path):
    text = """
import torch

def fit(training):
    optimiser = torch.optim.Adam(training.model.parameters(), 0.01)
    for _ in training.epochs(optimiser):
        for batch in training.batches():
            optimiser.zero_grad()
            torch.nn.functional.multi_margin_loss(training.outputs(batch.inputs), batch.targets).backward()
            optimiser.step()
"""
    _, history = trained(tmp_path, recipe(tmp_path, text, epochs=15))
    assert [row["train_loss"] for row in history] == [None] * 15 and history[-1]["validation_accuracy"] > 90


def with_loss(folder, text, **params):
    file = folder / "loss.py"
    file.write_text(f"import torch.nn.functional as F\n\n\ndef loss(outputs, targets, **how):\n    return {text}\n")
    return Train(epochs=3, lr=0.01, batch_size=16, weight_decay=0.0, loss=Function(str(file), "loss", params))


def test_a_loss_of_ones_own_stands_in_for_the_tasks(tmp_path):
    like_the_tasks, history = trained(tmp_path / "a", with_loss(tmp_path, "F.cross_entropy(outputs, targets)"))
    built_in, rows = trained(tmp_path / "b", Train(epochs=3, lr=0.01, batch_size=16, weight_decay=0.0))
    assert history == rows and same(like_the_tasks, built_in)
    smoothed, _ = trained(
        tmp_path / "c", with_loss(tmp_path, "F.cross_entropy(outputs, targets, **how)", label_smoothing=0.2)
    )
    assert not same(smoothed, built_in)


def test_a_teacher_shares_a_loss_of_ones_own(tmp_path):
    how = with_loss(tmp_path, "outputs.square().mean()")
    outputs, targets = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    mixed = training.distilled(TASK, lambda inputs: inputs, 0.25, training.loss_of(how, TASK))
    teacher = torch.randn(4, 3)
    wanted = 0.25 * TASK.distance(outputs, teacher) + 0.75 * outputs.square().mean()
    assert torch.equal(mixed(outputs, targets, teacher), wanted)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outputs", r"loss.py: loss\(\) returned a Tensor of \d+ numbers; allowed: a tensor of one number"),
        ("outputs.mean().item()", r"loss.py: loss\(\) returned a float; allowed: a tensor of one number"),
        ("outputs.detach().mean()", r"loss.py: loss\(\) returned a Tensor; allowed: .* computed from the outputs"),
        ("F.mse_loss(outputs, nothing)", r"loss.py:5: .*nothing"),
    ],
)
def test_a_loss_that_is_none_is_refused_before_training(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as raised:
        training.check_trainable(small(), TASK, blobs(96, 0), blobs(30, 1), with_loss(tmp_path, text))
    assert "model.train: null" not in str(raised.value), "the network is not what is wrong"


BEGIN = "def fit(training):\n    for _ in training.epochs({kept}):\n        {inside}\n"
WRONG = {
    "an error": (BEGIN.format(kept="", inside="training.nothing()"), r"loop.py:3: fit\(\) failed: AttributeError"),
    "no epoch": ("def fit(training):\n    pass\n", r"loop.py: fit ended without an epoch; allowed: a loop over all"),
    "left early": (BEGIN.format(kept="", inside="break"), r"fit ended without an epoch"),
    "no parameter": ("def fit():\n    pass\n", r"fit\(\) failed: TypeError: fit\(\) takes 0 positional arguments"),
    "no function": ("fit = 3\n", r"fit\(\) failed: TypeError: 'int' object is not callable"),
    "no state": (BEGIN.format(kept="object()", inside="pass"), r"state of a object cannot be kept \(AttributeError"),
    "a state that runs code": (
        "import fractions\n"
        "class Kept:\n"
        "    def state_dict(self):\n        return {'a': fractions.Fraction(1)}\n"
        "    def load_state_dict(self, state):\n        pass\n" + BEGIN.format(kept="Kept()", inside="pass"),
        r"state of a Kept cannot be kept \(UnpicklingError.*; allowed: a state_dict of tensors",
    ),
    "leaves": ("def fit(training):\n    raise SystemExit(3)\n", r"loop.py:2: fit\(\) failed: SystemExit: 3"),
    "does not run": ("import nothing_of_the_kind\n", r"loop.py:1: running this file failed: ModuleNotFoundError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_loop_that_fails_is_one_line_before_training(tmp_path, name):
    text, message = WRONG[name]
    with pytest.raises(UsageError, match=message) as error:
        training.check_trainable(small(), TASK, blobs(9, 0), blobs(6, 1), recipe(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_loop_that_diverges_is_said_as_any_training_that_does(tmp_path):
    text = BEGIN.format(kept="", inside="next(training.model.parameters()).data.fill_(float('nan'))")
    with pytest.raises(StepError, match=r"the training diverged: .* not finite after epoch 1"):
        trained(tmp_path, recipe(tmp_path, text))


SHAPES = {"image": (3, 8, 8), "sound": (1, 40), "row": (6,)}
CHANGES = {"shift": 1, "crop": 2, "flip": True, "speed": 0.2, "mask_rows": 1, "mask_columns": 1, "mixup": 0.2}
FITS = {"image": set(CHANGES), "sound": set(CHANGES) - {"shift", "crop"}, "row": {"mixup"}}


@pytest.mark.parametrize("kind", TASKS.names())
@pytest.mark.parametrize("form", SHAPES)
def test_samples_are_changed_where_that_leaves_what_is_learnt(kind, form):
    """The targets of some tasks say where something is, and would have to move with it."""
    for name, value in CHANGES.items():
        recipe = Train(1, 0.1, 2, 0.0, **({name: value} if name == "shift" else {"augment": Augment(**{name: value})}))
        moved = name in MOVING and kind in ("segmentation", "detection", "sequence-labelling", "next-token")
        if name in FITS[form] and not moved:
            check_fits(recipe, tasks.create(kind), SHAPES[form], False, "model.train")
            x = torch.rand(4, *SHAPES[form])
            assert augmented(shifted(x, recipe.shift, DRAW), recipe.augment, DRAW).shape == x.shape
            continue
        key = name if name == "shift" else f"augment.{name}"
        with pytest.raises(UsageError, match=rf"^model.train.{key}: found .*; allowed: (0|false), because"):
            check_fits(recipe, tasks.create(kind), SHAPES[form], False, "model.train")


def test_tokens_are_not_mixed():
    recipe = Train(1, 0.1, 2, 0.0, augment=Augment(mixup=0.2))
    with pytest.raises(UsageError, match=r"found 0.2; allowed: 0, because the inputs are tokens"):
        check_fits(recipe, TASK, (9,), True, "model.train")


def test_a_training_begins_with_that_check(tmp_path):
    values = Split(np.zeros((9, 64), np.float32), blobs(9, 0).targets)
    flat, how = torch.nn.Linear(64, 3), Train(3, 0.01, 16, 0.0, augment=Augment(crop=2))
    for begin in (
        lambda: training.train(flat, training.Lesson(TASK, values, values, how, 0), tmp_path),
        lambda: training.check_trainable(flat, TASK, values, values, how),
    ):
        with pytest.raises(UsageError, match=r"^model.train.augment.crop: found 2; allowed: 0, because the inputs are"):
            begin()


class Answers(torch.nn.Module):
    """Knows the classes of `blobs` by their brightness, shifted by one."""

    def forward(self, x):
        level = (x.mean((1, 2, 3)) * 255 - 30) / 90
        return 10 * torch.nn.functional.one_hot((level.round().long() + 1) % 3, 3).float()


@pytest.mark.parametrize(("share", "learnt"), [(1.0, True), (0.0, False)])
def test_a_network_learns_what_its_teacher_says(tmp_path, share, learnt):
    how = Train(epochs=9, lr=0.03, batch_size=16, weight_decay=0.0)
    model, _ = trained(tmp_path, how, loss=training.distilled(TASK, Answers(), share))
    called = training.outputs(model, blobs(60, 2)).argmax(1)
    wanted = (blobs(60, 2).targets + 1) % 3 if learnt else blobs(60, 2).targets
    assert (called == wanted).mean() > 0.9


def test_a_gpu_takes_model_and_batches(tmp_path, monkeypatch):
    """There is none here: what would be moved to it is asked, and torch's meta device stands for it, which computes nothing."""
    moved = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device, memory_format: moved.append(str(device)))
    how = Train(epochs=1, lr=0.01, batch_size=16, weight_decay=0.0, device="auto")
    training.train(small(), training.Lesson(TASK, blobs(9, 0), blobs(6, 1), how, 0), tmp_path)
    assert moved == ["cuda", "cpu"]
    on = Training(small(), TASK, blobs(9, 0), blobs(6, 1), how, 0, course=None)
    on.device = torch.device("meta")
    assert {batch.inputs.device.type for batch in on.batches()} == {"meta"}
    assert {batch.targets.device.type for batch in on.batches()} == {"meta"}
