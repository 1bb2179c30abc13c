"""A teacher and a loop of the user's own in a spec: what is wrong is said at its line, what they hold is part of the result."""

import json

import pytest
import torch

from mico_runner import cli, spec
from mico_runner.errors import UsageError
from mico_runner.frozen_data import build, plain
from mico_runner.sections import Sections
from mico_runner.spec import SpecErrors
from mico_runner.steps.check import check_network
from mico_runner.steps.inputs import chosen, model_inputs
from mico_runner.steps.network import build_model, load_data
from mico_runner.steps.training import loss_of_teacher

LOOP = """
import torch

def fit(training, rate=0.01):
    optimiser = torch.optim.Adam(training.model.parameters(), rate)
    for _ in training.epochs(optimiser):
        for batch in training.batches():
            optimiser.zero_grad()
            training.loss(batch).backward()
            optimiser.step()
"""
SPEC = """
spec_version: 1
name: taught
hardware: host
datasets: {{task: digits, validation: 200}}
model:
  name: mlp
  params: {{hidden: [8]}}
  train:
    epochs: 2
    lr: 0.01
    teacher: {teacher}
    loop: {loop}
steps: [train]
gates: {{}}
"""
TEACHER = "{name: mlp, params: {hidden: [16]}, train: {epochs: 2, lr: 0.01}}"
OWN = "{file: loop.py, entry: fit}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.py").write_text(LOOP, encoding="utf-8")
    (tmp_path / "w.npz").write_bytes(b"")
    return tmp_path


def written(folder, teacher=TEACHER, loop=OWN, more=""):
    path = folder / "taught.yaml"
    path.write_text(SPEC.format(teacher=teacher, loop=loop) + more, encoding="utf-8")
    return path


@pytest.mark.nightly
def test_a_network_is_taught_in_a_loop_of_ones_own(folder, capsys):
    assert cli.main(["run", str(written(folder))]) == 0, capsys.readouterr().err
    steps = folder / "outputs/taught/latest"
    found = json.loads((steps / "metrics.json").read_text(encoding="utf-8"))
    assert found.get("metrics", found)["train.above_chance"]["value"] > 0
    assert "teacher: validation accuracy" in (steps / "log.jsonl").read_text(encoding="utf-8")
    (folder / "loop.py").write_text(LOOP.replace("training.loss(batch)", "training.lost(batch)"), encoding="utf-8")
    assert cli.main(["run", str(folder / "taught.yaml")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{folder}/loop.py:9: fit() failed: AttributeError: 'Training' object has no attribute 'lost'" in said


def sections(path):
    return build(Sections, spec.load(path).data)


def test_a_teacher_is_trained_once_and_its_outputs_are_a_share_of_the_loss(folder):
    torch.set_num_threads(1)
    given, said = sections(written(folder)), []
    samples = load_data(given)
    model, rows = build_model(given, samples), samples.train.first(8)
    losses = [loss_of_teacher(given, samples, model, folder, said.append) for _ in range(2)]
    assert said[0] == said[1] and said[0].startswith("teacher: validation accuracy ")
    checkpoint = folder / "teacher/checkpoint.pt"
    assert checkpoint.is_file()
    outputs, targets = model(torch.from_numpy(rows.floats())), torch.from_numpy(rows.targets)
    one, other = (loss(outputs, targets, torch.from_numpy(rows.floats())).item() for loss in losses)
    assert one == other != samples.task.loss(outputs, targets, outputs).item(), "resumed, not drawn anew"


def test_a_loop_that_fails_is_said_before_anything_trains(folder):
    (folder / "loop.py").write_text(LOOP.replace("training.loss(batch)", "training.lost(batch)"), encoding="utf-8")
    where = rf"^{folder}/loop.py:9: fit\(\) failed: AttributeError: 'Training' object has no attribute 'lost'$"
    with pytest.raises(UsageError, match=where):
        check_network(sections(written(folder)))


WRONG = {
    "no loop file": ({"loop": "{file: none.py, entry: fit}"}, "model.train.loop.file: found 'none.py'; no such file"),
    "no Python": (
        {"loop": "{file: w.npz, entry: fit}"},
        "model.train.loop.file: found 'w.npz'; allowed: a path to a .py",
    ),
    "no such function": ({"loop": "{file: loop.py, entry: fat}"}, "model.train.loop.entry: found 'fat', which"),
    "no entry": ({"loop": "{file: loop.py}"}, "model.train.loop.entry: missing"),
    "outside": ({"loop": "{file: ../loop.py, entry: fit}"}, "allowed: a path below the spec's folder"),
    "knows nothing": (
        {"teacher": "{name: mlp}"},
        "model.train.teacher: found neither weights nor train; allowed: one of",
    ),
    "no network": ({"teacher": "{train: {}}"}, "model.train.teacher: found neither name nor file; allowed: name"),
    "two networks": ({"teacher": "{name: mlp, file: loop.py, train: {}}"}, "teacher: found both name and file"),
    "no such network": ({"teacher": "{name: mlpp, train: {}}"}, "model.train.teacher.name: found 'mlpp'"),
    "no such parameter": (
        {"teacher": "{name: mlp, params: {hiden: [3]}, train: {}}"},
        "model.train.teacher.params.hiden: unknown key",
    ),
    "no such weights": ({"teacher": "{name: mlp, weights: x.npz}"}, "teacher.weights: found 'x.npz'; no such file"),
    "no share": (
        {"teacher": "{name: mlp, weights: w.npz, distillation: 2}"},
        "distillation: found 2; allowed: a number",
    ),
    "a teacher's teacher": (
        {"teacher": "{name: mlp, train: {teacher: {name: mlp}}}"},
        "model.train.teacher.train.teacher: unknown key",
    ),
    "has seen the test": (
        {"teacher": "{name: mlp, weights: w.npz}", "more": "crossvalidate: {folds: 2}\n"},
        "model.train.teacher.train: missing, since weights may have been learnt from the samples that crossvalidate",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line_with_its_place(folder, name):
    given, message = WRONG[name]
    with pytest.raises(SpecErrors) as error:
        spec.load(written(folder, **given))
    (line,) = [line for line in str(error.value).splitlines() if message in line]
    assert "taught.yaml:" in line


def test_a_teacher_of_another_shape_is_refused_before_training(folder):
    net = "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 11))\n"
    (folder / "net.py").write_text(net, encoding="utf-8")
    wanted = r"^model.train.teacher: it returns \(11,\) for a sample; allowed: \(10,\), as the network that it teaches$"
    with pytest.raises(UsageError, match=wanted):
        check_network(sections(written(folder, teacher="{file: net.py, entry: net, train: {epochs: 1}}")))


def test_what_they_hold_is_part_of_the_result(folder):
    def inputs():
        found = sections(written(folder, teacher="{name: mlp, weights: w.npz}"))
        assert chosen(found)["mico_runner.models"] == ["mlp", "mlp"]
        return plain(model_inputs(found))

    before = inputs()
    assert inputs() == before
    (folder / "loop.py").write_text(LOOP.replace("zero_grad()", "zero_grad(True)"), encoding="utf-8")
    other_loop = inputs()
    (folder / "w.npz").write_bytes(b"1")
    assert before["loop"] != other_loop["loop"] and before["teacher"] == other_loop["teacher"] != inputs()["teacher"]
