import gzip
import io
import lzma
import os
import resource
import struct
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner import data, tasks
from mico_runner.data import cifar, idx, loading, source
from mico_runner.data.checks import checked
from mico_runner.data.dataset import Split
from mico_runner.data.loading import stratified
from mico_runner.errors import UsageError


def test_parts_are_all_samples_in_order():
    images = np.arange(10 * 4, dtype=np.uint8).reshape(10, 1, 2, 2)
    parts = list(Split(images, np.arange(10), 2.0).parts(4))
    assert [len(part) for part in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([part.targets for part in parts]), np.arange(10))
    whole = Split(images, np.arange(10), 2.0).floats()
    np.testing.assert_array_equal(np.concatenate([part.floats() for part in parts]), whole)


def test_digits_splits_do_not_overlap_and_cover_the_data():
    task = data.load_data("digits", validation=300, seed=3)
    assert (len(task.train), len(task.validation), len(task.test)) == (997, 300, 500)
    assert task.outputs == 10 and task.input_shape == (1, 8, 8)
    rows = np.concatenate([s.inputs.reshape(len(s), -1) for s in (task.train, task.validation, task.test)])
    from sklearn.datasets import load_digits

    assert sorted(map(bytes, rows)) == sorted(map(bytes, (load_digits().data * 255 / 16).round().astype(np.uint8)))


def test_the_held_out_images_depend_on_the_seed_alone():
    first, same, other = (data.load_data("digits", 100, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.validation.inputs, same.validation.inputs)
    assert not np.array_equal(first.validation.inputs, other.validation.inputs)
    assert np.array_equal(first.test.inputs, other.test.inputs)


@pytest.mark.parametrize("count", [0, -1, 1297])
def test_a_validation_part_that_leaves_nothing_is_refused(count):
    with pytest.raises(UsageError, match="allowed: 1 to 1296"):
        data.load_data("digits", count)


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
    task = data.load_data(name, validation=5000)
    assert (len(task.train), len(task.validation), len(task.test)) == (55000, 5000, 10000)
    assert task.input_shape == (1, 28, 28)
    assert set(np.bincount(task.validation.targets)) <= {500}


PROMISES = 2**20, 2**20, 1  # 2^40 bytes


def test_an_idx_header_that_promises_too_much_is_refused_before_anything_is_allocated(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, *PROMISES)))
    with pytest.raises(UsageError, match=r"a\.gz: its header says 1048576 x 1048576 x 1; allowed: at most"):
        idx.read_idx(path)


def test_what_inflates_beyond_its_header_is_not_inflated(tmp_path):
    """200 MiB of zeros in 200 KiB, behind a header of two bytes: read in parts, given up at once."""
    path = tmp_path / "a.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(struct.pack(">BBBBI", 0, 0, 8, 1, 2))
        for _ in range(200):
            file.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match="more than 2 bytes of data, but its header says 2"):
        idx.read_idx(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024, "KiB"


@pytest.mark.parametrize(("images", "labels"), [((2, 3), (2,)), ((0, 3, 3), (0,)), ((2, 3, 3), (2, 1)), ((), ())])
def test_idx_files_of_another_shape(tmp_path, images, labels):
    files = []
    for name, shape in (("train-images", images), ("train-labels", labels)):
        files.append(write_idx(tmp_path / f"{name}.gz", np.zeros(shape, np.uint8)))
    with pytest.raises(UsageError, match=r"train-(images|labels)\.gz: found .*; allowed: [13] dimensions"):
        idx.load(files)
    with pytest.raises(UsageError, match=r"no file train-images"):
        idx.load(files[1:])


def records(count, labels=1, top=10):
    raw = np.random.default_rng(count).integers(0, 256, (count, labels + 3072), dtype=np.uint8)
    raw[:, :labels] %= top
    return raw


def write_tar(path, members, compress=lzma.compress):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            about = tarfile.TarInfo(f"batches/{name}")
            if isinstance(content, str):
                about.type, about.linkname = tarfile.SYMTYPE, content
            else:
                about.size = len(content)
            archive.addfile(about, None if isinstance(content, str) else io.BytesIO(content))
    path.write_bytes(compress(out.getvalue()))
    return path


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress, bytes])
def test_cifar_batches_are_joined_in_the_order_of_their_names(tmp_path, compress):
    one, two, test = records(5), records(3), records(4)
    members = [("data_batch_2.bin", two), ("readme.txt", b"x"), ("data_batch_1.bin", one), ("test_batch.bin", test)]
    path = write_tar(
        tmp_path / "a.tar", [(n, c if isinstance(c, bytes) else c.tobytes()) for n, c in members], compress
    )
    train, held = cifar.load([path])
    whole = np.concatenate([one, two])
    assert np.array_equal(train.targets, whole[:, 0]) and train.targets.dtype == np.int64
    assert train.inputs.shape == (8, 3, 32, 32) and np.array_equal(train.inputs.reshape(8, -1), whole[:, 1:])
    assert np.array_equal(held.inputs[2, 1, 3], test[2, 1 + 1024 + 96 :][:32]), "plane by plane, row by row"


