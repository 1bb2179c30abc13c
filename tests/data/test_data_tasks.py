import gzip
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner import data
from mico_runner.data import idx
from mico_runner.data.tasks import stratified
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
