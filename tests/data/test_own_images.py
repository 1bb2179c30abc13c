"""Folders of images: parts, classes, facts, sizes; what is none is named; memory does not grow with the folder."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mico_runner.data import decoded, images, loading
from mico_runner.data.source import Parting, Source
from mico_runner.errors import UsageError


def pixels(seed, height=6, width=8, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def write(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images."""
    for label in ("dog", "cat"):
        for i in range(3):
            write(tmp_path / "photos" / label / f"{i}.png", pixels(10 * (label == "dog") + i))
    return tmp_path / "photos"


def test_classes_are_folders_in_the_order_of_their_names(folder):
    (folder / ".hidden").write_text("")
    (folder / "README.md").write_text("photos of mine")
    train, test = images.load([folder])
    assert test is None
    assert train.targets.tolist() == [0, 0, 0, 1, 1, 1] and train.targets.dtype == np.int64
    assert train.about["label"].tolist() == ["cat"] * 3 + ["dog"] * 3
    assert train.about["file"].tolist()[2:4] == ["cat/2.png", "dog/0.png"]
    assert train.inputs.shape == (6, 3, 6, 8) and train.inputs.dtype == np.uint8
    found = train.inputs.read(np.array([5, 0, 5]))
    for image, seed in zip(found, (12, 0, 12), strict=True):
        np.testing.assert_array_equal(image, pixels(seed).transpose(2, 0, 1))
    np.testing.assert_array_equal(train.take(slice(1, 3)).floats(), train.floats()[1:3])


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path):
    for label in ("10", "9", "0"):
        write(tmp_path / label / "a.png", pixels(int(label)))
    train, _ = images.load([tmp_path])
    assert dict(zip(train.about["label"], train.targets, strict=True)) == {"0": 0, "9": 1, "10": 2}


@pytest.mark.parametrize("test", ["test", "val", "validation"])
def test_parts_are_folders_of_classes(tmp_path, test):
    for part, label, seed in (("train", "b", 0), ("train", "a", 1), (test, "b", 2)):
        write(tmp_path / part / label / "x.png", pixels(seed))
    train, held = images.load([tmp_path])
    assert train.targets.tolist() == [0, 1] and held.targets.tolist() == [1], "numbers of the training part"
    np.testing.assert_array_equal(held.inputs.read(np.arange(1))[0], pixels(2).transpose(2, 0, 1))
    assert held.about["file"].tolist() == [f"{test}/b/x.png"]


def test_names_say_class_and_facts(tmp_path):
    for i, name in enumerate(("yes_ann_1", "no_bob_1", "yes_bob_2")):
        write(tmp_path / f"{name}.png", pixels(i))
    train, _ = images.load([tmp_path], names="{label}_{speaker}_{take}")
    assert train.targets.tolist() == [0, 1, 1]
    assert train.about["speaker"].tolist() == ["bob", "ann", "bob"]


def test_a_speaker_is_whole_in_one_part(tmp_path):
    for i, (label, who) in enumerate((label, who) for label in "ab" for who in ("ann", "bob", "cid", "dan")):
        write(tmp_path / f"{label}_{who}.png", pixels(i))
    parting = Parting(hold_out={"who": ("bob",)}, group_by="who")
    data = loading.load(Source(None, tmp_path, "images", {"names": "{label}_{who}"}, parting=parting), validation=1)
    assert set(data.test.about["who"]) == {"bob"} and len(data.test) == 2
    assert len(data.validation) == 2 and not set(data.validation.about["who"]) & set(data.train.about["who"])
    assert data.validation.floats().shape == (2, 3, 6, 8)