def test_cifar100_has_two_labels(tmp_path):
    raw = records(6, labels=2, top=20)
    path = write_tar(tmp_path / "a.tar", [("train.bin", raw.tobytes()), ("test.bin", raw.tobytes())])
    classes = {"coarse": 20, "fine": 100}
    for column, use in enumerate(classes):
        assert np.array_equal(cifar.load([path], classes, use)[0].targets, raw[:, column])


GOOD = [("data_batch_1.bin", records(2).tobytes()), ("test_batch.bin", records(2).tobytes())]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (GOOD[:1], r"no test_batch.bin or test.bin in the archive; found data_batch_1.bin"),
        ([], r"no data_batch_\*.bin or train.bin in the archive; found none"),
        ([*GOOD, GOOD[0]], "data_batch_1.bin is there twice"),
        ([*GOOD, ("data_batch_2.bin", "/etc/passwd")], "data_batch_2.bin is no plain file"),
        ([*GOOD, ("data_batch_2.bin", b"x" * 3072)], "data_batch_2.bin has 3072 bytes; allowed: records of 3073 bytes"),
        ([*GOOD, ("data_batch_2.bin", b"")], "data_batch_2.bin has 0 bytes"),
        ([*GOOD, ("data_batch_2.bin", b"\x0a" * 3073)], "data_batch_2.bin: record 0: label is 10; allowed: 0 to 9"),
    ],
)
def test_archives_of_another_form(tmp_path, members, message):
    with pytest.raises(UsageError, match=rf"a\.tar: {message}"):
        cifar.load([write_tar(tmp_path / "a.tar", members)])


def test_an_archive_that_inflates_without_end_is_given_up(tmp_path, monkeypatch):
    """Large members that are passed over, and a batch whose header lies, count towards one limit."""
    monkeypatch.setattr(cifar, "MAX_BYTES", 1 << 20)
    path = write_tar(tmp_path / "a.tar", [*GOOD, ("other.bin", bytes(4 << 20))])
    with pytest.raises(UsageError, match=r"a\.tar: more than 1,048,576 bytes of content"):
        cifar.load([path])
    header = tarfile.TarInfo("data_batch_1.bin")
    header.size = 3073 * 2**40
    path.write_bytes(header.tobuf())
    with pytest.raises(UsageError, match=r"a\.tar: data_batch_1.bin has \d+ bytes; allowed"):
        cifar.load([path])
    path.write_bytes(lzma.compress(write_tar(tmp_path / "b.tar", GOOD, bytes).read_bytes())[:-40])
    with pytest.raises(UsageError, match=r"a\.tar: not a complete xz file"):
        cifar.load([path])


TASK = tasks.create()


def split(count=12, dtype=np.float32):
    return Split(np.ones((count, 1, 4, 4), dtype), np.arange(count) % 3)


