"""Arrays of the user's own in an .npz file."""

import numpy as np
import pytest

from mico_runner.data import npz
from mico_runner.errors import UsageError

X = np.arange(24, dtype=np.float32).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])


def load(path, **arrays):
    np.savez(path / "a.npz", **arrays)
    return npz.load([path / "a.npz"])


def test_arrays_are_parts_and_facts(tmp_path):
    train, test = load(tmp_path, x=X, y=Y, who=np.array(list("aabbcc")))
    assert test is None and train.about["who"].tolist() == list("aabbcc")
    np.testing.assert_array_equal(train.inputs, X)
    train, test = load(tmp_path, x=X, y=Y, x_test=X[:2], y_test=Y[:2])
    assert len(train) == 6 and test.targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "no array y in the file; found x; allowed: x and y"),
        ({"x": X, "y": Y, "x_test": X}, "no array y_test in the file"),
        ({"x": X, "y": Y[:5]}, "samples in its arrays: x 6, y 5; allowed: as many in each"),
        ({"x": X[:0], "y": Y[:0]}, "samples in its arrays: x 0, y 0"),
        ({"x": np.float32(1), "y": Y}, "samples in its arrays: x 0, y 6"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y[:1]}, "samples in its arrays: x_test 6, y_test 1"),
        ({"x": X, "y": Y, "who": np.zeros(5)}, r"array who has shape \(5,\); allowed: \(6,\), a fact of each sample"),
        ({"x": np.array([{}] * 6), "y": Y}, "not a whole .npz file of plain arrays"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    with pytest.raises(UsageError, match=rf"a\.npz: {message}"):
        load(tmp_path, **arrays)


def test_what_inflates_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match=r"inflates to .* bytes; allowed: at most 100"):
        load(tmp_path, x=X, y=Y)


def test_a_damaged_file_is_named(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=X, y=Y)
    raw = (tmp_path / "a.npz").read_bytes()
    for damaged in (b"", raw[:-30], raw[:60] + b"x" + raw[61:]):
        (tmp_path / "a.npz").write_bytes(damaged)
        with pytest.raises(UsageError, match=r"a\.npz: not a whole \.npz file"):
            npz.load([tmp_path / "a.npz"])