def test_names_in_folders_of_classes_say_facts(tmp_path):
    write(tmp_path / "yes" / "ann_nohash_3.png", pixels(0))
    train, _ = images.load([tmp_path], names="{speaker}_nohash_{take}")
    assert {name: values.tolist() for name, values in train.about.items()} == {
        "label": ["yes"],
        "speaker": ["ann"],
        "take": ["3"],
        "file": ["yes/ann_nohash_3.png"],
    }


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("label", "allowed: fields in braces, each once"),
        ("{label}_{label}", "allowed: fields in braces, each once"),
        ("{label}_{take", "allowed: fields in braces"),
        ("{label}{take}", "allowed: some text between two fields"),
        ("{file}_{label}", "allowed: fields whose names are words, not 'file'"),
        ("{label}_{1st}", "allowed: fields whose names are words"),
        ("{label}-{take}", "yes_1.png: the name does not fit the pattern '{label}-{take}'"),
    ],
)
def test_patterns_that_say_nothing(tmp_path, names, message):
    write(tmp_path / "yes_1.png", pixels(0))
    with pytest.raises(UsageError) as caught:
        images.load([tmp_path], names=names)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_field_ends_where_the_text_after_it_begins(tmp_path):
    write(tmp_path / "yes_ann_1_2.png", pixels(0))
    with pytest.raises(UsageError, match=r"yes_ann_1_2\.png: the name does not fit"):
        images.load([tmp_path], names="{label}_{speaker}_{take}")


@pytest.mark.parametrize("suffix", ["png", "bmp", "ppm", "tif", "webp"])
def test_formats_without_loss_give_their_pixels(tmp_path, suffix):
    path = write(tmp_path / "a" / f"x.{suffix.upper()}", pixels(3), **({"lossless": True} if suffix == "webp" else {}))
    train, _ = images.load([path.parents[1]])
    np.testing.assert_array_equal(train.inputs.read(np.arange(1))[0], pixels(3).transpose(2, 0, 1))


def test_grey_is_one_channel_and_grey_files_are_three_in_colour(tmp_path):
    write(tmp_path / "a" / "x.png", pixels(1, channels=1))
    grey, colour = (images.load([tmp_path], color=color)[0].floats() for color in ("grey", "rgb"))
    assert grey.shape == (1, 1, 6, 8)
    np.testing.assert_array_equal(colour, np.repeat(grey, 3, axis=1))


def test_transparency_is_left_out(tmp_path):
    write(tmp_path / "a" / "x.png", pixels(1, channels=4))
    palette = Image.fromarray(pixels(2)).quantize(8)
    palette.save(tmp_path / "a" / "y.png", transparency=bytes(range(8)))
    found = images.load([tmp_path])[0].inputs.read(np.arange(2))
    np.testing.assert_array_equal(found[0], pixels(1, channels=4)[..., :3].transpose(2, 0, 1))
    np.testing.assert_array_equal(found[1], np.asarray(palette.convert("RGB")).transpose(2, 0, 1))


def test_the_photo_of_a_camera_with_two_views_is_taken(tmp_path):
    (tmp_path / "a").mkdir()
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("white", "black"))
    first.save(tmp_path / "a" / "x.jpg", format="MPO", save_all=True, append_images=[second])
    assert images.load([tmp_path])[0].floats().min() > 0.9


def test_images_are_resized_whole_or_cut_in_the_middle(tmp_path):
    array = np.zeros((8, 24, 3), np.uint8)
    array[:, 8:16] = 200  # the square in the middle
    write(tmp_path / "a" / "x.png", array)
    write(tmp_path / "a" / "y.png", pixels(0, 5, 5))
    whole, cut = (images.load([tmp_path], size=[4, 4], crop=crop)[0].inputs.read(np.arange(1))[0] for crop in (0, 1))
    assert whole.shape == cut.shape == (3, 4, 4)
    assert cut.min() > 150 and whole[:, :, 0].max() < 10


def test_sizes_that_differ_are_named(folder):
    write(folder / "dog" / "3.png", pixels(0, 7, 8))
    with pytest.raises(UsageError, match=r"dog/3\.png: found 7 x 8 pixels; allowed: 6 x 8, as 0\.png, or give a size"):
        images.load([folder])
    with pytest.raises(UsageError, match=r"crop: found true without a size"):
        images.load([folder], crop=True)


