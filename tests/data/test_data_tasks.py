import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner import data
from mico_runner.data import idx
from mico_runner.data.checks import checked
from mico_runner.data.tasks import Split, stratified
from mico_runner.errors import UsageError


def test_digits_splits_do_not_overlap_and_cover_the_data():
    task = data.load_task("digits", validation=300, seed=3)
    assert (len(task.train), len(task.validation), len(task.test)) == (997, 300, 500)
    assert task.classes == 10 and task.input_shape == (1, 8, 8)
    rows = np.concatenate([s.images.reshape(len(s), -1) for s in (task.train, task.validation, task.test)])
    from sklearn.datasets import load_digits

    assert sorted(map(bytes, rows)) == sorted(map(bytes, (load_digits().data * 255 / 16).round().astype(np.uint8)))


def test_the_held_out_images_depend_on_the_seed_alone():
    first, same, other = (data.load_task("digits", 100, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.validation.images, same.validation.images)
    assert not np.array_equal(first.validation.images, other.validation.images)
    assert np.array_equal(first.test.images, other.test.images)


@pytest.mark.parametrize("count", [0, -1, 1297])
def test_a_validation_part_that_leaves_nothing_is_refused(count):
    with pytest.raises(UsageError, match="allowed: 1 to 1296"):
        data.load_task("digits", count)


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), seed=st.integers(0, 99), data_=st.data())
def test_stratified_takes_the_count_and_spreads_it_evenly(labels, seed, data_):
    labels = np.array(labels)
    count = data_.draw(st.integers(0, len(labels)))
    mask = stratified(labels, count, np.random.default_rng(seed))
    assert mask.sum() == count
    taken = np.bincount(labels[mask], minlength=5)
    have = np.bincount(labels, minlength=5)
    short = taken < have  # classes that still had images
    if short.any():
        assert taken.max() - taken[short].min() <= 1


def write_idx(path, array, magic=8):
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, magic, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes()))
    return path


def test_idx_round_trip_and_damage(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = write_idx(tmp_path / "a.gz", array)
    assert np.array_equal(idx.read_idx(path), array)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(UsageError, match="not a complete gzip file"):
        idx.read_idx(path)
    path.write_bytes(gzip.compress(gzip.decompress(whole)[:-1]))
    with pytest.raises(UsageError, match=r"23 bytes of data, but its header says 2 x 3 x 4"):
        idx.read_idx(path)
    with pytest.raises(UsageError, match="expected 000008"):
        idx.read_idx(write_idx(tmp_path / "b.gz", array, magic=13))


@pytest.mark.skipif("MICO_DATA_MIRROR" not in os.environ, reason="MICO_DATA_MIRROR is not set: no MNIST")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_official_files(name):
    task = data.load_task(name, validation=5000)
    assert (len(task.train), len(task.validation), len(task.test)) == (55000, 5000, 10000)
    assert task.input_shape == (1, 28, 28)
    assert set(np.bincount(task.validation.labels)) <= {500}


def split(count=12, dtype=np.float32):
    return Split(np.ones((count, 1, 4, 4), dtype), np.arange(count) % 3)


def altered(change, **fields):
    """A split of floats, changed in place or with other arrays."""
    made = split()
    if change:
        change(made)
    return Split(fields.get("images", made.images), fields.get("labels", made.labels))


def put(array, row, value):
    return lambda made: getattr(made, array).__setitem__(row, value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (altered(put("images", 4, np.nan)), "image 4 is not finite; allowed: finite numbers"),
        (altered(put("images", (7, 0, 1, 1), -np.inf)), "image 7 is not finite"),
        (altered(None, images=np.full((12, 1, 4, 4), 1e300)), "image 0 is not finite .and 11 others"),
        (altered(None, images=np.ones((12, 1, 4, 4), np.int32)), "images of type int32; allowed: uint8"),
        (
            altered(None, images=np.ones((11, 1, 4, 4), np.uint8)),
            "images 11 x 1 x 4 x 4, labels 12; allowed: one label",
        ),
        (altered(None, images=np.ones((0, 1, 4, 4)), labels=np.ones(0, int)), "images 0 x 1 x 4 x 4"),
        (altered(None, labels=np.ones((12, 1))), "images .*, labels 12 x 1; allowed: one label"),
        (altered(None, labels=np.append(np.ones(11), 0.5)), "label 11 is 0.5; allowed: whole numbers"),
        (altered(None, labels=np.append(np.nan, np.ones(11))), "label 0 is nan"),
        (altered(None, labels=np.full(12, "cat")), "labels of type <U3; allowed: whole numbers"),
        (altered(put("labels", 3, -1)), "label 3 is -1; allowed: 0 or more"),
        (altered(put("labels", 5, 12)), "label 5 is 12; allowed: "),
    ],
)
def test_what_is_no_image_or_label_is_named_by_part_and_row(wrong, message):
    with pytest.raises(UsageError, match=f"mine: train:? {message}"):
        checked("mine", wrong, split())
    with pytest.raises(UsageError, match=f"mine: test:? {message}"):
        checked("mine", split(), wrong)


def test_images_of_two_shapes_are_refused():
    with pytest.raises(UsageError, match="train images are 1 x 4 x 4, test images 1 x 4 x 5"):
        checked("mine", split(), Split(np.ones((2, 1, 4, 5)), np.zeros(2, int)))


@pytest.mark.parametrize("labels", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("images", [np.uint8, np.float32, np.float64])
def test_whole_labels_and_finite_images_of_any_type_are_taken(images, labels):
    given = Split(np.ones((6, 2), images), np.arange(6).astype(labels))
    for part in checked("mine", given, given):
        assert part.labels.dtype == np.int64 and part.labels.tolist() == list(range(6))
        assert part.images.dtype == (np.uint8 if images == np.uint8 else np.float32)


def test_the_loader_of_a_task_is_checked(monkeypatch):
    monkeypatch.setattr(data.LOADERS, "get", lambda name: lambda files: (altered(put("images", 9, np.nan)), split()))
    with pytest.raises(UsageError, match="digits: train image 9 is not finite"):
        data.load_task("digits")
