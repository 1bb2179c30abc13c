"""`datasets.task` as a mapping: what is wrong with it is said by `validate`, which neither reads the data nor runs a file of the user's."""

import re

import numpy as np
import pytest
from PIL import Image

from mico_runner import cli, spec
from mico_runner.frozen_data import build
from mico_runner.sections import Sections
from mico_runner.steps.inputs import LISTED, data_inputs

SPEC = """\
spec_version: 1
name: own
datasets:
  task: {task}
  validation: 4
model: {{name: mlp, train: {{epochs: 1}}}}
codegen: {{}}
"""
FILE = """
import numpy as np
from beside import COUNT

print("running")

def made(count=COUNT):
    return np.zeros((count, 4), np.float32), np.arange(count) % 2

def unused():
    return 1
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    (tmp_path / "beside.py").write_text("COUNT = 40\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("my own data")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "photos").mkdir()
    return tmp_path


def validate(own, task, capsys):
    (own / "own.yaml").write_text(SPEC.format(task=task), encoding="utf-8")
    code = cli.main(["validate", "own.yaml"])
    said = capsys.readouterr()
    assert "running" not in said.out + said.err
    return code, said.err


def inputs(own, task):
    (own / "own.yaml").write_text(SPEC.format(task=task), encoding="utf-8")
    return data_inputs(build(Sections, spec.load("own.yaml").data))


@pytest.mark.parametrize(
    "task",
    [
        "{file: mine.py, entry: made}",
        "{file: mine.py, entry: made, params: {count: 20}, split: {test: 0.5}}",
        "{file: mine.py, entry: made, reads: [t.csv, photos]}",
        "{csv: t.csv, target: b}",
        "{csv: t.csv, target: [b, c], columns: [a], delimiter: ';'}",
        "{images: photos, size: [8, 8], crop: true, color: grey, names: '{{label}}_{{who}}', split: {group_by: who}}",
        "{audio: photos, rate: 16000, seconds: 1, features: {frame: 640, hop: 320, bands: 40, low: 20, high: 4000}}",
        "{audio: photos, features: null}",
    ],
)
def test_what_is_right_says_nothing(own, capsys, task):
    assert validate(own, task, capsys) == (0, "")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("{file: mine.py}", "own.yaml:4:9: datasets.task.entry: missing; allowed: text"),
        (
            "{file: mine.py, entry: maid}",
            "datasets.task.entry: found 'maid', which .*mine.py does not define; allowed: .*",
        ),
        ("{file: t.csv, entry: made}", r"datasets.task.entry: found 'made', which .*t\.csv does not define"),
        ("{file: README.md, entry: made}", r"datasets.task.file: .*README\.md:1: this is no Python"),
        ("{file: photos, entry: made}", "datasets.task.file: found 'photos'; it is not a file"),
        (
            "{file: mine.py, entry: made, reads: [t.csv, x.h5]}",
            r"datasets.task.reads\[1\]: found 'x.h5'; no such file or",
        ),
        ("{csv: t.csv}", "datasets.task.target: missing; allowed: a column's name, or a list"),
        ("{csv: t.csv, target: []}", "datasets.task.target: found .*; allowed: a column's name, or a list"),
        ("{csv: t.csv, target: b, delimiter: '.'}", "datasets.task.delimiter: found '.'; allowed: one of"),
        ("{images: t.csv}", "datasets.task.images: found 't.csv'; it is not a folder"),
        ("{images: photos, size: 8}", "datasets.task.size: found 8; allowed: "),
        ("{images: photos, size: [8]}", "datasets.task.size: found .*; allowed: "),
        ("{images: photos, size: [8, 0]}", r"datasets.task.size\[1\]: found 0; allowed: "),
        ("{images: photos, rate: 8}", "datasets.task.rate: unknown key"),
        ("{images: photos, color: blue}", "datasets.task.color: found 'blue'; allowed: one of rgb, grey"),
        ("{audio: photos, rate: 10}", "datasets.task.rate: found 10; allowed: "),
        ("{audio: photos, seconds: 0}", "datasets.task.seconds: found 0; allowed: "),
        (
            "{audio: photos, features: {frame: 640}}",
            "datasets.task.features.hop: missing; allowed: a whole number from 1",
        ),
        ("{audio: photos, images: photos}", "datasets.task: found audio and images; allowed: exactly one of"),
    ],
)
def test_what_is_wrong_is_said_by_validate(own, capsys, task, message):
    code, said = validate(own, task, capsys)
    assert code == 2 and re.search(message, said), said


def test_results_depend_on_what_the_entry_uses(own):
    task = "{file: mine.py, entry: made}"
    before = inputs(own, task)
    (own / "mine.py").write_text(FILE.replace("return 1", "return 2"), encoding="utf-8")
    assert inputs(own, task) == before, "no part of it"
    (own / "beside.py").write_text("COUNT = 41\n", encoding="utf-8")
    assert inputs(own, task) != before
    reading = task.replace("made", "made, reads: [t.csv, photos]")
    before = inputs(own, reading)
    (own / "photos" / "more.txt").write_text("x")
    changed = inputs(own, reading)
    assert changed != before
    (own / "t.csv").write_text("other")
    assert inputs(own, reading) not in (before, changed)
    assert inputs(own, task.replace("made", "made, params: {count: 8}")) != inputs(own, task)


@pytest.mark.parametrize("count", [3, LISTED + 1])
def test_results_depend_on_every_file_of_a_folder(own, count):
    task = "{images: photos}"
    linked = own / "elsewhere"
    linked.mkdir()
    (own / "photos" / "class").symlink_to(linked)
    (linked / "back").symlink_to(own / "photos")  # round and round: followed once
    for i in range(count):
        (linked / f"{i}.png").write_bytes(b"x")
    before = inputs(own, task)
    assert inputs(own, task) == before
    (linked / "2.png").write_bytes(b"y")
    changed = inputs(own, task)
    assert changed != before
    (linked / "2.png").rename(linked / "new.png")
    assert inputs(own, task) not in (before, changed)


def test_a_network_is_trained_on_a_table_and_on_what_a_file_makes(own, capsys):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 4))
    lines = [",".join(map(str, row)) + f",{'up' if row[0] > 0 else 'down'}\n" for row in values]
    (own / "t.csv").write_text("a,b,c,d,way\n" + "".join(lines))
    for task in ("{csv: t.csv, target: way}", "{file: mine.py, entry: made}"):
        (own / "own.yaml").write_text(SPEC.format(task=task), encoding="utf-8")
        assert cli.main(["run", "own.yaml", "--quiet", "--set", "gates=null"]) == 0, capsys.readouterr().err


def test_damage_behind_a_header_is_said_before_anything_trains(own, capsys):
    for label in ("dark", "light"):
        (own / "photos" / label).mkdir()
        for i in range(20):
            array = np.full((8, 8, 3), 20 + 200 * (label == "light") + i, np.uint8)
            Image.fromarray(array).save(own / "photos" / label / f"{i}.bmp")
    (own / "own.yaml").write_text(SPEC.format(task="{images: photos}"), encoding="utf-8")
    path = own / "photos" / "light" / "7.bmp"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    command = ["run", "own.yaml", "--quiet", "--set", "gates=null"]
    code, said = cli.main(command), capsys.readouterr().err.strip()
    assert code == 2, said  # before anything trains
    assert "photos/light/7.bmp: not a whole image (OSError: image file is truncated" in said and "\n" not in said
    path.write_bytes(whole)
    assert cli.main(command) == 0