def damage(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: damage(f, "cat/3.png", b"no image"), r"cat/3\.png: not a whole image"),
        (lambda f: damage(f, "cat/3.png", b""), r"cat/3\.png: not a whole image"),
        (lambda f: damage(f, "cat/notes.txt", b"x"), r"cat/notes\.txt: found another file; allowed: files of \.png"),
        (lambda f: damage(f, "cat/more/0.png", b"x"), r"cat/more: found a folder; allowed: files of"),
        (lambda f: damage(f, "0.png", b"x"), r"0\.png: found a file beside the folders of classes"),
        (lambda f: (f / "cow").mkdir(), r"cow: found no file in this class"),
        (lambda f: os.mkfifo(f / "cat/3.png"), r"cat/3\.png: found a pipe, socket or device"),
        (lambda f: os.symlink(f / "absent", f / "cat/3.png"), r"cat/3\.png: cannot be read: No such file"),
        (lambda f: Image.new("I;16", (8, 6)).save(f / "cat/3.png"), r"cat/3\.png: found an image of mode I;16"),
        (
            lambda f: Image.new("RGB", (8, 6)).save(
                f / "cat/3.png", save_all=True, append_images=[Image.new("RGB", (8, 6), "red")]
            ),
            r"cat/3\.png: found 2 images in the file; allowed: one",
        ),
    ],
)
def test_what_is_no_image_is_named(folder, change, message):
    change(folder)
    with pytest.raises(UsageError, match=message):
        images.load([folder])


def test_folders_without_samples(tmp_path):
    with pytest.raises(UsageError, match=r"found no sample; allowed: files of .*, in a folder for each class"):
        images.load([tmp_path])
    with pytest.raises(UsageError, match=r"found no sample; allowed: files of .*, named {label}_x"):
        images.load([tmp_path], names="{label}_x")
    for part, label in (("train", "a"), ("test", "b")):
        write(tmp_path / part / label / "x.png", pixels(0))
    with pytest.raises(UsageError, match=r"test/b/x\.png: its class 'b' is not in the training part; there are: a"):
        images.load([tmp_path])
    (tmp_path / "extra").mkdir()
    with pytest.raises(UsageError, match="found the folders extra, test, train; allowed: train and one of"):
        images.load([tmp_path])


def test_a_file_cut_short_behind_its_header_is_named_when_it_is_read(folder):
    path = folder / "dog" / "1.png"
    path.write_bytes(path.read_bytes()[:-60])
    train, _ = images.load([folder])
    train.take(slice(4)).floats()
    with pytest.raises(UsageError, match=r"dog/1\.png: not a whole image"):
        train.floats()


@pytest.mark.parametrize("factor", [1, 3])
def test_more_pixels_than_pillow_allows_are_not_decoded(folder, monkeypatch, factor):
    """Pillow warns above its limit and refuses above twice as many: both are errors here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6 * 8 // factor - 1)
    with pytest.raises(UsageError, match=r"cat/0\.png: its header says that it holds more; allowed: at most"):
        images.load([folder])


def test_what_fits_is_decoded_once_and_what_does_not_each_time(monkeypatch):
    decodings = []

    def pixels(row):
        decodings.append(row)
        return np.full((2,), row, np.uint8)

    for limit, times in ((6, 1), (5, 2)):
        monkeypatch.setattr(decoded, "HELD_BYTES", limit)
        decodings.clear()
        samples = decoded.Decoded(3, (2,), np.dtype(np.uint8), pixels)
        for _ in range(2):
            assert samples.read(np.array([2, 0, 1])).tolist() == [[2, 2], [0, 0], [1, 1]]
        assert sorted(decodings) == sorted([0, 1, 2] * times)


MEASURE = """
import resource, sys
from pathlib import Path
from mico_runner.data import images
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
train, _ = images.load([Path(sys.argv[1])])
next(train.parts(64)).floats()
before, total = peak(), 0
for part in train.parts(64):
    total += part.floats().nbytes
print(len(train), total >> 10, peak() - before)
"""


def test_memory_does_not_grow_with_the_folder(tmp_path):
    """2,000 images of 3 x 224 x 224 are 1.1 GiB of floats, 287 MiB of pixels, beyond what is held."""
    path = write(tmp_path / "a" / "0.png", np.zeros((224, 224, 3), np.uint8))
    for i in range(1, 2000):
        os.link(path, tmp_path / "a" / f"{i}.png")
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    count, total, growth = map(int, ran.stdout.split())
    assert count == 2000 and total == 2000 * 3 * 224 * 224 * 4 >> 10
    assert growth < 100 << 10, "KiB"