def altered(change, **fields):
    """A split of floats, changed in place or with other arrays."""
    made = split()
    if change:
        change(made)
    return Split(fields.get("inputs", made.inputs), fields.get("targets", made.targets))


def put(array, row, value):
    return lambda made: getattr(made, array).__setitem__(row, value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (altered(put("inputs", 4, np.nan)), "image 4 is not finite; allowed: finite numbers"),
        (altered(put("inputs", (7, 0, 1, 1), -np.inf)), "image 7 is not finite"),
        (altered(None, inputs=np.full((12, 1, 4, 4), 1e300)), "image 0 is not finite .and 11 others"),
        (altered(None, inputs=np.ones((12, 1, 4, 4), np.int32)), "images of type int32; allowed: uint8"),
        (
            altered(None, inputs=np.ones((11, 1, 4, 4), np.uint8)),
            "images 11 x 1 x 4 x 4, labels 12; allowed: one label",
        ),
        (altered(None, inputs=np.ones((0, 1, 4, 4)), targets=np.ones(0, int)), "images 0 x 1 x 4 x 4"),
        (altered(None, targets=np.ones((12, 1))), "images .*, labels 12 x 1; allowed: one label"),
        (altered(None, targets=np.append(np.ones(11), 0.5)), "label 11 is 0.5; allowed: whole numbers"),
        (altered(None, targets=np.append(np.nan, np.ones(11))), "label 0 is nan"),
        (altered(None, targets=np.full(12, "cat")), "labels of type <U3; allowed: whole numbers"),
        (altered(put("targets", 3, -1)), "label 3 is -1; allowed: 0 or more"),
        (altered(put("targets", 5, 12)), "label 5 is 12; allowed: "),
    ],
)
def test_what_is_no_image_or_label_is_named_by_part_and_row(wrong, message):
    with pytest.raises(UsageError, match=f"mine: train:? {message}"):
        checked("mine", TASK, wrong, split())
    with pytest.raises(UsageError, match=f"mine: test:? {message}"):
        checked("mine", TASK, split(), wrong)


def test_images_of_two_shapes_are_refused():
    with pytest.raises(UsageError, match="train images are 1 x 4 x 4, test images 1 x 4 x 5"):
        checked("mine", TASK, split(), Split(np.ones((2, 1, 4, 5)), np.zeros(2, int)))


@pytest.mark.parametrize("labels", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("images", [np.uint8, np.float32, np.float64])
def test_whole_labels_and_finite_images_of_any_type_are_taken(images, labels):
    given = Split(np.ones((6, 2), images), np.arange(6).astype(labels))
    for part in checked("mine", TASK, given, given):
        assert part.targets.dtype == np.int64 and part.targets.tolist() == list(range(6))
        assert part.inputs.dtype == (np.uint8 if images == np.uint8 else np.float32)


def test_the_loader_of_a_task_is_checked(monkeypatch):
    monkeypatch.setattr(data.LOADERS, "get", lambda name: lambda files: (altered(put("inputs", 9, np.nan)), split()))
    with pytest.raises(UsageError, match="digits: train image 9 is not finite"):
        data.load_data("digits")


def test_the_first_samples_of_ones_own_data_are_of_all_classes(tmp_path):
    """A folder's files come class by class; calibration takes the first samples of train, a short simulation those of test."""
    labels = np.repeat(np.arange(6), 50)
    np.savez(tmp_path / "sorted.npz", x=labels[:, None].astype(np.float32), y=labels)
    found = loading.load(source.source_of({"npz": str(tmp_path / "sorted.npz")}), validation=30)
    for part in (found.train, found.test):
        assert set(part.first(6).targets.tolist()) == set(range(6))
        assert np.array_equal(part.floats()[:, 0], part.targets), "each input with its own target"


def test_inputs_of_one_dimension_are_refused():
    flat = Split(np.ones(12, np.float32), np.arange(12) % 3)
    with pytest.raises(UsageError, match="mine: train: images 12, labels 12; allowed"):
        checked("mine", TASK, flat, flat)
