"""Data that a Python file of the user's own makes."""

import numpy as np
import pytest

from mico_runner.data import decoded, loading, python_file
from mico_runner.data.source import Parting, Source
from mico_runner.errors import UsageError

FILE = """
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset

X, Y = np.arange(24, dtype=np.float32).reshape(8, 3), np.arange(8) % 2

def pair():
    return X, Y

def tensors(scale=1):
    return [torch.tensor(X * scale), torch.tensor(Y)]

def facts():
    return X, Y, {"who": list("aabbccdd")}

def parts():
    return {"train": (X, Y), "test": Images(3)}

class Images(Dataset):
    def __init__(self, count=5, wrong=None):
        self.count, self.wrong = count, wrong

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        if i == self.wrong or (i == 2 and Path(__file__).with_name("gone").exists()):
            raise RuntimeError("the disk is gone")
        return torch.full((3,), float(i)), i % 2

def returns(what):
    return eval(what)

def pandas_text():
    import pandas as pd
    return X, Y, {"who": pd.Series(list("aabbccdd"))}

def with_neighbour():
    from beside import VALUES
    return VALUES, Y
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def load(file, entry, **params):
    return python_file.load([file], entry, params)


X = np.arange(24, dtype=np.float32).reshape(8, 3)


def test_arrays_tensors_and_facts(file):
    for entry in ("pair", "tensors", "facts", "pandas_text"):
        train, test = load(file, entry)
        assert test is None
        np.testing.assert_array_equal(train.floats(), X)
        assert train.targets.tolist() == [0, 1] * 4
        if train.about:
            assert train.about["who"].tolist() == list("aabbccdd")
    np.testing.assert_array_equal(load(file, "tensors", scale=3)[0].floats(), 3 * X)


def test_a_data_set_of_torch_is_read_sample_by_sample(file):
    train, test = load(file, "parts")
    assert len(train) == 8 and len(test) == 3
    np.testing.assert_array_equal(test.floats(), np.repeat(np.arange(3.0), 3).reshape(3, 3))
    assert test.targets.tolist() == [0, 1, 0] and test.inputs.dtype == np.float32


def test_what_does_not_fit_is_read_again(file, monkeypatch):
    held, _ = load(file, "Images")
    monkeypatch.setattr(decoded, "HELD_BYTES", 0)
    train, _ = load(file, "Images")
    np.testing.assert_array_equal(train.floats(), held.floats())
    (file.parent / "gone").touch()
    held.floats()
    with pytest.raises(UsageError, match=r"mine\.py:\d+: Images\(\)\[2\] failed: RuntimeError: the disk is gone"):
        train.floats()


def test_modules_beside_the_file_are_imported(file):
    (file.parent / "beside.py").write_text("import numpy as np\nVALUES = np.ones((8, 2))\n")
    assert load(file, "with_neighbour")[0].inputs.shape == (8, 2)


def test_facts_part_the_data(file):
    parting = Parting(hold_out={"who": ("c",)})
    data = loading.load(Source(None, file, "file", {"entry": "facts", "params": {}}, parting=parting), validation=2)
    assert data.test.floats()[:, 0].tolist() == [12, 15]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("3", "returned int; allowed: "),
        ("None", "returned NoneType; allowed: "),
        ("X", "returned ndarray; allowed: "),
        ("'data.npz'", "returned str; allowed: "),
        ("(X,)", "returned 1 values; allowed: "),
        ("(X, Y, {}, 1)", "returned 4 values; allowed: "),
        ("(X, Y, [1])", "returned facts of type list; allowed: a dict"),
        ("(X, Y, {'who': [1]})", "returned 1 of who for 8 inputs; allowed: one each"),
        ("(X, Y[:3])", "returned 3 of targets for 8 inputs; allowed: one each"),
        ("(X, 3)", "returned no list of targets for 8 inputs"),
        ("([[1], [1, 2]], [0, 1])", "its inputs make no array"),
        ("([None, {}], [0, 1])", "its inputs are of type object; allowed: numbers"),
        ("(X + 1j, Y)", "its inputs are of type complex64; allowed: numbers"),
        ("{'training': (X, Y)}", "returned a dict of training; allowed: train, or train and test"),
        ("{'train': {'train': (X, Y)}}", r"\['train'\] returned dict; allowed: "),
        ("{'train': 3}", r"\['train'\] returned int; allowed: "),
        ("{}", "returned a dict of no keys"),
        ("Images(0)", "returned a data set without samples; allowed: one or more"),
        ("TensorDataset(torch.tensor(X))", "sample 0 is 1 values; allowed: an input and a target"),
        ("TensorDataset(torch.tensor(X, dtype=torch.int64), torch.tensor(Y))", "sample 0 has an input of type int64"),
        ("TensorDataset(torch.tensor(X) / 0, torch.tensor(Y))", "sample 0 has an input that is not finite"),
        ("range(3)", "sample 0 is int; allowed: an input and a target"),
        ("Images(5, wrong=3)", r"\[3\] failed: RuntimeError: the disk is gone"),
    ],
)
def test_what_is_no_data_is_one_line(file, returned, message):
    with pytest.raises(UsageError, match=message) as caught:
        load(file, "returns", what=returned)
    assert "mine.py" in str(caught.value) and "\n" not in str(caught.value)


SAMPLES = """
import numpy as np

class Odd:
    def __len__(self):
        return 3
    def __getitem__(self, i):
        return {}

def made():
    return Odd()
"""


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ("(np.zeros(i + 1), 0)", r"sample 1 has an input \(2,\) of float32; allowed: \(1,\) of float32, as the first"),
        ("(np.zeros(2, np.uint8 if i else float), 0)", "sample 1 has an input .* of uint8; allowed: .* of float32"),
        ("('a', 0)", "sample 0 has an input of type str; allowed: an array or a tensor"),
        ("(np.zeros(2), np.zeros(i))", "its targets make no array"),
        ("(np.zeros(2), {})", "its targets are of type object"),
        ("3", "sample 0 is int; allowed: an input and a target"),
        ("1 / 0", r"mine\.py:8: made\(\)\[0\] failed: ZeroDivisionError"),
    ],
)
def test_samples_that_are_none(file, samples, message):
    file.write_text(SAMPLES.format(samples))
    with pytest.raises(UsageError, match=message) as caught:
        load(file, "made")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "params", "message"),
    [
        ("absent", {}, "mine.py has no 'absent'"),
        ("X", {}, "'X' is of type ndarray; allowed: a function or class"),
        ("tensors", {"size": 3}, r"mine\.py: tensors\(size=3\) failed: TypeError"),
        ("returns", {"what": "1 / 0"}, r"mine\.py:\d+: returns\(what='1 / 0'\) failed: ZeroDivisionError"),
        ("with_neighbour", {}, r"mine\.py:\d+: with_neighbour\(\) failed: ModuleNotFoundError"),
    ],
)
def test_what_fails_has_its_line(file, entry, params, message):
    with pytest.raises(UsageError, match=message):
        load(file, entry, **params)
