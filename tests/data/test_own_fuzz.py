"""Whatever the user's own files hold: they are read, or one usage error names the file; never another exception."""

import io
import warnings
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from test_data_fuzz import mutate_bytes, mutate_table

from mico_runner.data import audio, images, npz, python_file, table
from mico_runner.data.dataset import Split
from mico_runner.errors import MicoError, UsageError

FEW, MANY = 600, 6000
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def image_bytes(form, **options):
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, form, **options)
    return out.getvalue()


def wav_bytes(width):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((2, width, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(48 * width)))
    return out.getvalue()


def npz_bytes():
    out = io.BytesIO()
    np.savez_compressed(out, x=np.ones((6, 2), np.float32), y=np.arange(6), who=np.array(list("aabbcc")))
    return out.getvalue()


def read_image(path):
    train, _ = images.load([path.parents[1]])
    height, width = train.inputs.shape[2:]
    assert train.floats().shape == (1, 3, height, width) and height * width <= Image.MAX_IMAGE_PIXELS
    assert images.load([path.parents[1]], size=[5, 5], crop=True, color="grey")[0].floats().shape == (1, 1, 5, 5)


def read_sound(path):
    train, _ = audio.load([path.parents[1]])
    found = train.floats()
    assert found.shape == train.inputs.shape and found.min() >= -1 and found.max() < 1
    audio.load([path.parents[1]], rate=8000, seconds=0.01)


def read_table(path):
    train, _ = table.load([path], "class")
    assert len(train) and np.isfinite(train.inputs).all() and len(train.targets) == len(train)


def read_arrays(path):
    train, _ = npz.load([path])
    assert len(train.inputs) == len(train.targets) == len(train)


TABLE = b"size,weight,who,class\n1.5,2,ann,b\n-3,4e2,bob,a\n0,.5,ann,c\n"
KINDS = {
    "x.png": (image_bytes("PNG"), read_image),
    "x.jpg": (image_bytes("JPEG"), read_image),
    "x.bmp": (image_bytes("BMP"), read_image),
    "x.ppm": (image_bytes("PPM"), read_image),
    "x.webp": (image_bytes("WEBP"), read_image),
    "x.tif": (image_bytes("TIFF"), read_image),
    "y.tif": (image_bytes("TIFF", compression="tiff_lzw"), read_image),
    "a.wav": (wav_bytes(2), read_sound),
    "b.wav": (wav_bytes(3), read_sound),
    "t.csv": (TABLE, read_table),
    "a.npz": (npz_bytes(), read_arrays),
}


@pytest.fixture
def few_pixels(monkeypatch):
    """A header that a mutation makes larger shall not cost seconds."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)


def fuzz(folder, count):
    rng = np.random.default_rng(23)
    outcomes = {name: [0, 0] for name in KINDS}
    for i in range(count):
        name = list(KINDS)[i % len(KINDS)]
        raw, read = KINDS[name]
        path = folder / name.replace(".", "_") / "class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((mutate_table if name.endswith("csv") and rng.random() < 0.7 else mutate_bytes)(raw, rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                read(path)
            outcomes[name][0] += 1
        except MicoError as error:
            said = str(error)
            assert error.exit_code == 2 and (name in said or "datasets.task.target" in said), (name, said)
            outcomes[name][1] += 1
        except Exception as error:
            kept = folder / f"failed-{i}-{name}"
            kept.write_bytes(path.read_bytes())
            pytest.fail(f"{kept}: {type(error).__name__}: {error}")
    return outcomes


@pytest.mark.parametrize("name", KINDS)
def test_the_undamaged_files_are_read(tmp_path, name):
    path = tmp_path / "class" / name
    path.parent.mkdir()
    path.write_bytes(KINDS[name][0])
    KINDS[name][1](path)


def test_damaged_files_are_usage_errors(tmp_path, few_pixels):
    outcomes = fuzz(tmp_path, FEW)
    assert all(refused for _, refused in outcomes.values())


@pytest.mark.slow
def test_thousands_of_damaged_files_are_usage_errors(tmp_path, few_pixels):
    outcomes = fuzz(tmp_path, MANY)
    assert sum(read for read, _ in outcomes.values()) > MANY / 50, "damage that is always noticed tests little"


NUMBERS = arrays.arrays(
    st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.complex64, "U3", object]),
    st.sampled_from([(), (0,), (3,), (3, 2), (2, 2)]),
    elements=None,
)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | NUMBERS | st.sampled_from([object(), int]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.sampled_from(["train", "test", "who"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(returned=ANY)
def test_whatever_an_entry_returns(tmp_path_factory, returned):
    file = tmp_path_factory.getbasetemp() / "mine.py"
    try:
        parts = python_file._parts(file, "made()", returned)
    except UsageError as error:
        assert str(error).startswith(str(file)) and "allowed: " in str(error)
    else:
        for part in filter(None, parts):
            assert isinstance(part, Split) and len(part.inputs) == len(part.targets)
            assert all(len(values) == len(part) for values in part.about.values())
