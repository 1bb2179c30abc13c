"""Data of one's own that is wrong is one line before anything trains, whatever it is for."""

import numpy as np
import pytest
import yaml
from PIL import Image

from mico_runner import spec
from mico_runner.errors import UsageError
from mico_runner.frozen_data import build
from mico_runner.sections import Sections
from mico_runner.steps.check import check_network

DRAW = np.random.default_rng(0)
IMAGES, LABELS = DRAW.integers(0, 256, (24, 1, 8, 8)).astype(np.uint8), np.arange(24) % 2
ROWS, TOKENS = DRAW.random((24, 6)).astype(np.float32), DRAW.integers(0, 5, (24, 7))
MASKS, TEXT = (IMAGES[:, 0] > 99).astype(int), TOKENS[:, :-1]
FLAT, PIXELS, SCORES = "nn.Flatten(), nn.Linear(64, 6)", "nn.Conv2d(1, 2, 3, padding=1)", "nn.Linear(4, 5)"


def changed(array, place, value):
    array = np.array(array)
    array[place] = value
    return array


WRONG = {  # kind, inputs, targets, layers, what is said
    "one-hot labels": (
        "classification",
        IMAGES,
        np.eye(2)[LABELS],
        FLAT,
        "labels 24 x 2; allowed: one label per image",
    ),
    "a column of labels": (
        "classification",
        IMAGES,
        LABELS[:, None],
        FLAT,
        "labels 24 x 1; allowed: one label per image",
    ),
    "one class": ("classification", IMAGES, LABELS * 0, FLAT, "all labels are 0; allowed: two classes or more"),
    "an empty class": (
        "classification",
        IMAGES,
        LABELS * 5,
        FLAT,
        "class 1 has no sample; allowed: one or more of each, 0 to 5",
    ),
    "labels beyond int64": (
        "classification",
        IMAGES,
        np.full(24, 2**63, np.uint64),
        FLAT,
        "label 0 is 9223372036854775808",
    ),
    "labels of text": ("multi-label", IMAGES, np.array(["a"] * 24), FLAT, "targets 24; allowed: (N, labels)"),
    "boxes in labels": ("multi-label", IMAGES, np.zeros((24, 2, 3)), FLAT, "targets 24 x 2 x 3; allowed: (N, labels)"),
    "one amount": (
        "regression",
        ROWS,
        np.ones(24),
        "nn.Linear(6, 1)",
        "target 0 is 1 of all samples; allowed: some that differ",
    ),
    "masks with channels": (
        "segmentation",
        IMAGES,
        MASKS[:, None],
        PIXELS,
        "targets 24 x 1 x 8 x 8; allowed: a class for each",
    ),
    "no object": ("segmentation", IMAGES, MASKS * 0, PIXELS, "all pixels are of class 0, the background"),
    "masks not finite": ("segmentation", IMAGES, changed(MASKS * 1.0, (3, 2, 2), np.nan), PIXELS, "target 3 is nan"),
    "boxes of text": ("detection", IMAGES, np.array(["a"] * 24), PIXELS, "allowed: boxes (N, most, 5) of images"),
    "labels in boxes": ("anomaly", IMAGES, np.zeros((24, 2)), PIXELS, "targets 24 x 2; allowed: one label per input"),
    "tokens beyond the table": (
        "next-token",
        changed(TEXT, (3, 2), 9),
        TOKENS[:, 1:],
        SCORES,
        "has the token 9; allowed: those",
    ),
    "tokens beyond the scores": (
        "next-token",
        TEXT,
        changed(TOKENS[:, 1:], (3, 2), 9),
        SCORES,
        "allowed: (N, 6, 10), a score",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(task, layers, train=None):
    with open("net.py", "w", encoding="utf-8") as file:
        file.write(f"from torch import nn\n\n\ndef net():\n    return nn.Sequential({layers})\n")
    model = {"file": "net.py", "entry": "net", "train": train or {"epochs": 1}}
    written = {"spec_version": 1, "name": "own", "hardware": "host", "datasets": {"task": task}, "model": model}
    with open("own.yaml", "w", encoding="utf-8") as file:
        yaml.safe_dump({**written, "codegen": {}}, file)
    check_network(build(Sections, spec.load("own.yaml").data))


def said(task, layers, train=None):
    with pytest.raises(UsageError) as error:
        checked(task, layers, train)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_targets_and_inputs(folder, name):
    kind, inputs, targets, layers, message = WRONG[name]
    np.savez("own.npz", x=inputs, y=targets)
    found = said({"npz": "own.npz", "kind": kind}, f"nn.Embedding(5, 4), {layers}" if kind == "next-token" else layers)
    assert message in found and ("own.npz" in found or "returns" in found)


def test_a_token_of_the_test_part_counts(folder):
    np.savez("own.npz", x=TEXT, y=TOKENS[:, 1:], x_test=TEXT[:3] * 0 + 9, y_test=TOKENS[:3, 1:])
    task = {"npz": "own.npz", "kind": "next-token"}
    assert "test input 0 has the token 9" in said(task, f"nn.Embedding(5, 4), {SCORES}")


def test_classes_are_not_drawn_equally_where_there_are_none(folder):
    np.savez("own.npz", x=ROWS, y=ROWS.sum(1))
    found = said({"npz": "own.npz", "kind": "regression"}, "nn.Linear(6, 1)", {"epochs": 1, "balance": True})
    assert found == "model.train.balance: found true; allowed: false, because the targets have no classes"


def test_names_of_classes_are_no_amounts(folder):
    (folder / "own.csv").write_text("a,y\n" + "1,p\n2,q\n" * 12, encoding="utf-8")
    found = said({"csv": "own.csv", "target": "y", "kind": "regression"}, "nn.Linear(1, 1)")
    assert found.endswith("own.csv: its targets are names of classes; allowed: numbers, for the kind regression")


def test_pixels_damaged_behind_a_whole_header(folder):
    for number in range(12):
        place = folder / "pictures" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[number, 0]).save(place / f"{number}.png")
    cut = folder / "pictures/a/4.png"
    cut.write_bytes(cut.read_bytes()[:60])
    found = said({"images": "pictures", "color": "grey"}, FLAT)
    assert f"{cut}: not a whole image (OSError: image file is truncated)" in found
