"""`mico-run init` writes a spec for a network and data of one's own, whatever they are for."""

import numpy as np
import pytest

from mico_runner import cli, spec
from mico_runner.frozen_data import build
from mico_runner.sections import Sections
from mico_runner.steps.check import check_network
from mico_runner.tasks import TASKS, create

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (24, 1, 8, 8)).astype(np.uint8)
ROWS, TOKENS = DRAW.random((24, 6)).astype(np.float32), DRAW.integers(0, 5, (24, 7))
LABELS, BOX = np.arange(24) % 2, np.tile(np.float32([0, 0.5, 0.5, 0.3, 0.3]), (24, 1, 1))
DATA = {  # inputs, targets, a network for them
    "classification": (IMAGES, LABELS, "nn.Flatten(), nn.Linear(64, 2)"),
    "multi-label": (IMAGES, np.stack([LABELS, 1 - LABELS], 1), "nn.Flatten(), nn.Linear(64, 2)"),
    "regression": (ROWS, ROWS.sum(1), "nn.Linear(6, 1)"),
    "segmentation": (IMAGES, (IMAGES[:, 0] > 99).astype(int), "nn.Conv2d(1, 2, 3, padding=1)"),
    "anomaly": (IMAGES, LABELS, "nn.Conv2d(1, 1, 3, padding=1), nn.Sigmoid()"),
    "detection": (IMAGES, BOX, "nn.Conv2d(1, 6, 4, stride=4)"),
    "sequence-labelling": (TOKENS, TOKENS % 2, "nn.Embedding(5, 4), nn.Linear(4, 2)"),
    "next-token": (TOKENS[:, :-1], TOKENS[:, 1:], "nn.Embedding(5, 4), nn.Linear(4, 5)"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_kind_of_task_is_tried():
    """Those of the package: another test may have plug-ins in use."""
    assert set(DATA) == {name for name in TASKS.names() if TASKS.info(name).path is None}


@pytest.mark.parametrize("kind", DATA)
def test_a_spec_for_every_kind_of_task(folder, kind):
    inputs, targets, layers = DATA[kind]
    np.savez("own.npz", x=inputs, y=targets)
    (folder / "net.py").write_text(f"from torch import nn\n\n\ndef net():\n    return nn.Sequential({layers})\n")
    given = ["--hardware", "bitfusion", "--model", "net.py", "--data", "own.npz", "--kind", kind, "-o", "own.yaml"]
    assert cli.main(["init", *given]) == 0
    found = build(Sections, spec.load("own.yaml").data)
    check_network(found)
    limited = "quality" in vars(found.search.constraints) and found.search.constraints.quality is not None
    assert limited == (create(kind).MEASURE.unit == "%")


def test_what_a_kind_needs_is_said(folder, capsys):
    assert cli.main(["init", "--hardware", "host", "--kind", "regression"]) == 2
    assert "--kind regression; allowed: with --data" in capsys.readouterr().err
    assert cli.main(["init", "--hardware", "host", "--kind", "regresion"]) == 2
    assert "unknown task 'regresion'; did you mean 'regression'?" in capsys.readouterr().err
